"""The page of ``tickover train``: loss curves, residuals, memory horizon, limits and unseen trips. It opens offline."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from tickover.core.values import DoubleArray
from tickover_export.charts_off import off_lines, why_mute
from tickover_export.run import limits_tuple
from tickover_train.fitting.horizon import FRACTION, Horizon, Horizons
from tickover_train.pages.template import fill
from tickover_train.pages.words import realised_words
from tickover_train.pipeline import Job, Product
from tickover_train.stored.arrays import lengths

BINS: Final = np.linspace(-6.0, 6.0, 121)
"""Of the residual histograms, in residual units; what lies beyond is in the outermost bins."""
CLEAR: Final = "rgba(0,0,0,0)"
GREY: Final = "#7d8790"


def render(job: Job, product: Product, horizon: Horizons, footprint: str = "") -> str:
    """The page; ``footprint``: peak memory and temporary data in words."""
    figures = {
        "losses": _losses(product),
        "residuals": _residuals(product),
        "horizon": _horizon(horizon, job.period_s),
        "unseen": _unseen(product, job.period_s),
    }
    return fill(
        "training.html.j2",
        name=product.spec.name,
        plotly=get_plotlyjs(),
        figures={name: _html(figure) for name, figure in figures.items()},
        facts=_facts(job, product, footprint),
        tiles=_tiles(job, product, horizon),
        doubts=_doubts(product),
        verdict=_verdict(product),
        limits=_limit_rows(product),
        banks=[(bank.name, bank.WORDS) for bank in product.spec.banks],
    )


def _facts(job: Job, product: Product, footprint: str) -> dict[str, str]:
    network = product.spec.network
    facts = {
        "model": f"{network.arch} of {network.cell}, hidden {network.hidden}, {network.parameters:,} weights",
        "fit": product.fit_words,
        "seed": str(job.config.seed),
    }
    return facts | ({"peak memory": footprint} if footprint else {})


def _tiles(job: Job, product: Product, horizon: Horizons) -> dict[str, str]:
    budget, losses = product.limits.budget, [fold.fitted.best_loss for fold in product.folds]
    hours = sum(lengths(job.normalised)) * job.period_s / 3600.0
    return {
        "Trips": f"{len(job.trips)} ({hours:.1f} h)",
        "Held-out loss of the folds": f"{min(losses):.2f} to {max(losses):.2f}",
        "False episodes allowed": f"{budget.per_hour:g} / h",
        "Realised on unseen trips": f"{budget.realised:.2f} / h" if budget.realised is not None else "not measured",
        "Memory horizon": horizon_words(horizon.memory, job.period_s),
        "State horizon": horizon_words(horizon.state, job.period_s) if horizon.state else "no state is carried",
    }


def _verdict(product: Product) -> str:
    budget = product.limits.budget
    words = f"All {len(product.spec.signals)} signals can alarm"
    if budget.realised is None:
        return f"{words}; the realised rate of false episodes was not measured."
    return f"{words}; false episodes for a budget of {budget.per_hour:g} an hour: {realised_words(budget)}."


def _doubts(product: Product) -> list[str]:
    """What keeps this model from being exported without a second look: limits that break their budget, charts off."""
    budget = product.limits.budget
    doubts = []
    if budget.low is not None and budget.low > budget.per_hour:
        doubts.append(f"false episodes for a budget of {budget.per_hour:g} an hour: {realised_words(budget)}")
    why = why_mute(product.spec.charts, product.limits.limits)
    return doubts + ([why] if why else off_lines(product.spec.charts, product.limits.limits))


def horizon_words(horizon: Horizon, period_s: float) -> str:
    """The horizon in seconds; a lower bound when it was not reached."""
    return f"{'' if horizon.reached else 'more than '}{horizon.lag * period_s:g} s"


def _limit_rows(product: Product) -> list[dict[str, Any]]:
    """One row per signal: name, residual centre and scale in standard deviations, a limit per bank.

    A chart over several signals stands in the row of each.
    """
    charts = list(zip(product.spec.charts, limits_tuple(product.limits.limits), strict=True))

    def of(bank: str, signal: str) -> float | None:
        return next((limit for chart, limit in charts if chart.bank.name == bank and signal in chart.signals), None)

    return [
        {
            "signal": signal.name,
            "center": float(product.weights["residual.center"][place]),
            "scale": float(product.weights["residual.scale"][place]),
            "limits": [of(bank.name, signal.name) for bank in product.spec.banks],
        }
        for place, signal in enumerate(product.spec.signals)
    ]


def _figure(x: str, y: str, **layout: Any) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        xaxis_title=x, yaxis_title=y, template="simple_white", height=360, margin={"l": 60, "r": 20, "t": 20, "b": 50}
    )
    # The page behind shows through, light or dark, and grey is seen on both.
    figure.update_layout(paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, font_color=GREY)
    figure.update_xaxes(linecolor=GREY, tickcolor=GREY)
    figure.update_yaxes(linecolor=GREY, tickcolor=GREY, exponentformat="power")
    # Above the plot: beside it there is no room on a phone.
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0.0})
    figure.update_layout(**layout)
    return figure


def _line(dash: str) -> dict[str, Any]:
    """A straight line across the plot; the template's own have no width."""
    return {"line_dash": dash, "line_color": GREY, "line_width": 1, "opacity": 1.0}


def _html(figure: go.Figure) -> str:
    """The figure as an element that keeps to its room when the window is turned or resized."""
    settings = {"responsive": True, "displayModeBar": False}
    element: str = figure.to_html(full_html=False, include_plotlyjs=False, config=settings)
    return element


def _losses(product: Product) -> go.Figure:
    figure = _figure("epoch", "mean log error")
    for number, fold in enumerate(product.folds, start=1):
        epochs = list(range(1, len(fold.fitted.losses) + 1))
        for name, column, dash in (("training", 0, "dot"), ("held out", 1, "solid")):
            values = [loss[column] for loss in fold.fitted.losses]
            figure.add_scatter(x=epochs, y=values, name=f"fold {number}, {name}", line={"dash": dash})
    return figure


def _residuals(product: Product) -> go.Figure:
    figure = _figure("residual / scale", "share of ticks", yaxis_type="log")
    counts = np.zeros((len(product.spec.signals), len(BINS) - 1), np.int64)
    for trip in product.residuals:
        standard = trip[product.spec.warm_up_ticks :] - product.weights["residual.center"]
        for place, column in enumerate((standard / product.weights["residual.scale"]).T):
            counts[place] += np.histogram(np.clip(column[np.isfinite(column)], BINS[0], BINS[-1]), BINS)[0]
    middles = (BINS[1:] + BINS[:-1]) / 2
    for signal, own in zip(product.spec.signals, counts, strict=True):
        figure.add_scatter(x=middles, y=own / max(own.sum(), 1), name=signal.name, line={"shape": "hvh", "width": 1})
    return figure


def _horizon(horizon: Horizons, period_s: float) -> go.Figure:
    figure = _figure("lag, s", "gradient norm / maximum", yaxis_type="log")
    for name, one in (("through the inputs", horizon.memory), ("through the state", horizon.state)):
        if one is not None:
            figure.add_scatter(x=np.arange(len(one.curve)) * period_s, y=_relative(one.curve), name=name)
            figure.add_vline(x=one.lag * period_s, **_line("dot"))
    figure.add_hline(y=FRACTION, **_line("dash"))
    return figure


def _relative(curve: DoubleArray) -> Sequence[float]:
    """Over the maximum at lags >= 1; zeros cannot stand on a logarithmic axis."""
    top = float(curve[1:].max())
    return [float(value / top) if value > 0 else float("nan") for value in curve]


def _unseen(product: Product, period_s: float) -> go.Figure:
    figure = _figure("trip", "highest score", yaxis_type="log", height=420)
    peaks, hours = list[float](), list[str]()
    for scores in product.limits.scores:
        peaks.append(float(np.nanmax(scores, initial=0.0)))
        hours.append(f"{len(scores) * period_s / 3600:.2f} h")
    figure.add_bar(x=list(product.sources), y=peaks, hovertext=hours)
    figure.add_hline(y=1.0, **_line("dash"))
    return figure

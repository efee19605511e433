"""The page of ``tickover evaluate``: the study, light and dark. Pictures are SVG: no script, nothing loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tickover_train.evaluation.baselines import PEERS
from tickover_train.evaluation.false_alarms import FalseAlarm
from tickover_train.evaluation.judge import Cell, CurvePoint
from tickover_train.evaluation.study import Study
from tickover_train.pages.template import fill
from tickover_train.pages.words import number

WIDTH: Final = 320
HEIGHT: Final = 90
CURVE: Final = (560, 280)
DECADES: Final = (0.1, 1.0, 10.0)
"""The curve's ticks along x, false onsets an hour."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind's line of the heat map."""

    kind: str
    cells: list[Cell]


def render(study: Study) -> str:
    """The page; everything from outside is escaped by the template."""
    return fill(
        "evaluation.html.j2",
        study=study,
        model=study.whole[0],
        peer=max((one for one in study.whole if one.name in PEERS), key=lambda one: one.recall_at_rate),
        tables=[(title.capitalize(), verdicts) for title, verdicts in study.tables],
        magnitudes=_magnitudes(study.whole[0].cells),
        rows=_rows(study.whole[0].cells),
        curve=[(verdict.name, _curve(verdict.curve)) for verdict in study.whole],
        curve_size=CURVE,
        curve_x=[(_curve_x(rate), rate) for rate in DECADES],
        budget_x=_curve_x(study.budget_per_hour),
        alarms=[(alarm, _pictures(alarm)) for alarm in study.worst],
        size=(WIDTH, HEIGHT),
    )


def _magnitudes(cells: Sequence[Cell]) -> list[float]:
    return sorted({cell.magnitude for cell in cells if cell.magnitude is not None})


def _rows(cells: Sequence[Cell]) -> list[Row]:
    names = dict.fromkeys(cell.kind for cell in cells)
    return [Row(name, [cell for cell in cells if cell.kind == name]) for name in names]


def _curve_x(rate: float) -> float:
    low, high = np.log10(DECADES[0]), np.log10(DECADES[-1])
    return float(np.clip((np.log10(max(rate, 1e-9)) - low) / (high - low), 0, 1)) * CURVE[0]


def _curve(points: Sequence[CurvePoint]) -> str:
    """SVG points of recall over false onsets an hour (logarithmic)."""
    return " ".join(
        f"{_curve_x(p.allowed):.1f},{CURVE[1] * (1 - p.recall):.1f}" for p in points if np.isfinite(p.recall)
    )


def _pictures(alarm: FalseAlarm) -> list[dict[str, Any]]:
    """One small picture of the score, and one of each signal that the alert names."""
    score = _picture(alarm, "score", "", [alarm.score, np.ones(len(alarm.score))])
    return [score, *(_picture(alarm, t.signal, t.unit, [t.observed, t.expected]) for t in alarm.traces)]


def _picture(alarm: FalseAlarm, title: str, unit: str, series: Sequence[npt.NDArray[np.floating]]) -> dict[str, Any]:
    """Title, range, SVG paths of the series on one scale, and where the episode opens."""
    together = np.concatenate(series)
    finite = together[np.isfinite(together)]
    span = f"{number(float(finite.min()))} to {number(float(finite.max()))} {unit}" if len(finite) else "missing"
    x = _scale(alarm.seconds, alarm.seconds) * WIDTH
    return {
        "title": title,
        "range": span,
        "lines": [_path(x, HEIGHT * (1 - _scale(one, together))) for one in series],
        "marker": round(float(_scale(np.zeros(1), alarm.seconds)[0]) * WIDTH, 1),
    }


def _scale(values: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    finite = reference[np.isfinite(reference)]
    if len(finite) == 0:
        return np.full(len(values), np.nan)
    low, high = float(finite.min()), float(finite.max())
    return (values - low) / ((high - low) or 1.0)


def _path(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> str:
    parts, pen = [], "M"
    for a, b in zip(x, y, strict=True):
        if not np.isfinite(b):
            pen = "M"
            continue
        parts.append(f"{pen}{a:.1f} {b:.1f}")
        pen = "L"
    return " ".join(parts)

"""The run folder: what ``tickover_export.run`` reads, and beside it ``metrics.json`` and ``report.html``."""

import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from tickover import __version__
from tickover.core.manifest import Rung, Training
from tickover.core.values import FloatArray
from tickover.logs.mapping import to_carry
from tickover.logs.reading import dbc_marks
from tickover.storage.files import replace_file
from tickover_export.run import ParityTicks, Run, RunFile, limits_tuple, write_run
from tickover_export.spec import GraphSpec
from tickover_export.spec import Horizons as HorizonSeconds
from tickover_train.fitting.horizon import Horizon, Horizons
from tickover_train.fitting.reference import Reference
from tickover_train.pipeline import Job, Product
from tickover_train.stored.arrays import lengths
from tickover_train.trips import Trip, sources_of, values_of

PARITY_TICKS: Final = 10_000
MOST_PARITY_TICKS: Final = 12_000
"""Parity needs no more; every tick is also run on its own."""
GAP_SHARE: Final = 0.02
"""Of values, missing in tiled ticks: so that the masked paths are proven too."""
METRICS_FILE: Final = "metrics.json"


def parity_ticks(trips: Sequence[Trip], seed: int) -> tuple[FloatArray, npt.NDArray[np.bool_], bool]:
    """At least ``PARITY_TICKS`` ticks ``[T, F]`` with their trip starts; too few are repeated with seeded gaps.

    Gaps are single missing values and, once per repetition, a span with nothing at all.
    """
    parts, edges = list[FloatArray](), [0]
    for values in values_of(trips):
        if edges[-1] >= MOST_PARITY_TICKS:
            break
        parts.append(values)
        edges.append(edges[-1] + len(values))
    values = np.concatenate(parts)[:MOST_PARITY_TICKS]
    starts = np.zeros(len(values), np.bool_)
    starts[[edge for edge in edges if edge < len(values)]] = True
    times = -(-PARITY_TICKS // len(values))
    if times == 1:
        return values, starts, False
    random = np.random.default_rng([seed & 0xFFFF_FFFF, 3])
    copies = [values] + [_with_gaps(values, random) for _ in range(times - 1)]
    return np.concatenate(copies), np.tile(starts, times), True


def _with_gaps(values: FloatArray, random: np.random.Generator) -> FloatArray:
    copy = values.copy()
    copy[random.random(copy.shape) < GAP_SHARE] = np.nan
    start = int(random.integers(len(copy)))
    copy[start : start + 5] = np.nan
    return copy


def write(folder: Path, job: Job, product: Product, horizons: Horizons, ladder: tuple[Rung, ...] = ()) -> None:
    """Everything but the report."""
    x, starts, tiled = parity_ticks(job.trips, job.config.seed)
    reference = Reference(product.network.cpu(), product.spec, product.weights, product.limits.limits)
    answers = reference.run(x, starts)
    file = RunFile(
        spec=product.spec,
        limits=limits_tuple(product.limits.limits),
        budget=product.limits.budget,
        ladder=ladder,
        policy=job.config.episodes,
        horizons=in_seconds(horizons, job.period_s),
        training=training_of(job),
        versions={"tickover": __version__, "torch": str(torch.__version__), "numpy": np.__version__}
        | {"python": platform.python_version()},
        parity_tiled=tiled,
        log_mapping=to_carry(job.mapping, dbc_marks(job.mapping.log)),
    )
    write_run(
        folder, Run(file, product.weights, ParityTicks(x, starts, answers.score, answers.chart, answers.expected))
    )
    with replace_file(folder / METRICS_FILE) as out:
        out.write(msgspec.json.format(msgspec.json.encode(metrics(job, product, horizons))))


def in_seconds(horizons: Horizons, period_s: float) -> HorizonSeconds:
    """As the manifest holds them."""
    state = horizons.state
    return HorizonSeconds(
        memory_s=horizons.memory.lag * period_s, state_s=None if state is None else state.lag * period_s
    )


def training_of(job: Job) -> Training:
    """Where the weights come from."""
    hours = sum(lengths(job.normalised)) * job.period_s / 3600.0
    return Training(data_sha256=job.data_sha256, trips=len(job.trips), hours=hours, seed=job.config.seed)


def metrics(job: Job, product: Product, horizons: Horizons) -> dict[str, Any]:
    """What the report draws, as plain numbers. Losses are ``[training, held out]`` per epoch;
    of the fit on all trips (``whole``; none when it was stopped) those of training alone.
    """
    names = [signal.name for signal in product.spec.signals]
    sources = sources_of(job.trips)
    limits = product.limits
    return {
        "config": job.config,
        "signals": names,
        "weights_sha256": weights_digest(product.weights),
        "folds": [
            {
                "unseen": [sources[i] for i in fold.unseen],
                "losses": fold.fitted.losses,
                "best_epoch": fold.fitted.best_epoch,
                "finished": fold.fitted.finished,
            }
            for fold in product.folds
        ],
        "whole": product.whole
        and {"losses": [seen for seen, _ in product.whole.losses], "epochs": product.whole.epoch},
        "residual": {
            "center": product.weights["residual.center"].tolist(),
            "scale": product.weights["residual.scale"].tolist(),
        },
        "left_out": [finding.words for finding in job.left_out],
        "influence": limits.influence,
        "budget": limits.budget,
        "budget_why": product.climb.why,
        "limits": _by_bank(product.spec, limits_tuple(limits.limits)),
        "horizon": {"memory": _curve(horizons.memory), "state": horizons.state and _curve(horizons.state)},
        "unseen": [
            {"trip": source, "ticks": len(scores), "peak": float(np.nanmax(scores, initial=0.0))}
            for source, scores in zip(product.sources, limits.scores, strict=True)
        ],
    }


def weights_digest(weights: dict[str, FloatArray]) -> str:
    """SHA-256 over all weights in order of name."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        sha.update(name.encode() + np.ascontiguousarray(weights[name], dtype="<f4").tobytes())
    return sha.hexdigest()


def _by_bank(spec: GraphSpec, limits: Sequence[float | None]) -> dict[str, dict[str, float | None]]:
    """Each chart's limit by its bank's name, then by the signals that it looks at."""
    found: dict[str, dict[str, float | None]] = {bank.name: {} for bank in spec.banks}
    for (bank, _, signals), limit in zip(spec.charts, limits, strict=True):
        found[bank.name][", ".join(signals)] = limit
    return found


def _curve(horizon: Horizon) -> dict[str, Any]:
    return {"lag": horizon.lag, "reached": horizon.reached, "curve": horizon.curve.tolist()}

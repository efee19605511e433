"""Proof that the model file says what torch says: as ticks, as chunks and as batches, over 10,000 ticks or more."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.manifest import Parity
from tickover.core.values import FloatArray, Scores
from tickover.errors import RunError
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.run import ParityTicks

LEAST_TICKS: Final = 10_000
TOLERANCE: Final = 1e-4
"""Largest difference of a score from torch's, relative to it where it is over 1."""
CHART_TOLERANCE: Final = 1e-2
"""The same of any chart: below the score, a sum over thousands of ticks may wander by its rounding."""
BATCH_SIZES: Final = (1, 2, 3, 4, 7, 8, 16, 31, 64, 128, 256)
"""The sizes of batches that are proven."""
BATCH_TICKS: Final = 512
"""How many ticks the batches of all sizes are run over."""

Tell = Callable[[int, int], None]


def prove(model: bytes, parity: ParityTicks, *, tiled: bool = False, tell: Tell = lambda done, total: None) -> Parity:
    """Run the sealed model over torch's ticks; RunError when any way of running it is too far from torch's scores.

    ``tell`` hears how many of how many ticks are done.
    """
    ticks = len(parity.x)
    if ticks < LEAST_TICKS:
        raise RunError(f"parity: expected {LEAST_TICKS} ticks or more, got {ticks}")
    detector = Detector(open_bytes(model))
    chunks = detector.run(parity.x, parity.trip_start)
    error = _error("in chunks", chunks, parity)
    _same("ticks", _by_tick(detector, parity, tell), chunks)
    for size in BATCH_SIZES:
        _same(f"a batch of {size}", _in_batch(detector, parity, size), chunks.at(np.s_[:BATCH_TICKS]))
    return Parity(ticks=ticks, error=error, tiled=tiled)


def _error(how: str, scores: Scores, parity: ParityTicks) -> float:
    """The largest relative difference of a score from torch's; RunError when it, or a chart's, is too large."""
    if not np.array_equal(np.isnan(scores.score), np.isnan(parity.score)):
        raise RunError(f"parity {how}: expected scores at the same ticks as torch's, got others; nothing was written")
    score, chart = _difference(scores.score, parity.score), _difference(scores.chart, parity.chart)
    if not (score <= TOLERANCE and chart <= CHART_TOLERANCE):
        raise RunError(
            f"parity {how}: expected scores within {TOLERANCE} of torch's and charts within {CHART_TOLERANCE}, "
            f"got {score:.3g} and {chart:.3g}; nothing was written"
        )
    return score


def _difference(got: FloatArray, wanted: FloatArray) -> float:
    return float(np.nanmax(np.abs(got - wanted) / np.fmax(1.0, np.abs(wanted)), initial=0.0))


def _same(how: str, got: Scores, wanted: Scores) -> None:
    """Ticks, chunks and batches are one computation: equal to the last bit."""
    for name in ("score", "chart", "expected"):
        if not np.array_equal(getattr(got, name), getattr(wanted, name), equal_nan=True):
            raise RunError(
                f"parity: expected {name} of {how} to be those in chunks to the last bit; nothing was written"
            )


def _by_tick(detector: Detector, parity: ParityTicks, tell: Tell) -> Scores:
    detector.reset(trip_only=False)
    rows = []
    for tick, (row, starts) in enumerate(zip(parity.x, parity.trip_start, strict=True)):
        if starts:
            detector.reset()
        rows.append(detector.step(row))
        if tick % 1000 == 999:
            tell(tick + 1, len(parity.x))
    return Scores(*(np.concatenate([getattr(row, name) for row in rows]) for name in ("score", "chart", "expected")))


def _in_batch(detector: Detector, parity: ParityTicks, size: int) -> Scores:
    """The first ticks in every row of a batch; RunError unless all rows agree."""
    states = np.tile(detector.new_state(), (size, 1))
    parts = []
    for start, end in _trips(parity.trip_start[:BATCH_TICKS]):
        states = detector.reset_trip(states) if parity.trip_start[start] else states
        states, scores = detector.run_batch(states, _batch_of(parity.x[start:end], size))
        parts.append(scores)
    whole = Scores(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "chart", "expected"))
    )
    for row in range(1, size):
        _same(f"row {row} in a batch of {size}", whole.at(np.s_[:, row]), whole.at(np.s_[:, 0]))
    return whole.at(np.s_[:, 0])


def _trips(starts: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    return pairwise([0, *(np.flatnonzero(starts[1:]) + 1).tolist(), len(starts)])


def _batch_of(x: FloatArray, size: int) -> FloatArray:
    return np.repeat(x[:, None], size, axis=1)

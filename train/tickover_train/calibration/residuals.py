"""Centre, scale and cold start of residuals: what makes one signal's error comparable with another's. No torch."""

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.manifest import ColdStart
from tickover.core.values import DoubleArray, FloatArray
from tickover_train.data import Scaler
from tickover_train.stored.columns import Blocks, counts, medians, quantiles, row_sum
from tickover_train.trips import Trip, values_of

LEAST_SCALE: Final = 1e-2
"""Of a residual, in standard deviations of its signal. Two float32 implementations of one network differ by some 1e-7,
and a limit may be a tenth of the scale: a smaller scale would make a rounding error show in the score."""
STEP_SCALES: Final = 16.0
"""One step of a signal's own resolution is at most so many scales, the default ``charts.clip``: a smaller scale takes
no other view of the signal, it only magnifies rounding."""
OUTLIER: Final = 50.0
"""Residuals count for the scale up to this many robust spreads: one glitch must not blind a signal's charts."""
TAIL: Final = 0.99
"""A robust spread reaches this quantile of the sizes, too: a coarse signal that mostly holds one value has a median
absolute deviation of next to nothing, though what it does in the rest of the time is no glitch ..."""
TAIL_SPREADS: Final = 2.576
"""... of a normal distribution it is so many standard deviations."""
LEAST_LEGS: Final = 10
"""Cold starts that it takes to say how residuals spread at a trip's start."""
BINS: Final = 15
"""Spans of age, growing evenly by a factor, over which the spread is taken ..."""
SETTLED_S: Final = 1600.0
"""... up to this age, where it has settled."""
FADES_S: Final = tuple(float(s) for s in np.geomspace(15.0, 600.0, 12))
"""Among these the time is sought in which a cold start fades."""
MOST_EXCESS: Final = 10.0


def least_scales(trips: Sequence[Trip], scaler: Scaler) -> FloatArray:
    """The smallest scale of each signal's residuals that its values can support ``[F]``, in units of ``scaler.scale``.

    The largest of ``LEAST_SCALE``, of the distance of float32 at the signal's level, and of its own smallest step over
    ``STEP_SCALES``.
    """
    level = (np.abs(scaler.center) + scaler.scale).astype(np.float32)
    # A step that is smaller than this changes nothing: values so close are not told apart, and few remain.
    fine = STEP_SCALES * np.maximum(np.spacing(level), LEAST_SCALE * scaler.scale)
    support = np.maximum(np.spacing(level), _steps(Blocks.of(values_of(trips)), fine) / STEP_SCALES) / scaler.scale
    least: FloatArray = np.maximum(support, LEAST_SCALE).astype(np.float32)
    return least


def _steps(blocks: Blocks, fine: FloatArray) -> DoubleArray:
    """The smallest step between two values of each column ``[F]``, or one that is finer than ``fine`` ``[F]``; 0 for
    a column without two.
    """
    known = [np.empty(0, np.float32) for _ in fine]
    steps = np.zeros(len(fine))
    for block in blocks:
        for signal, column in enumerate(block.T):
            if 0.0 < steps[signal] < fine[signal]:
                continue
            known[signal] = np.unique(np.concatenate((known[signal], column[np.isfinite(column)])))
            gaps = np.diff(known[signal].astype(np.float64))
            steps[signal] = gaps.min(initial=np.inf) if len(gaps) else 0.0
    return steps


def standard(
    residuals: Sequence[FloatArray],
    warm_up: int,
    cold: Sequence[ColdStart] = (),
    period_s: float = 1.0,
    least: FloatArray | float = LEAST_SCALE,
) -> Scaler:
    """Centre and scale of residuals ``[T, F]`` of unseen trips, their first ``warm_up`` ticks left out.

    The centre is the median. The scale is the standard deviation with residuals held within ``OUTLIER`` robust spreads
    (the larger of what the median absolute deviation and what the quantile ``TAIL`` says): a spread that forgets the
    tails makes charts that live at their clip. Residuals are first divided by what their ``cold`` start widens them.
    ``least``: see ``least_scales``.
    """
    warm = Blocks(lambda: (trip[warm_up:].astype(np.float64) for trip in residuals if len(trip) > warm_up))
    number = counts(warm)
    if not number.any():
        width = residuals[0].shape[1]
        return Scaler(np.zeros(width, np.float32), np.ones(width, np.float32))
    center = np.nan_to_num(medians(warm), nan=0.0)
    off = Blocks(
        lambda: (
            (trip[warm_up:].astype(np.float64) - center) / spread_of(cold, len(trip), period_s)[warm_up:]
            for trip in residuals
            if len(trip) > warm_up
        )
    )
    sizes = np.nan_to_num(quantiles(off.each(np.abs), (0.5, TAIL), as_double=True), nan=0.0)
    spread = np.maximum(1.4826 * sizes[0], sizes[1] / TAIL_SPREADS)
    floor = np.broadcast_to(least, center.shape).astype(np.float64)
    reach = OUTLIER * np.maximum(spread, floor)
    squares = row_sum(off.each(lambda block: np.where(np.isfinite(block), np.clip(block, -reach, reach), 0.0) ** 2))
    scale = np.where(number > 0, np.maximum(np.sqrt(squares / np.maximum(number, 1)), floor), 1.0)
    return Scaler(center.astype(np.float32), scale.astype(np.float32))


def spread_of(cold: Sequence[ColdStart], ticks: int, period_s: float) -> FloatArray:
    """How many times wider than usual residuals spread at a trip's first ``ticks`` ticks, ``[T, F]``; ``[T, 1]`` of
    ones without ``cold``.
    """
    if not cold:
        return np.ones((ticks, 1), np.float32)
    excess, fades = (np.array([getattr(start, name) for start in cold]) for name in ("excess", "fades_s"))
    age = period_s * np.arange(1, ticks + 1)[:, None]
    spread: FloatArray = (1.0 + excess / (1.0 + age / fades) ** 2).astype(np.float32)
    return spread


def cold_starts(
    trips: Sequence[FloatArray], legs: Sequence[FloatArray], warm_up: int, period_s: float
) -> tuple[ColdStart, ...]:
    """How residuals ``[T, F]`` of unseen trips, and of the same trips in legs, spread at a trip's start.

    Legs show cold starts in many places, whole trips what comes after them. Empty when there are fewer than
    ``LEAST_LEGS`` legs, or when the warm-up lasts until residuals have settled.
    """
    if len(legs) < LEAST_LEGS or warm_up * period_s >= SETTLED_S:
        return ()
    usual = standard(trips, warm_up)
    edges = np.unique(np.geomspace(max(warm_up, 1), SETTLED_S / period_s, BINS + 1).round().astype(int))
    spreads = _spreads(chain(trips, legs), usual, edges)
    return tuple(_cold_start(np.sqrt(edges[1:] * edges[:-1]) * period_s, column) for column in spreads.T)


def _spreads(parts: Iterable[FloatArray], usual: Scaler, edges: npt.NDArray[np.int64]) -> DoubleArray:
    """Root mean square of the residuals, in usual spreads, from each edge to the next; NaN where there is nothing:
    ``[BINS, F]``.
    """
    squares, number = (np.zeros((len(edges) - 1, len(usual.scale))) for _ in range(2))
    for part in parts:
        known = np.clip((part - usual.center) / usual.scale, -OUTLIER, OUTLIER).astype(np.float64)
        seen = np.isfinite(known)
        rows = np.where(seen, known, 0.0) ** 2
        for place, (first, end) in enumerate(pairwise(edges)):
            if first >= len(part):
                break
            squares[place] = np.add.reduce(np.concatenate((squares[place][None], rows[first:end])), axis=0)
            number[place] += seen[first:end].sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.sqrt(squares / number)


def _cold_start(ages: DoubleArray, spreads: DoubleArray) -> ColdStart:
    """Least squares of ``base + rise / (1 + age / fades)**2`` through the spreads at these ages, ``[BINS]``."""
    seen = np.isfinite(spreads)
    best, start = np.inf, ColdStart(excess=0.0, fades_s=FADES_S[0])
    for fades in FADES_S if seen.sum() > 2 else ():
        shape = 1.0 / (1.0 + ages[seen] / fades) ** 2
        design = np.column_stack((np.ones_like(shape), shape))
        base, rise = np.linalg.lstsq(design, spreads[seen], rcond=None)[0]
        error = float(((design @ (base, rise) - spreads[seen]) ** 2).sum())
        if error < best and base > 0.0 and rise > 0.0:
            best, start = error, ColdStart(excess=min(float(rise / base), MOST_EXCESS), fades_s=fades)
    return start

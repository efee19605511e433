"""Centre, scale and cold start of residuals: what makes one signal's error comparable with another's. No torch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from tickover.core.manifest import ColdStart
from tickover.core.values import DoubleArray, FloatArray
from tickover_train.data import Scaler, Trip

LEAST_SCALE: Final = 1e-2
"""Of a residual, in standard deviations of its signal. Two float32 implementations of one network differ by some 1e-7,
and a limit may be a tenth of the scale: a smaller scale would make a rounding error show in the score."""
STEP_SCALES: Final = 16.0
"""One step of a signal's own resolution is at most so many scales, the default ``charts.clip``: a smaller scale takes
no other view of the signal, it only magnifies rounding."""
OUTLIER: Final = 50.0
"""Residuals count for the scale up to this many robust spreads: one glitch must not blind a signal's charts."""
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
    steps = np.zeros(len(level))
    for signal in range(len(level)):
        seen = np.unique(np.concatenate([trip.values[:, signal] for trip in trips]))
        gaps = np.diff(seen[np.isfinite(seen)].astype(np.float64))
        steps[signal] = gaps.min(initial=np.inf) if len(gaps) else 0.0
    support = np.maximum(np.spacing(level), steps / STEP_SCALES) / scaler.scale
    least: FloatArray = np.maximum(support, LEAST_SCALE).astype(np.float32)
    return least


def standard(
    residuals: Sequence[FloatArray],
    warm_up: int,
    cold: Sequence[ColdStart] = (),
    period_s: float = 1.0,
    least: FloatArray | float = LEAST_SCALE,
) -> Scaler:
    """Centre and scale of residuals ``[T, F]`` of unseen trips, their first ``warm_up`` ticks left out.

    The centre is the median. The scale is the standard deviation with residuals held within ``OUTLIER`` robust spreads
    (the median absolute deviation): a spread that forgets the tails makes charts that live at their clip. Residuals
    are first divided by what their ``cold`` start widens them. ``least``: see ``least_scales``.
    """
    pooled = np.concatenate([trip[warm_up:] for trip in residuals]).astype(np.float64)
    spread = np.concatenate([spread_of(cold, len(trip), period_s)[warm_up:] for trip in residuals])
    center, scale = np.zeros(pooled.shape[1]), np.ones(pooled.shape[1])
    floor = np.broadcast_to(least, scale.shape)
    for signal, column in enumerate(pooled.T):
        seen = np.isfinite(column)
        if seen.any():
            center[signal] = np.median(column[seen])
            off = (column - center[signal])[seen] / np.broadcast_to(spread, pooled.shape)[seen, signal]
            reach = OUTLIER * max(1.4826 * float(np.median(np.abs(off))), float(floor[signal]))
            scale[signal] = max(float(np.sqrt(np.mean(np.clip(off, -reach, reach) ** 2))), floor[signal])
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
    known = [np.clip((part - usual.center) / usual.scale, -OUTLIER, OUTLIER) for part in (*trips, *legs)]
    edges = np.unique(np.geomspace(max(warm_up, 1), SETTLED_S / period_s, BINS + 1).round().astype(int))
    spreads = np.stack([_rms([part[first:end] for part in known]) for first, end in pairwise(edges)])
    return tuple(_cold_start(np.sqrt(edges[1:] * edges[:-1]) * period_s, column) for column in spreads.T)


def _rms(parts: Sequence[FloatArray]) -> DoubleArray:
    """Root mean square of each column, NaN where there is nothing: ``[F]``."""
    pooled = np.concatenate(parts).astype(np.float64)
    seen = np.isfinite(pooled)
    with np.errstate(invalid="ignore"):
        rms: DoubleArray = np.sqrt((np.where(seen, pooled, 0.0) ** 2).sum(0) / seen.sum(0))
    return rms


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

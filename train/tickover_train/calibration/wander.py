"""Signals whose level differs from trip to trip in a way that the network does not know. No torch.

Such a level says little about faults and much about the weather: the next season moves it again. It is found from the
training trips alone, by how far the residual's level differs between them against how far it spreads within.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover.core.values import FloatArray
from tickover_train.data import Scaler

LEAST_S: Final = 600.0
"""A shorter trip says nothing about its level."""
LEAST_TRIPS: Final = 8
"""With fewer trips no signal is said to wander."""
CLIP: Final = 8.0
"""Residuals count up to this many of their spreads."""
BETWEEN: Final = 0.1
"""A level wanders when its variance between trips is more than this part of the mean variance within. On ``kit-obd``
(two splits, two seeds each): ambient air 0.4 to 2.9, intake air 0.4 to 0.7, coolant 0.12 to 0.35; the other seven at
most 0.08.
"""


def wandering(residuals: Sequence[FloatArray], standard: Scaler, warm_up: int, period_s: float) -> list[bool]:
    """Whether the level of each signal wanders, ``[F]``; ``residuals`` ``[T, F]`` are those of unseen trips."""
    return [ratio > BETWEEN for ratio in between_within(residuals, standard, warm_up, period_s)]


def between_within(residuals: Sequence[FloatArray], standard: Scaler, warm_up: int, period_s: float) -> list[float]:
    """The variance of the trips' median residuals over the mean variance within a trip, ``[F]``; 0 where too few trips
    are long enough to say. The first ``warm_up`` ticks of each are left out.
    """
    found: list[list[tuple[float, float]]] = [[] for _ in standard.center]
    for trip in residuals:
        for signal, column in enumerate(((trip[warm_up:] - standard.center) / standard.scale).T):
            seen = np.clip(column[np.isfinite(column)], -CLIP, CLIP).astype(np.float64)
            if len(seen) >= LEAST_S / period_s:
                found[signal].append((float(np.median(seen)), float(seen.var())))
    return [_ratio(of) for of in found]


def _ratio(trips: Sequence[tuple[float, float]]) -> float:
    """``trips``: the median and the variance of each."""
    if len(trips) < LEAST_TRIPS:
        return 0.0
    levels, within = zip(*trips, strict=True)
    usual = float(np.mean(within))
    return float(np.var(levels)) / usual if usual > 0.0 else 0.0

"""Trips cut into legs: a delivery van's day, in which the network starts anew every few minutes."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover.core.values import FloatArray

LEG_S: Final = (180.0, 480.0)
"""Shortest and longest leg."""
LEAST_TICKS: Final = 2
"""Where ticks are so far apart that the shortest leg has fewer, nothing is cut."""


def cut_legs(trips: Sequence[FloatArray], period_s: float, seed: int) -> list[list[FloatArray]]:
    """Each trip ``[T, F]`` cut into legs of seeded length; a rest that is shorter than a leg is left out.

    No legs at all where ticks are minutes apart (``LEAST_TICKS``).
    """
    random = np.random.default_rng([seed, len(trips)])
    return [_cut(trip, period_s, random) for trip in trips]


def _cut(trip: FloatArray, period_s: float, random: np.random.Generator) -> list[FloatArray]:
    shortest = round(LEG_S[0] / period_s)
    first, legs = 0, list[FloatArray]()
    while len(trip) - first >= shortest >= LEAST_TICKS:
        last = min(first + round(random.uniform(*LEG_S) / period_s), len(trip))
        legs.append(trip[first:last])
        first = last
    return legs

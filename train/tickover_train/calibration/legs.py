"""Trips cut into legs: a delivery van's day, in which the network starts anew every few minutes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

Ticks = TypeVar("Ticks", bound=npt.NDArray[Any])

LEG_S: Final = (180.0, 480.0)
"""Shortest and longest leg."""
LEAST_TICKS: Final = 2
"""Where ticks are so far apart that the shortest leg has fewer, nothing is cut."""


def cut_legs(trips: Sequence[Ticks], period_s: float, seed: int) -> list[list[Ticks]]:
    """Each trip ``[T, ...]`` cut into legs of seeded length; a rest that is shorter than a leg is left out.

    No legs at all where ticks are minutes apart (``LEAST_TICKS``).
    """
    return list(legs_of(trips, len(trips), period_s, seed))


def legs_of(trips: Iterable[Ticks], number: int, period_s: float, seed: int) -> Iterator[list[Ticks]]:
    """The same of ``number`` trips, one after the other."""
    random = np.random.default_rng([seed, number])
    return (_cut(trip, period_s, random) for trip in trips)


def _cut(trip: Ticks, period_s: float, random: np.random.Generator) -> list[Ticks]:
    shortest = round(LEG_S[0] / period_s)
    first, legs = 0, list[Ticks]()
    while len(trip) - first >= shortest >= LEAST_TICKS:
        last = min(first + round(random.uniform(*LEG_S) / period_s), len(trip))
        leg: Ticks = trip[first:last]  # type: ignore[assignment]
        legs.append(leg)
        first = last
    return legs

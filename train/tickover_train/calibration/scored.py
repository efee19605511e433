"""The charts of clean trips, whole and in legs: in memory, or in files and read one trip at a time. No torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

from tickover.core.values import FloatArray
from tickover_train.stored.arrays import Arrays, Items, chosen, lengths
from tickover_train.stored.room import Room

LEAST_PEAK: Final = 1e-3
"""A score is never taken for less: limits are not lowered beyond this."""
IN_MEMORY: Final = 64 << 20
"""Bytes of scores that stay in memory: they are read dozens of times."""


@dataclass(frozen=True, slots=True)
class ScoredTrip:
    """One clean trip: ``charts`` float32 ``[T, C]`` over limits of 1, ``source`` names it; ``legs`` the same of its
    legs.
    """

    source: str
    charts: FloatArray
    legs: tuple[FloatArray, ...] = ()


class ScoredTrips(Items[ScoredTrip]):
    """Trips whose charts are kept elsewhere: ``whole`` of each, ``legs`` of all in order, ``numbers``: of each trip."""

    def __init__(self, sources: Sequence[str], whole: Arrays, legs: Arrays, numbers: Sequence[int]) -> None:
        self.sources, self._whole, self._legs = list(sources), whole, legs
        self._edges = [0, *accumulate(numbers)]

    def __len__(self) -> int:
        return len(self.sources)

    def at(self, place: int) -> ScoredTrip:
        legs = chosen(self._legs, range(*self._edges[place : place + 2]))
        return ScoredTrip(self.sources[place], self._whole[place], tuple(legs))


@dataclass(frozen=True, slots=True)
class TripScores:
    """Scores ``[T]`` of the ``pieces`` of one trip (the whole, or its legs), and the ``peak`` of each."""

    pieces: Sequence[FloatArray]
    peaks: list[float]

    @property
    def ticks(self) -> int:
        """Of all pieces."""
        return sum(lengths(self.pieces))

    @property
    def peak(self) -> float:
        """Of all pieces."""
        return max(self.peaks, default=LEAST_PEAK)


class ScoreKeeper:
    """Keeps scores as they come: ``IN_MEMORY`` bytes of them in memory, what is beyond as the room says."""

    def __init__(self, room: Room) -> None:
        self._arrays = room.arrays(IN_MEMORY)

    def keep(self, pieces: Iterable[FloatArray]) -> TripScores:
        """Those of one trip."""
        first, peaks = len(self._arrays), []
        for scores in pieces:
            self._arrays.append(scores)
            peaks.append(float(np.nanmax(scores, initial=LEAST_PEAK)))
        return TripScores(chosen(self._arrays, range(first, len(self._arrays))), peaks)

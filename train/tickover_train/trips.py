"""Recorded trips, and sequences of them that are read from a file one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tickover.core.values import FloatArray, TickBlock
from tickover_train.stored.arrays import Items, StoredArrays, chosen
from tickover_train.stored.room import Room


@dataclass(frozen=True, slots=True)
class Trip:
    """One trip: ``values`` float32 ``[T, F]`` in engineering units, NaN = missing.

    ``source`` names its log, and its place there when the log holds several. ``start``: event time of the first tick,
    microseconds. ``outside``: as in a ``TickBlock``. ``read``: the values with what was left out of them as a defect;
    None: nothing was.
    """

    source: str
    values: FloatArray
    start: int = 0
    outside: FloatArray | None = None
    read: FloatArray | None = None

    def block(self, period: int) -> TickBlock:
        """The trip as ticks of ``period`` microseconds."""
        time = self.start + period * np.arange(len(self.values), dtype=np.int64)
        return TickBlock(self.source, time, np.zeros(len(time), np.int64), self.values, self.outside)

    def block_as_read(self, period: int) -> TickBlock:
        """The same with what was left out: a sensor that jumped was read all the same."""
        return self.block(period) if self.read is None else replace(self, values=self.read).block(period)


class _Head(NamedTuple):
    """What is known of a stored trip without reading it; ``outside`` and ``read`` are places, None for none."""

    source: str
    start: int
    values: int
    outside: int | None
    read: int | None


class StoredTrips(Items[Trip]):
    """Trips whose ticks lie in a file; an access reads one into memory."""

    def __init__(self, arrays: StoredArrays, heads: list[_Head] | None = None) -> None:
        self._arrays, self._heads = arrays, heads or []

    def append(self, trip: Trip) -> None:
        """Add one."""
        places = [self._keep(part) for part in (trip.values, trip.outside, trip.read)]
        self._heads.append(_Head(trip.source, trip.start, places[0] or 0, places[1], places[2]))

    @property
    def sources(self) -> list[str]:
        """Of each."""
        return [head.source for head in self._heads]

    @property
    def starts(self) -> list[int]:
        """Event time of the first tick of each, microseconds."""
        return [head.start for head in self._heads]

    @property
    def values(self) -> Sequence[FloatArray]:
        """Of each, read when it is asked for; nothing else of the trip is."""
        return chosen(self._arrays, [head.values for head in self._heads])

    def some(self, places: Sequence[int]) -> "StoredTrips":
        return StoredTrips(self._arrays, [self._heads[place] for place in places])

    def __len__(self) -> int:
        return len(self._heads)

    def at(self, place: int) -> Trip:
        head = self._heads[place]
        outside, read = (None if part is None else self._arrays[part] for part in (head.outside, head.read))
        return Trip(head.source, self._arrays[head.values], head.start, outside, read)

    def _keep(self, values: FloatArray | None) -> int | None:
        if values is None:
            return None
        self._arrays.append(values)
        return len(self._arrays) - 1

    def arrange(self, first: int, places: Sequence[int], names: Sequence[str]) -> None:
        """See ``arrange``."""
        late = [head._replace(source=name) for head, name in zip(self._heads[first:], names, strict=True)]
        self._heads[first:] = [late[place] for place in places]


Trips = list[Trip] | StoredTrips
"""Trips to add to: in memory, or in a file."""


def new_trips(room: Room) -> Trips:
    """No trips yet, to be kept there."""
    arrays = room.arrays()
    return StoredTrips(arrays) if isinstance(arrays, StoredArrays) else []


def arrange(trips: Trips, first: int, places: Sequence[int], names: Sequence[str]) -> None:
    """Name the trips from number ``first`` on, and put them in the order of ``places``, which count from there."""
    if isinstance(trips, StoredTrips):
        trips.arrange(first, places, names)
    else:
        late = [replace(trip, source=name) for trip, name in zip(trips[first:], names, strict=True)]
        trips[first:] = [late[place] for place in places]


def values_of(trips: Sequence[Trip]) -> Sequence[FloatArray]:
    """The ticks ``[T, F]`` of each trip, read when they are asked for."""
    return trips.values if isinstance(trips, StoredTrips) else [trip.values for trip in trips]


def sources_of(trips: Sequence[Trip]) -> list[str]:
    """What each trip is called."""
    return trips.sources if isinstance(trips, StoredTrips) else [trip.source for trip in trips]


def starts_of(trips: Sequence[Trip]) -> list[int]:
    """When each trip starts, microseconds of event time."""
    return trips.starts if isinstance(trips, StoredTrips) else [trip.start for trip in trips]


def some_of(trips: Sequence[Trip], places: Sequence[int]) -> Sequence[Trip]:
    """The trips at ``places``, in their order."""
    return trips.some(places) if isinstance(trips, StoredTrips) else [trips[place] for place in places]

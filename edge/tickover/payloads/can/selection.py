"""Decoded signals to rows of readings: which origin a wanted signal takes, and what is left out, counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, TimeArray
from tickover.payloads.can.decoder import REASONS, Decoded, Origin
from tickover.payloads.can.interpreter import Interpreted, Interpreter

OTHER: Final = "other source"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A signal that is wanted: its name in the catalogue, and its origin as far as that is settled."""

    name: str
    origin: Origin

    def fits(self, origin: Origin) -> bool:
        """Whether a reading from there may be its reading."""
        return all(mine in (None, its) for mine, its in zip(self.origin, origin, strict=True))


class Selection:
    """Rows ``[N, F]`` of the wanted signals, in their order, from what an interpreter makes of frames.

    A signal whose origin is open takes the first origin from which it has a value, and keeps it. ``tell`` is called
    once for each other origin that has values of its own.
    """

    def __init__(self, wanted: Sequence[Wanted], counts: Counter[str], tell: Callable[[str], None]) -> None:
        self._wanted = tuple(wanted)
        self._places: dict[str, list[int]] = {}
        for place, one in enumerate(self._wanted):
            self._places.setdefault(one.name, []).append(place)
        self._owner: dict[int, Origin] = {}
        self._told: set[tuple[int, Origin]] = set()
        self._counts, self._tell = counts, tell

    @property
    def names(self) -> frozenset[str]:
        """The names in the catalogue that are wanted."""
        return frozenset(self._places)

    def rows(self, interpreter: Interpreter, block: Interpreted) -> tuple[TimeArray, DoubleArray]:
        """Times ``[N]`` and values ``[N, F]`` of a block; a row for each frame or message with a reading."""
        self._settle(interpreter, block.decoded)
        taken = list(self._taken(interpreter, block.decoded))
        has = np.zeros(len(block.time), bool)
        for _, decoded in taken:
            has[decoded.rows[decoded.why == 0]] = True
        row = np.cumsum(has) - 1
        values = np.full((int(has.sum()), len(self._wanted)), np.nan)
        for place, decoded in taken:
            there = decoded.why == 0
            values[row[decoded.rows[there]], place] = decoded.values[there]
        return block.time[has], values

    def _settle(self, interpreter: Interpreter, decoded: Iterable[Decoded]) -> None:
        """Give signals whose origin is open that of their first reading, in order of arrival.

        Decoded signals come by identifier, and how many frames are in a block is chance: neither may decide.
        """
        if len(self._owner) == len(self._wanted):
            return
        first: dict[int, tuple[int, Origin]] = {}
        for one in decoded:
            there = one.rows[one.why == 0]
            if not len(there):
                continue
            row = int(there.min())
            for place in self._places.get(interpreter.column_of(one), ()):
                if place in self._owner or not self._wanted[place].fits(one.origin):
                    continue
                if place not in first or row < first[place][0]:
                    first[place] = (row, one.origin)
        self._owner |= {place: origin for place, (_, origin) in first.items()}

    def _taken(self, interpreter: Interpreter, decoded: Iterable[Decoded]) -> Iterable[tuple[int, Decoded]]:
        """The decoded signals with their places in a row; the rest, and what is no reading, is counted."""
        for one in decoded:
            name = interpreter.column_of(one)
            for place in self._places.get(name, ()):
                if self._owns(place, one, name):
                    self._count(name, one)
                    yield place, one

    def _owns(self, place: int, one: Decoded, name: str) -> bool:
        if not self._wanted[place].fits(one.origin):
            return False
        if self._owner.get(place, one.origin) == one.origin:
            return True
        number = int(np.count_nonzero(one.why == 0))
        if number:
            self._counts[f"{name} of {OTHER}"] += number
            if (place, one.origin) not in self._told:
                self._told.add((place, one.origin))
                owner, other = self._owner[place], one.origin
                told = (str(owner), str(other)) if owner.bus == other.bus else (owner.with_bus, other.with_bus)
                self._tell(
                    f"signal {name}: source {told[0]} is read; source {told[1]} has values of its own, "
                    f"left out: map {name}@{told[1]} to a signal to read it"
                )
        return False

    def _count(self, name: str, one: Decoded) -> None:
        for why in np.unique(one.why[one.why != 0]).tolist():
            self._counts[f"{name} {REASONS[why]}"] += int(np.count_nonzero(one.why == why))

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
        return (self.origin.source in (None, origin.source)) and (self.origin.location in (None, origin.location))


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
        if place not in self._owner:
            if not (one.why == 0).any():
                return True
            self._owner[place] = one.origin
        if self._owner[place] == one.origin:
            return True
        number = int(np.count_nonzero(one.why == 0))
        if number:
            self._counts[f"{name} of {OTHER}"] += number
            if (place, one.origin) not in self._told:
                self._told.add((place, one.origin))
                self._tell(
                    f"signal {name}: source {self._owner[place]} is read; source {one.origin} has values of its own, "
                    f"left out: map {name}@{one.origin} to a signal to read it"
                )
        return False

    def _count(self, name: str, one: Decoded) -> None:
        for why in np.unique(one.why[one.why != 0]).tolist():
            self._counts[f"{name} {REASONS[why]}"] += int(np.count_nonzero(one.why == why))

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
SILENT_AFTER: Final = 200
"""Values of another source after which the mapped one is said to be silent: it may only begin a little later."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A signal that is wanted: its name in the catalogue, and its origin as far as that is settled."""

    name: str
    origin: Origin

    def fits(self, origin: Origin) -> bool:
        """Whether a reading from there may be its reading."""
        return self.origin.covers(origin)


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
        self._told: set[tuple[str, Origin]] = set()
        self._others: Counter[tuple[str, Origin]] = Counter()
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
            taken = [place for place in self._places.get(name, ()) if self._owns(place, one)]
            for place in taken:
                self._count(name, one)
                yield place, one
            if not taken and name in self._places:
                self._leave(name, one)

    def _owns(self, place: int, one: Decoded) -> bool:
        return self._wanted[place].fits(one.origin) and self._owner.get(place, one.origin) == one.origin

    def _leave(self, name: str, one: Decoded) -> None:
        """Count values of an origin that no wanted signal takes, and tell of it once."""
        number = int(np.count_nonzero(one.why == 0))
        if not number:
            return
        self._counts[f"{name} of {OTHER}"] += number
        self._others[name, one.origin] += number
        owner = next((self._owner[place] for place in self._places[name] if place in self._owner), None)
        if owner is None:
            if self._others[name, one.origin] >= SILENT_AFTER:
                self._tell_silent(name, one.origin)
        elif any(self._wanted[place].fits(one.origin) for place in self._places[name]):
            self._tell_once(
                name,
                one.origin,
                f"signal {name}: source {_told(owner, one.origin)} is read; source {_told(one.origin, owner)} has "
                f"values of its own, left out: map {name}@{_told(one.origin, owner)} to a signal to read it",
            )

    def finish(self) -> None:
        """The recording ends: tell of signals whose own source had no value while others had."""
        for name, origin in list(self._others):
            if not any(place in self._owner for place in self._places[name]):
                self._tell_silent(name, origin)

    def _tell_silent(self, name: str, other: Origin) -> None:
        mapped = self._wanted[self._places[name][0]].origin
        self._tell_once(
            name,
            other,
            f"signal {name}: source {_told(mapped, other)}, which is mapped, has no value; source "
            f"{_told(other, mapped)} has: map {name}@{_told(other, mapped)} to read it",
        )

    def _tell_once(self, name: str, origin: Origin, text: str) -> None:
        if (name, origin) not in self._told:
            self._told.add((name, origin))
            self._tell(text)

    def _count(self, name: str, one: Decoded) -> None:
        for why in np.unique(one.why[one.why != 0]).tolist():
            self._counts[f"{name} {REASONS[why]}"] += int(np.count_nonzero(one.why == why))


def _told(origin: Origin, beside: Origin) -> str:
    """An origin for a message, with its bus where that differs from the other one's."""
    return str(origin) if beside.bus in (None, origin.bus) or origin.bus is None else origin.with_bus

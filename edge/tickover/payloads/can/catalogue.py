"""Which message a frame is, and which signals it holds: the contents of DBC files, or of the shipped table."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from tickover.payloads.can import j1939
from tickover.payloads.can.frames import EXTENDED, EXTENDED_MASK
from tickover.payloads.can.layouts import SignalLayout

OBD_MARK: Final = 0x2000_0000
"""The bit of a key that stands for a PID of an OBD-II answer, with the ECU in bits 8 to 15: no data frame has it."""
J1939Mode = Literal["auto", "on", "off"]
LOCATION_SPNS: Final = frozenset((927, 928, 929))
"""SPNs that say where on the vehicle the other signals of the same message were measured: location, axle, tyre."""
LOCATED_PGNS: Final = frozenset((0xFEF4, 0xFEEA))
"""Tyre condition and vehicle weight: their first byte is such a location."""


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """One message: ``key`` is its identifier with ``EXTENDED``; ``is_j1939``: it is known by its PGN alone."""

    name: str
    key: int
    signals: tuple[SignalLayout, ...]
    is_j1939: bool = False

    @property
    def is_obd(self) -> bool:
        """Whether it is a PID of an OBD-II answer."""
        return bool(self.key & OBD_MARK and not self.key & EXTENDED)

    def source_of(self, key: int) -> int | None:
        """The source address of one of its frames, or the ECU of an answer; None where there is none."""
        if self.is_obd:
            return key >> 8 & 0xFF
        return key & 0xFF if self.is_j1939 else None

    @property
    def pgn(self) -> int:
        """The parameter group number of its identifier."""
        return j1939.parts(self.key).pgn

    @property
    def location(self) -> SignalLayout | None:
        """The signal that says where the others were measured, in J1939."""
        if not self.is_j1939:
            return None
        for signal in self.signals:
            named = signal.spn in LOCATION_SPNS
            if named or (self.pgn in LOCATED_PGNS and (signal.start, signal.length) == (0, 8)):
                return signal
        return None


@dataclass(frozen=True)
class Catalogue:
    """Messages by identifier and by PGN. ``warnings``: what is wrong with the files, loaded all the same.

    A signal whose name is in several messages is called ``Message.Signal``; ``column_of`` has the name of each.
    """

    messages: tuple[MessageLayout, ...]
    warnings: tuple[str, ...] = ()
    _by_key: dict[int, MessageLayout] = field(init=False, default_factory=dict)
    _by_pgn: dict[int, list[MessageLayout]] = field(init=False, default_factory=dict)
    _columns: dict[tuple[str, str], str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        names = Counter(signal.name for message in self.messages for signal in message.signals)
        for message in self.messages:
            if message.is_j1939:
                self._by_pgn.setdefault(message.pgn, []).append(message)
            else:
                self._by_key.setdefault(message.key, message)
            for signal in message.signals:
                column = signal.name if names[signal.name] == 1 else f"{message.name}.{signal.name}"
                self._columns[message.name, signal.name] = column

    @property
    def is_j1939(self) -> bool:
        """Whether some message is known by its PGN: packets and trouble codes of J1939 are then read."""
        return bool(self._by_pgn)

    @property
    def has_obd(self) -> bool:
        """Whether answers of OBD-II are among the messages."""
        return any(message.is_obd for message in self.messages)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all signals."""
        return tuple(dict.fromkeys(self._columns.values()))

    def column_of(self, message: MessageLayout, signal: SignalLayout) -> str:
        """A signal's name among all."""
        return self._columns[message.name, signal.name]

    def find(self, key: int) -> MessageLayout | None:
        """The message of a frame; None when it is unknown."""
        if key & OBD_MARK and not key & EXTENDED:
            return self._by_key.get(OBD_MARK | key & 0xFF)
        exact = self._by_key.get(key)
        if exact or not key & EXTENDED:
            return exact
        parts = j1939.parts(key)
        known = self._by_pgn.get(parts.pgn)
        if not known:
            return None
        # One PGN may stand in a DBC once per source; the null address stands for all of them.
        return next((message for message in known if message.key & 0xFF == parts.source), known[0])

    def only_by_pgn(self, key: int) -> MessageLayout | None:
        """The message that an unknown 29-bit frame would be if identifiers counted by PGN alone."""
        if not key & EXTENDED:
            return None
        pgn = j1939.parts(key).pgn
        return next((one for one in self.messages if one.key & EXTENDED and not one.is_j1939 and one.pgn == pgn), None)

    def knows_pgn(self, pgn: int) -> bool:
        """Whether some message is known by this PGN."""
        return pgn in self._by_pgn


def catalogue_of(messages: Iterable[MessageLayout], warnings: Sequence[str] = ()) -> Catalogue:
    """A catalogue of messages, of which each name occurs once: a later one of the same name gets its identifier."""
    taken: set[str] = set()
    unique = []
    for message in messages:
        if message.name in taken:
            message = replace(message, name=f"{message.name}_{message.key & EXTENDED_MASK:X}")
        taken.add(message.name)
        unique.append(message)
    twice = [f"{shown_id(key)} is defined {count} times; the first counts" for key, count in _repeated(unique).items()]
    # A message whose identifier is taken is never found: its signals would only make the names of the first one longer.
    first: dict[int, MessageLayout] = {}
    for message in unique:
        first.setdefault(message.key, message)
    return Catalogue(tuple(first.values()), (*warnings, *twice))


def _repeated(messages: Sequence[MessageLayout]) -> Mapping[int, int]:
    counts = Counter(message.key for message in messages)
    return {key: count for key, count in counts.items() if count > 1}


def shown_id(key: int) -> str:
    """An identifier for a message: three digits or eight, as its bits."""
    return f"id 0x{key & EXTENDED_MASK:08X}" if key & EXTENDED else f"id 0x{key:03X}"

"""Frames to readings of the signals that are wanted, message by message over a whole block.

A signal of J1939 is known by its name, its source address and, where its message says one, the location that it was
measured at: ``EngineSpeed@00``, ``TirePressure@33.10``. A wanted signal that names no source takes the first that has a
value; readings of the others are counted, never merged.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core.values import DoubleArray
from tickover.payloads.can import j1939
from tickover.payloads.can.catalogue import MessageLayout
from tickover.payloads.can.frames import ByteArray, Frames
from tickover.payloads.can.layouts import RawArray, SignalLayout

QUALIFIER: Final = "@"
"""What follows it in a signal's column is a source address and perhaps a location, in hexadecimal, and perhaps the bus
behind a dash, or the bus alone: ``Speed@00``, ``TirePressure@33.10``, ``Speed@00-can1``, ``Speed@can1``."""
_SOURCE: Final = re.compile(r"([0-9A-Fa-f]{1,2})?(?:\.([0-9A-Fa-f]{1,2}))?")
SHORT: Final = 4
"""Beside ``j1939.Missing``: the frame is too short for the signal."""
REASONS: Final = {**{int(why): word for why, word in j1939.WORDS.items()}, SHORT: "frame too short"}

BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]


class Origin(NamedTuple):
    """Where a signal comes from: None where there is nothing to tell apart. ``bus``: the name of the bus."""

    source: int | None = None
    location: int | None = None
    bus: str | None = None

    def __str__(self) -> str:
        source = "" if self.source is None else f"{self.source:02X}"
        return source if self.location is None else f"{source}.{self.location:02X}"

    def covers(self, origin: "Origin") -> bool:
        """Whether what comes from ``origin`` comes from here, as far as this one is settled."""
        return all(mine in (None, its) for mine, its in zip(self, origin, strict=True))

    @property
    def with_bus(self) -> str:
        """The same with the bus's name: ``00-can1``, or ``can1`` alone."""
        where = str(self)
        if self.bus is None:
            return where
        return f"{where}-{self.bus}" if where or _SOURCE.fullmatch(self.bus) or "-" in self.bus else self.bus


@dataclass(frozen=True, slots=True)
class Decoded:
    """The readings of one signal from one origin in a block of frames.

    ``rows`` int ``[N]``: the frames; ``values`` float64 ``[N]``, NaN = none; ``why`` uint8 ``[N]``: the reason for
    that (``REASONS``), 0 otherwise.
    """

    message: MessageLayout
    signal: SignalLayout
    origin: Origin
    rows: IndexArray
    values: DoubleArray
    why: npt.NDArray[np.uint8]


def split_column(column: str) -> tuple[str, Origin]:
    """The signal's name and its origin, from a column such as ``TirePressure@33.10``."""
    name, mark, text = column.rpartition(QUALIFIER)
    if not mark:
        return column, Origin()
    where, dash, bus = text.partition("-")
    match = _SOURCE.fullmatch(where)
    if match is None:
        return name, Origin(bus=text)
    source, location = (None if digits is None else int(digits, 16) for digits in match.groups())
    return name, Origin(source, location, bus if dash else None)


def groups_by_bus(frames: Frames, rows: IndexArray | None) -> Iterator[tuple[int, str, IndexArray]]:
    """Each key that occurs on each bus among some rows (None: all), with the bus's name and the rows that have it."""
    channel = frames.channel if rows is None else frames.channel[rows]
    for number in np.unique(channel).tolist():
        here = np.flatnonzero(channel == number)
        at = rows
        if len(here) < len(channel):
            at = here if rows is None else rows[here]
        keys = frames.key if at is None else frames.key[at]
        for key, found in groups(keys):
            yield key, frames.bus(number), found if at is None else at[found]


def groups(keys: npt.NDArray[np.uint32]) -> Iterator[tuple[int, IndexArray]]:
    """Each key that occurs, with the rows that have it, in order."""
    if not len(keys):
        return
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        yield int(ordered[start]), order[start:end]


def decode(
    frames: Frames,
    rows: IndexArray,
    key: int,
    message: MessageLayout,
    signals: Sequence[SignalLayout],
    counts: Counter[str],
    bus: str | None = None,
) -> Iterator[Decoded]:
    """The given signals of the frames ``rows``, which are all of one key and bus."""
    if not signals:
        return
    origin = Origin(message.source_of(key), bus=bus)
    data, length = frames.data[rows], frames.length[rows]
    pages = _Pages(message, data, length)
    counts["unknown_page"] += pages.unknown
    location = message.location
    for signal in signals:
        there = pages.holds(signal)
        if there is not None and not there.any():
            continue
        picked = slice(None) if there is None else there
        one = _signal(message, signal, data[picked], length[picked])
        if location is None or signal is location:
            yield Decoded(message, signal, origin, rows[picked], *one)
        else:
            yield from _by_location(message, signal, location, origin, rows[picked], data[picked], length[picked], one)


def _signal(
    message: MessageLayout, signal: SignalLayout, data: ByteArray, length: npt.NDArray[np.int64]
) -> tuple[DoubleArray, npt.NDArray[np.uint8]]:
    """Values and reasons of one signal in payloads ``[N, W]``."""
    whole = signal.is_in(length)
    if not whole.any():
        return np.full(len(length), np.nan), np.full(len(length), SHORT, np.uint8)
    raw = signal.raw(data)
    values = signal.number(raw)
    why = j1939.missing(signal, raw) if message.is_j1939 else None
    if why is None:
        why = np.zeros(len(raw), np.uint8)
    if not whole.all():
        why[~whole] = SHORT
    values[why != 0] = np.nan
    return values, why


def _by_location(
    message: MessageLayout,
    signal: SignalLayout,
    location: SignalLayout,
    origin: Origin,
    rows: IndexArray,
    data: ByteArray,
    length: npt.NDArray[np.int64],
    one: tuple[DoubleArray, npt.NDArray[np.uint8]],
) -> Iterator[Decoded]:
    """One signal, told apart by the location that each frame names."""
    values, why = one
    places = _raw(location, data, length)
    for place in np.unique(places).tolist():
        at = places == place
        yield Decoded(message, signal, origin._replace(location=int(place)), rows[at], values[at], why[at])


def _raw(signal: SignalLayout, data: ByteArray, length: npt.NDArray[np.int64]) -> RawArray:
    """The raw bits, 0 where the frame is too short."""
    whole = signal.is_in(length)
    return np.where(whole, signal.raw(data), np.uint64(0)) if whole.any() else np.zeros(len(length), np.uint64)


class _Pages:
    """Which of a message's frames hold a multiplexed signal, through multiplexers of multiplexers."""

    def __init__(self, message: MessageLayout, data: ByteArray, length: npt.NDArray[np.int64]) -> None:
        self._signals = {signal.name: signal for signal in message.signals}
        self._data, self._length = data, length
        self._known: dict[str, BoolArray] = {}
        self.unknown = self._unknown(message)

    def holds(self, signal: SignalLayout) -> BoolArray | None:
        """Bool ``[N]``; None when it is in all of them."""
        if signal.pages is None or signal.pages[0] not in self._signals:
            return None
        if signal.name not in self._known:
            selector = self._signals[signal.pages[0]]
            # Registered before the multiplexer is followed, so that a DBC whose multiplexers name each other ends.
            self._known[signal.name] = np.ones(len(self._length), bool)
            raw = _raw(selector, self._data, self._length)
            there = np.isin(raw, np.array(sorted(signal.pages[1]), np.uint64)) & selector.is_in(self._length)
            above = self.holds(selector)
            self._known[signal.name] = there if above is None else there & above
        return self._known[signal.name]

    def _unknown(self, message: MessageLayout) -> int:
        """Frames at whose multiplexer's value the DBC has no page."""
        on_pages = [signal for signal in message.signals if signal.pages is not None]
        if not on_pages:
            return 0
        held = [there for signal in on_pages if (there := self.holds(signal)) is not None]
        return int(np.count_nonzero(~np.any(held, axis=0))) if held else 0

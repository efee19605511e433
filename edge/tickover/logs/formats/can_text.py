"""Recordings of a bus that are text: lines to frames, a block of lines at a time.

A format gives one pattern for its usual line and a function for every other. Where all lines of a block are usual, the
block is read without a loop over its lines.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import BinaryIO, Final, NamedTuple, Protocol

import numpy as np

from tickover.core.time_format import EARLIEST, LATEST
from tickover.core.values import SECOND, TimeArray
from tickover.errors import LogError
from tickover.logs.formats import can_columns
from tickover.logs.formats.base import Job
from tickover.logs.formats.rows import BadRowError
from tickover.logs.formats.text import blocks
from tickover.payloads.can.frames import (
    CLASSIC_BYTES,
    EXTENDED_MASK,
    FD_BYTES,
    NO_NAMES,
    STANDARD_MASK,
    Frames,
    joined,
    key_of,
    of_bytes,
    of_payloads,
)

MAX_CHANNELS: Final = 255
MAX_BUS: Final = 32
"""Characters of a bus's name."""
FD_LENGTHS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
"""Bytes of a CAN FD frame by its length code."""
SHOWN: Final = 60


class Row(NamedTuple):
    """One data frame of a line that is not the usual one. ``time`` in microseconds."""

    time: int
    key: int
    payload: bytes
    channel: int = 0


class Channels(dict[bytes, int]):
    """The buses of a recording by their name, numbered as they come; all beyond the last number share it.

    ``names``: by number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}

    def __missing__(self, name: bytes) -> int:
        number = min(len(self), MAX_CHANNELS)
        if number < MAX_CHANNELS:
            self[name] = number
            self.names[number] = "".join(filter(str.isprintable, name.decode("utf-8", "replace")))[:MAX_BUS]
        return number


class Lines(Protocol):
    """What a text format gives to `read`."""

    pattern: "re.Pattern[bytes]"
    """A usual line, without its end."""
    fixed: "re.Pattern[bytes] | None"
    """The same for `can_columns`; None where usual lines have no fixed columns."""

    @property
    def buses(self) -> Mapping[int, str]:
        """The names of the buses, by their number; one without a name is called by its number."""

    def key(self, text: bytes) -> int:
        """The key of an identifier as it is written. BadRowError when it is none."""

    def channel(self, bus: bytes) -> int:
        """The number of a bus."""

    def times(self, stamps: TimeArray) -> TimeArray:
        """Microseconds from the millionths of the format's unit, in the order of the lines."""

    def usual(self, groups: Sequence[tuple[bytes, ...]]) -> Frames:
        """The frames of usual lines, by the pattern's groups. BadRowError when one of them is wrong after all."""

    def other(self, line: bytes) -> Row | None:
        """The frame of another line; None for none, counted. BadRowError when it cannot be read."""

    def skip(self, line: bytes) -> None:
        """A line is lost, which neither `usual` nor `other` took: where times count from the line before, from it."""

    def changes(self, line: bytes) -> bool:
        """Whether the lines after this one are read differently: `other` is then called once all before are read."""


def read(stream: BinaryIO, job: Job, lines: Lines) -> Iterator[Frames]:
    """Blocks of frames; a bad line is counted and told with its number."""
    number = 1
    for block in blocks(stream, job.name):
        block = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        if lines.fixed is not None:
            columns = can_columns.read(block, lines.fixed)
            frames = _frames(columns, lines) if columns.is_read.all() else None
            if frames is not None:
                number += len(frames)
                yield frames
                continue
        count = block.count(b"\n")
        yield from _mixed(block.split(b"\n")[:count], lines, job, number)
        number += count


def _frames(columns: can_columns.Columns, lines: Lines) -> Frames | None:
    """The frames of a block in which all lines were read by their columns; None when an identifier is none."""
    key = np.zeros(len(columns.number), np.uint32)
    channel = np.zeros(len(columns.number), np.uint8)
    for shape, (identifier, bus) in enumerate(columns.shapes):
        rows = columns.shape == shape
        # A bus has few identifiers: each is looked at once, by its text in the shape of this line.
        numbers, place = np.unique(columns.number[rows], return_inverse=True)
        width = len(identifier.rstrip(b"x"))
        mark = identifier[width:]
        try:
            keys = [lines.key(b"%0*X" % (width, n) + mark) for n in numbers.tolist()]
        except BadRowError:
            return None
        key[rows] = np.array(keys, np.uint32)[place]
        channel[rows] = lines.channel(bus)
    return Frames(lines.times(columns.stamp), key, columns.length, columns.data, channel, lines.buses)


def _mixed(block: Sequence[bytes], lines: Lines, job: Job, number: int) -> Iterator[Frames]:
    """Lines of which some are not the usual ones, in their order."""
    pattern = lines.pattern
    matches = list(map(pattern.fullmatch, block))
    begun = 0
    rows: list[tuple[int, Row]] = []
    for at in range(len(block)):
        if matches[at] is not None or not block[at].strip():
            continue
        if lines.changes(block[at]):
            yield from _run(block, matches, rows, begun, at, lines, job, number)
            begun, rows = at + 1, []
        try:
            row = lines.other(block[at])
        except BadRowError as error:
            job.bad(number + at, error)
            _skip(lines, block[at])
        else:
            if row is not None:
                rows.append((at, row))
        if lines.pattern is not pattern:
            pattern = lines.pattern
            matches[at + 1 :] = map(pattern.fullmatch, block[at + 1 :])
    yield from _run(block, matches, rows, begun, len(block), lines, job, number)


def _run(
    block: Sequence[bytes],
    matches: Sequence["re.Match[bytes] | None"],
    rows: Sequence[tuple[int, Row]],
    begin: int,
    end: int,
    lines: Lines,
    job: Job,
    number: int,
) -> Iterator[Frames]:
    """The frames of the lines ``begin`` to ``end``: those that match, and the rows of the others."""
    places = [at for at in range(begin, end) if matches[at] is not None]
    groups = [match.groups(b"") for match in matches[begin:end] if match is not None]
    usual = _usual_at(block, groups, places, lines, job, number) if groups else iter(())
    if not rows:
        yield from usual
        return
    parts = list(usual)
    whole = len(parts) == 1 and len(parts[0]) == len(places)
    others = of_payloads(
        [row.time for _, row in rows],
        [row.key for _, row in rows],
        [row.payload for _, row in rows],
        [row.channel for _, row in rows],
        lines.buses,
    )
    everything = joined([*parts, others])
    if whole:
        order = np.argsort(np.array([*places, *(at for at, _ in rows)]), kind="stable")
        everything = everything.part(order)
    else:
        everything = everything.part(np.argsort(everything.time, kind="stable"))
    yield everything


def _usual_at(
    block: Sequence[bytes],
    groups: Sequence[tuple[bytes, ...]],
    places: Sequence[int],
    lines: Lines,
    job: Job,
    number: int,
) -> Iterator[Frames]:
    try:
        yield lines.usual(groups)
    except BadRowError:
        for at, one in zip(places, groups, strict=True):
            try:
                yield lines.usual([one])
            except BadRowError as error:
                job.bad(number + at, error)
                _skip(lines, block[at])


def _skip(lines: Lines, line: bytes) -> None:
    """Pass over a lost line; its time may be what is wrong with it."""
    with contextlib.suppress(BadRowError):
        lines.skip(line)


def seconds(texts: Sequence[bytes], unit: float = SECOND) -> TimeArray:
    """Times in microseconds of numbers as text; ``unit``: microseconds in one. Exact up to the year 2200."""
    numbers = np.array(list(map(float, texts))) * unit
    if len(numbers) and not (numbers.min() >= EARLIEST and numbers.max() <= LATEST):
        raise BadRowError("expected a time of the years 1 to 9999")
    return np.rint(numbers).astype(np.int64)


def hexadecimal(texts: Sequence[bytes], separated: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lengths int64 ``[N]`` and all bytes one after another, of payloads as text (``F3 00`` or ``F300``)."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    flat = np.frombuffer(bytes.fromhex(b" ".join(texts).decode("ascii")), np.uint8)
    return (lengths + 1) // 3 if separated else lengths // 2, flat


def decimal(texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The same of payloads as decimal numbers (``243 0``)."""
    words = [text.split() for text in texts]
    numbers = np.array(list(map(int, chain.from_iterable(words))), np.int64)
    if len(numbers) and numbers.max() > 255:
        raise BadRowError(f"expected bytes up to 255, got {numbers.max()}")
    return np.fromiter(map(len, words), np.int64, len(words)), numbers.astype(np.uint8)


def frames_of(
    time: TimeArray,
    key: Sequence[int],
    payload: tuple[np.ndarray, np.ndarray],
    channel: Sequence[int],
    buses: Mapping[int, str] = NO_NAMES,
) -> Frames:
    """Frames of a block's columns."""
    return of_bytes(time, np.array(key, np.uint32), *payload, np.array(channel, np.uint8), buses)


def checked_key(text: bytes, base: int, extended: bool) -> int:
    """An identifier's key; BadRowError when it has too many bits."""
    try:
        identifier = int(text, base)
    except ValueError:
        raise BadRowError(f"expected an identifier, got {shown(text)}") from None
    limit = EXTENDED_MASK if extended else STANDARD_MASK
    if identifier > limit:
        raise BadRowError(f"expected an identifier of at most {29 if extended else 11} bits, got 0x{identifier:X}")
    return key_of(identifier, extended)


def checked_payload(text: bytes, fd: bool = False) -> bytes:
    """A payload's bytes from hexadecimal text, with or without spaces; BadRowError when it is none or too long."""
    try:
        payload = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise BadRowError(f"expected bytes in pairs of hexadecimal digits, got {shown(text)}") from None
    limit = FD_BYTES if fd else CLASSIC_BYTES
    if len(payload) > limit or (fd and len(payload) not in FD_LENGTHS):
        expected = "a length of CAN FD" if len(payload) <= limit else f"at most {limit} bytes"
        raise BadRowError(f"expected {expected}, got {len(payload)} bytes")
    return payload


def shown(line: bytes) -> str:
    """A piece of a line for a message: printable, short."""
    text = ascii(line[: SHOWN + 1].decode("latin-1"))
    return text if len(line) <= SHOWN else f"{text[:SHOWN]}…'"


class Keys(dict[bytes, int]):
    """Identifiers' keys by their text: a bus has few, and each is read once."""

    LIMIT: Final = 65_536

    def __init__(self, base: int, mark: bytes = b"", standard_digits: int = 0) -> None:
        super().__init__()
        self._base, self._mark, self._digits = base, mark, standard_digits

    def __missing__(self, text: bytes) -> int:
        if self._mark:
            extended, digits = text.endswith(self._mark), text.removesuffix(self._mark)
        else:
            extended, digits = len(text) > self._digits, text
        key = checked_key(digits, self._base, extended)
        if len(self) < self.LIMIT:
            self[text] = key
        return key


def first_lines(stream: BinaryIO, name: str, number: int) -> list[bytes]:
    """The first lines of a log that are not empty."""
    lines: list[bytes] = []
    for block in blocks(stream, name):
        lines += [line.rstrip(b"\r") for line in block.split(b"\n") if line.strip()]
        if len(lines) >= number:
            break
    return lines[:number]


def refuse(name: str, expected: str, lines: Sequence[bytes]) -> LogError:
    """The refusal of a file that is not of the kind its suffix says."""
    return LogError(f"{name}: expected {expected}, got {looks_like(lines)}")


def looks_like(lines: Sequence[bytes]) -> str:
    """What a text file is, for a message."""
    if not lines:
        return "an empty file"
    first = lines[0].strip()
    if first.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer: fetch the file itself with `git lfs pull`"
    if first.startswith((b"{", b"[")):
        return "JSON"
    if first.startswith(b"<"):
        return "HTML or XML"
    if first.lower().startswith(b"date ") or first.lower().startswith(b"base "):
        return "a Vector ASC log: name it .asc"
    if first.startswith(b";$FILEVERSION"):
        return "a PEAK TRC log: name it .trc"
    if any(mark in first for mark in (b",", b";", b"\t")) and not re.match(rb"\s*\(", first):
        return f"a table of columns, such as CSV ({shown(first)})"
    return shown(first)

"""PEAK TRC, file versions 1.0 to 2.1."""

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import BinaryIO, Final, cast

import numpy as np

from tickover.core.values import TimeArray
from tickover.errors import LogError
from tickover.logs.formats import can_text, wall_clock
from tickover.logs.formats.base import Job, LogFormat
from tickover.logs.formats.can_log import CanLog, FrameReader, TimeBase
from tickover.logs.formats.can_text import FD_LENGTHS, Keys, Row, shown
from tickover.logs.formats.rows import BadRowError
from tickover.logs.mapping import LogLayout
from tickover.payloads.can.frames import CLASSIC_BYTES, NO_NAMES, STANDARD_MASK, Frames

MILLISECOND: Final = 1_000
HEADER_LINES: Final = 64
STANDARD_DIGITS: Final = 4

_COLUMNS: Final = {"1.0": "N,O,I,L,D", "1.1": "N,O,T,I,L,D", "1.2": "N,O,B,T,I,L,D", "1.3": "N,O,B,T,I,R,L,D"}
"""Columns of the versions whose files do not name them."""
_NUMBER: Final = rb"\d+\)?"
_WORD: Final = rb"\S+"
_DATA_TYPES: Final = (b"DT", b"Rx", b"Tx")
_FD_TYPES: Final = (b"FD", b"FB", b"FE", b"BI")
_REMOTE_TYPES: Final = (b"RR",)
_ERROR_TYPES: Final = (b"ER", b"EC", b"ERROR", b"WARNG")
_EVENT_TYPES: Final = (b"ST", b"EV")


class Trc:
    """The reader; see `can_log.FrameReader`."""

    def base(self, stream: BinaryIO, layout: LogLayout, name: str) -> TimeBase:
        """``iso`` when the header has a start time."""
        lines = can_text.first_lines(stream, name, HEADER_LINES)
        if not any(line.lstrip().startswith(b";") for line in lines):
            raise can_text.refuse(name, "a PEAK TRC log", lines)
        return "seconds" if _Header(lines, layout, name).start is None else "iso"

    def frames(self, stream: BinaryIO, job: Job) -> Iterator[Frames]:
        """Blocks of frames."""
        header = _Header(can_text.first_lines(stream, job.name, HEADER_LINES), job.mapping.log, job.name)
        stream.seek(0)
        yield from can_text.read(stream, job, _Lines(header, job))


class _Header:
    """Version, columns and start of a file; ``start`` None: it has no wall clock."""

    def __init__(self, lines: Sequence[bytes], layout: LogLayout, name: str) -> None:
        zone = wall_clock.zone_of(layout.zone)
        version, columns = "1.0", ""
        self.start: int | None = None
        for line in lines:
            text = line.decode("latin-1").strip()
            if text.startswith(";$FILEVERSION="):
                version = text.partition("=")[2].strip()
            elif text.startswith(";$COLUMNS="):
                columns = text.partition("=")[2].strip()
            elif text.startswith(";$STARTTIME="):
                self.start = _ole(text.partition("=")[2], zone)
            elif "start time:" in text.lower() and self.start is None:
                self.start = wall_clock.parse(text.partition(":")[2], zone)
        names = columns or _COLUMNS.get(version, "N,O,T,I,d,l,D" if version.startswith("2") else _COLUMNS["1.1"])
        self.columns = tuple(column.strip() for column in names.split(","))
        found = [column.upper() if column == "l" else column for column in self.columns]
        if len(set(found)) < len(found) or not {"O", "I", "L", "D"} <= set(found) or found[-1] != "D":
            raise LogError(f"{name}: expected columns such as N,O,T,I,d,l,D in the header, got {names[:80]!r}")


def _ole(text: str, zone: tzinfo) -> int | None:
    try:
        return wall_clock.of_ole_days(float(text.replace(",", ".")), zone)
    except ValueError:
        return None


class _Keys(Keys):
    """Identifiers by their width: more than four digits, or a number above 11 bits, are of 29 bits."""

    def __missing__(self, text: bytes) -> int:
        extended = len(text) > STANDARD_DIGITS or int(text, 16) > STANDARD_MASK
        key = can_text.checked_key(text, 16, extended)
        if len(self) < self.LIMIT:
            self[text] = key
        return key


class _Lines:
    """One recording's lines."""

    def __init__(self, header: _Header, job: Job) -> None:
        self._job = job
        self.buses = NO_NAMES
        self._start = header.start or 0
        self._keys = _Keys(16)
        self._typed = "T" in header.columns
        self._is_code = "L" in header.columns
        self.pattern = re.compile(_pattern(header.columns, usual=True), re.MULTILINE)
        self.fixed: re.Pattern[bytes] | None = re.compile(_pattern(header.columns, usual=True, named=True))
        self._any = re.compile(_pattern(header.columns, usual=False))

    def usual(self, groups: Sequence[tuple[bytes, ...]]) -> Frames:
        """Frames of lines of data."""
        times, buses, ids, codes, texts = zip(*groups, strict=True)
        keys = [self._keys[text] for text in ids]
        lengths, flat = can_text.hexadecimal(texts, separated=True)
        if (lengths != np.array(list(map(int, codes)), np.int64)).any():
            raise BadRowError("expected as many bytes as the length says")
        time = can_text.seconds(times, MILLISECOND) + self._start
        return can_text.frames_of(time, keys, (lengths, flat), [int(bus or 0) & 0xFF for bus in buses])

    def key(self, text: bytes) -> int:
        """The key of an identifier."""
        return self._keys[text]

    def channel(self, bus: bytes) -> int:
        """The number of a bus."""
        return int(bus or 0) & 0xFF

    def times(self, stamps: TimeArray) -> TimeArray:
        """Microseconds since 1970 or the start, from millionths of a millisecond."""
        return (stamps + MILLISECOND // 2) // MILLISECOND + self._start

    def skip(self, line: bytes) -> None:
        """Times count from the start: a lost line changes nothing."""

    def changes(self, line: bytes) -> bool:
        """No line changes how the rest is read."""
        return False

    def other(self, line: bytes) -> Row | None:
        """Comments, CAN FD, remote and error frames, and events."""
        if line.lstrip().startswith(b";"):
            return None
        match = self._any.fullmatch(line)
        if match is None:
            raise BadRowError(f"expected a TRC line, got {shown(line)}")
        time = int(can_text.seconds([match["O"]], MILLISECOND)[0]) + self._start
        kind = (match["T"] if self._typed else b"DT").upper()
        rest = match["D"].strip()
        if kind in _ERROR_TYPES:
            self._job.counts["error_frames"] += 1
            return None
        if kind in _EVENT_TYPES:
            return None
        if kind in _REMOTE_TYPES or rest.upper() == b"RTR":
            self._job.counts["remote_frames"] += 1
            return None
        return self._row(match, time, kind in _FD_TYPES, rest)

    def _row(self, match: "re.Match[bytes]", time: int, fd: bool, rest: bytes) -> Row:
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", match["I"]) or not match["L"].isdigit():
            raise BadRowError(f"expected an identifier and a length, got {shown(match[0])}")
        length = int(match["L"])
        if fd and self._is_code:
            length = FD_LENGTHS[min(length, len(FD_LENGTHS) - 1)]
        payload = can_text.checked_payload(rest, fd)
        if len(payload) != length and not (not fd and length > CLASSIC_BYTES == len(payload)):
            raise BadRowError(f"expected {length} bytes, got {len(payload)}")
        bus = match["B"] if "B" in match.re.groupindex else b"0"
        return Row(time, self._keys[match["I"]], payload, int(bus) & 0xFF if bus.isdigit() else 0)


def _pattern(columns: Sequence[str], usual: bool, named: bool = False) -> bytes:
    """A line by its columns; groups of the usual one: time, bus, identifier, length, bytes. ``named``: for the columns
    of `can_columns`."""
    pieces = {
        "N": _NUMBER,
        "O": rb"(-?[\d.]+)" if usual else rb"(?P<O>-?\d+(?:\.\d+)?)",
        "T": b"(?:" + b"|".join(_DATA_TYPES) + b")" if usual else rb"(?P<T>\S+)",
        "B": rb"(\d+)" if usual else rb"(?P<B>\S+)",
        "I": rb"([0-9A-Fa-f]{1,8})" if usual else rb"(?P<I>\S+)",
        "d": rb"[RT]x" if usual else _WORD,
        "L": rb"([0-8])" if usual else rb"(?P<L>\S+)",
        "l": rb"([0-8])" if usual else rb"(?P<L>\S+)",
    }
    if named:
        pieces |= {
            "N": rb"(?P<number>\d+)\)?",
            "O": rb"(?P<time>\d+(?:\.\d+)?)",
            "B": rb"(?P<bus>\d+)",
            "I": rb"(?P<id>[0-9A-F]{1,8})",
            "L": rb"(?P<size>[0-8])",
            "l": rb"(?P<size>[0-8])",
        }
    elif usual and "B" not in columns:
        pieces["O"] += rb"()"
    parts = [pieces.get(column, _WORD) for column in columns if column != "D"]
    data = rb"(?:[ \t]+((?:[0-9A-Fa-f]{2}(?: [0-9A-Fa-f]{2}){0,7})))?[ \t]*" if usual else rb"(?P<D>(?:[ \t].*)?)"
    if named:
        data = rb"(?:[ \t]+(?P<data>[0-9A-F]{2}(?: [0-9A-F]{2}){0,7}))?[ \t]*"
    line = rb"[ \t]*" + rb"[ \t]+".join(parts) + data
    return line if named else rb"^" + line + rb"$"


log: Final = CanLog(cast(FrameReader, Trc()))
head, read, using = log.head, log.read, log.using
_CHECKED: LogFormat = log

"""Vector ASC: CAN and CAN FD, base hex or dec, absolute or relative times, any number of trigger blocks."""

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, cast

import numpy as np

from tickover.core.values import TimeArray
from tickover.logs.formats import can_text, wall_clock
from tickover.logs.formats.base import Job, LogFormat
from tickover.logs.formats.can_log import CanLog, FrameReader, TimeBase
from tickover.logs.formats.can_text import Keys, Row, shown
from tickover.logs.formats.rows import BadRowError
from tickover.logs.formats.text import decode
from tickover.logs.mapping import LogLayout
from tickover.payloads.can.frames import CLASSIC_BYTES, FD_BYTES, NO_NAMES, Frames

HEADER_LINES: Final = 64
"""Lines in which the header's date is looked for."""

_FRONT: Final = rb"^[ \t]*(-?\d+\.\d+)[ \t]+(\d{1,3})[ \t]+"
_END: Final = rb"(?:[ \t][^\n]*)?$"
_HEX: Final = re.compile(
    _FRONT + rb"([0-9A-Fa-f]{1,8}x?)[ \t]+[RT]x[ \t]+d[ \t]+([0-8])[ \t]*"
    rb"((?:(?<=[ \t])[0-9A-Fa-f]{2}(?: [0-9A-Fa-f]{2}){0,7})?)" + _END,
    re.MULTILINE,
)
_HEX_COLUMNS: Final = re.compile(
    rb"[ \t]*(?P<time>\d+\.\d+)[ \t]+(?P<bus>\d{1,3})[ \t]+(?P<id>[0-9A-F]{1,8}x?)[ \t]+[RT]x[ \t]+d[ \t]+"
    rb"(?:0|(?P<size>[1-8])[ \t]+(?P<data>[0-9A-F]{2}(?: [0-9A-F]{2}){0,7}))(?P<rest>(?:  .*)?)"
)
_DEC: Final = re.compile(
    _FRONT + rb"(\d{1,10}x?)[ \t]+[RT]x[ \t]+d[ \t]+([0-8])[ \t]*"
    rb"((?:(?<=[ \t])\d{1,3}(?: +\d{1,3}){0,7})?)" + _END,
    re.MULTILINE,
)
_TIMED: Final = re.compile(rb"[ \t]*(-?\d+\.\d+)[ \t]+(.*)")
_FD: Final = re.compile(
    rb"CANFD[ \t]+(\d{1,3})[ \t]+[RT]x[ \t]+([0-9A-Fa-f]+x?)[ \t]+"
    rb"(?:(?![01][ \t]+[01][ \t]+[0-9A-Fa-f]{1,2}[ \t])\S+[ \t]+)?"
    rb"[01][ \t]+[01][ \t]+([0-9A-Fa-f]{1,2})[ \t]+(\d{1,2})((?:[ \t]+[0-9A-Fa-f]{1,3})*)"
)
_CLASSIC: Final = re.compile(
    rb"(\d{1,3})[ \t]+([0-9A-Fa-f]+x?)[ \t]+[RT]x[ \t]+([dr])(?:[ \t]+([0-9A-Fa-f]{1,2}))?(.*)"
)
_EVENT: Final = re.compile(rb"(?:\d{1,3}[ \t]+)?(?:[A-Za-z_]*[G-Wg-wYyZz][\w:]*|[A-Za-z]+:)")
"""An event that is no frame: its first word is no hexadecimal number."""
_REQUEST: Final = re.compile(rb"\d{1,3}[ \t]+[0-9A-Fa-f]+x?[ \t]+TxRq\b")
"""A frame that is about to be sent; when it is, it comes as Tx."""
_STATE: Final = (b"begin trig", b"date ", b"base ")
_QUIET: Final = (b"//", b"internal events", b"no internal events", b"end trig")


class Asc:
    """The reader; see `can_log.FrameReader`."""

    def base(self, stream: BinaryIO, layout: LogLayout, name: str) -> TimeBase:
        """``iso`` when the header or the first trigger block has a date."""
        lines = can_text.first_lines(stream, name, HEADER_LINES)
        known = any(_HEX.match(line) or _DEC.match(line) or _is_header(line) for line in lines)
        if not known:
            raise can_text.refuse(name, "a Vector ASC log", lines)
        return "iso" if _date(lines, layout) is not None else "seconds"

    def frames(self, stream: BinaryIO, job: Job) -> Iterator[Frames]:
        """Blocks of frames."""
        lines = can_text.first_lines(stream, job.name, HEADER_LINES)
        stream.seek(0)
        yield from can_text.read(stream, job, _Lines(lines, job))


def _is_header(line: bytes) -> bool:
    return line.lower().lstrip().startswith((b"date ", b"base hex", b"base dec", b"begin trig"))


def _date(lines: Sequence[bytes], layout: LogLayout) -> int | None:
    """The first date of a header, microseconds."""
    zone = wall_clock.zone_of(layout.zone)
    for line in lines:
        if line.lower().lstrip().startswith((b"date ", b"begin trig")):
            found = wall_clock.parse(decode(line), zone)
            if found is not None:
                return found
    return None


class _Lines:
    """One recording's lines. ``_start``: the wall clock that times count from, microseconds; 0 without one."""

    def __init__(self, first: Sequence[bytes], job: Job) -> None:
        self._job = job
        self.buses = NO_NAMES
        self._zone = wall_clock.zone_of(job.mapping.log.zone)
        self._dated = _date(first, job.mapping.log) is not None
        self._start = 0
        self._relative = False
        self._now = 0
        self._set_base(16)

    def _set_base(self, base: int) -> None:
        self._base = base
        self.pattern = _HEX if base == 16 else _DEC
        self.fixed = _HEX_COLUMNS if base == 16 else None
        self._keys = Keys(base, mark=b"x")

    def usual(self, groups: Sequence[tuple[bytes, ...]]) -> Frames:
        """Frames of lines with a time, a channel, an identifier, a length and bytes."""
        times, channels, ids, codes, texts = zip(*groups, strict=True)
        keys = [self._keys[text] for text in ids]
        wanted = np.array(list(map(int, codes)), np.int64)
        lengths, flat = self._payloads(texts)
        if (lengths < wanted).any():
            raise BadRowError("expected as many bytes as the length says")
        if (lengths > wanted).any():
            lengths, flat = self._payloads([_first(text, n) for text, n in zip(texts, wanted.tolist(), strict=True)])
        return can_text.frames_of(self._times(times), keys, (lengths, flat), [int(c) & 0xFF for c in channels])

    def _payloads(self, texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        return can_text.hexadecimal(texts, separated=True) if self._base == 16 else can_text.decimal(texts)

    def key(self, text: bytes) -> int:
        """The key of an identifier."""
        return self._keys[text]

    def channel(self, bus: bytes) -> int:
        """The number of a channel."""
        return int(bus) & 0xFF

    def times(self, stamps: TimeArray) -> TimeArray:
        """Microseconds since 1970 or the start; relative times are summed."""
        if self._relative:
            stamps = self._now + np.cumsum(stamps)
            self._now = int(stamps[-1]) if len(stamps) else self._now
        return stamps + self._start

    def skip(self, line: bytes) -> None:
        """Relative times go on from that of a lost line."""
        match = _TIMED.match(line) if self._relative else None
        if match:
            self._times([match[1]])

    def changes(self, line: bytes) -> bool:
        """The header, a trigger block, and with relative times every line with a time."""
        return line.lower().lstrip().startswith(_STATE) or (self._relative and _TIMED.match(line) is not None)

    def other(self, line: bytes) -> Row | None:
        """CAN FD, remote and error frames, what changes how the rest is read, and events."""
        text = line.lower().strip()
        if text.startswith(_STATE):
            self._take_state(line, text)
            return None
        if text.startswith(_QUIET):
            return None
        match = _TIMED.match(line)
        if match is None:
            raise BadRowError(f"expected an ASC line, got {shown(line)}")
        rest = match[2].strip()
        row = self._frame(rest)
        # Last, so that the time of a line that is refused is taken by `skip` alone.
        time = int(self._times([match[1]])[0])
        return row._replace(time=time) if row is not None else None

    def _frame(self, rest: bytes) -> Row | None:
        """The frame behind a time, at the time 0; None for an event, an error frame or a remote frame."""
        fd = _FD.match(rest)
        if fd:
            return self._fd(fd)
        classic = _CLASSIC.match(rest)
        if classic:
            return self._classic(classic)
        if b"errorframe" in rest.lower():
            self._job.counts["error_frames"] += 1
            return None
        if _REQUEST.match(rest) or (_EVENT.match(rest) and b"\0" not in rest and b"CANFD" not in rest):
            return None
        raise BadRowError(f"expected a frame or an event, got {shown(rest)}")

    def _take_state(self, line: bytes, text: bytes) -> None:
        if text.startswith(b"base "):
            if b"hex" not in text and b"dec" not in text:
                raise BadRowError(f"expected base hex or base dec, got {shown(line)}")
            self._set_base(10 if b"dec" in text else 16)
            self._relative = b"relative" in text
            return
        if text.startswith(b"begin trig"):
            self._now = 0
        found = wall_clock.parse(decode(line), self._zone)
        if found is not None and self._dated:
            self._start = found
        elif found is None and self._dated and b"date " in text:
            raise BadRowError(f"expected a date, got {shown(line)}")

    def _fd(self, match: "re.Match[bytes]") -> Row:
        length = int(match[4])
        words = match[5].split()[:length]
        if length > FD_BYTES or len(words) < length:
            raise BadRowError(f"expected {length} bytes of CAN FD, got {len(words)}")
        return Row(0, self._keys[match[2]], self._bytes(words), int(match[1]) & 0xFF)

    def _classic(self, match: "re.Match[bytes]") -> Row | None:
        key = self._keys[match[2]]
        if match[3] == b"r":
            self._job.counts["remote_frames"] += 1
            return None
        try:
            length = min(int(match[4] or b"", 16), CLASSIC_BYTES)
        except ValueError:
            raise BadRowError(f"expected a length, got {shown(match[0])}") from None
        words = match[5].split()[:length]
        if len(words) < length:
            raise BadRowError(f"expected {length} bytes, got {len(words)}")
        return Row(0, key, self._bytes(words), int(match[1]) & 0xFF)

    def _bytes(self, words: Sequence[bytes]) -> bytes:
        try:
            return bytes(int(word, self._base) for word in words)
        except ValueError:
            kind = "hexadecimal" if self._base == 16 else "decimal"
            raise BadRowError(f"expected {kind} bytes, got {shown(b' '.join(words))}") from None

    def _times(self, texts: Sequence[bytes]) -> TimeArray:
        time = can_text.seconds(texts)
        negative = int(np.count_nonzero(time < 0))
        if negative:
            self._job.counts["negative_times"] += negative
        return self.times(time)


def _first(text: bytes, number: int) -> bytes:
    return b" ".join(text.split()[:number])


log: Final = CanLog(cast(FrameReader, Asc()))
head, read, using = log.head, log.read, log.using
_CHECKED: LogFormat = log

"""candump of can-utils: the log form (``ID#DATA``) and the screen form, with absolute, zero, date or delta times."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import BinaryIO, Final, cast

import numpy as np

from tickover.core.values import TimeArray
from tickover.errors import LogError
from tickover.logs.formats import can_text, wall_clock
from tickover.logs.formats.base import Job, LogFormat
from tickover.logs.formats.can_log import CanLog, FrameReader, TimeBase
from tickover.logs.formats.can_text import Channels, Keys, Row, shown
from tickover.logs.formats.rows import BadRowError
from tickover.logs.formats.times import EPOCH_S_FROM
from tickover.logs.mapping import LogLayout
from tickover.payloads.can.frames import EXTENDED, Frames

SNIFFED_LINES: Final = 512
"""Lines looked at to tell what the times count from."""
FALLING: Final = 0.02
"""Where more of the first times fall than this share, they are no times since a start."""

_ERROR_FLAG: Final = 0x2000_0000
_TIME: Final = rb"\((\d{1,12}\.\d{1,9})\)"
_DATE: Final = rb"\((\d{4}-\d\d-\d\d [\d:]{8}\.\d{1,9})\)"
_EXTRA: Final = rb"(?:[ \t]+[RT]X [B-] ?[EP-])?"
"""What candump -x adds: direction, bit rate switch, error state."""
_ID: Final = rb"([01][0-9A-Fa-f]{7}|[0-7][0-9A-Fa-f]{2})"
_LOG: Final = rb"^" + _TIME + rb"[ \t]+(\S+)[ \t]+" + _ID + rb"#((?:[0-9A-Fa-f]{2}){0,8})(?: [RT])?[ \t]*$"
_SCREEN: Final = (
    rb"^[ \t]*%s[ \t]+(\S+)" + _EXTRA + rb"[ \t]+" + _ID + rb"[ \t]+\[0?([0-8])\]"
    rb"[ \t]*((?:[0-9A-Fa-f]{2}(?: [0-9A-Fa-f]{2}){0,7})?)[ \t]*(?:'.*')?$"
)
_COLUMNS: Final = (
    rb"[ \t]*\((?P<time>\d{1,12}\.\d{1,9})\)[ \t]+(?P<bus>\S+)" + _EXTRA + rb"[ \t]+"
    rb"(?P<id>[01][0-9A-F]{7}|[0-7][0-9A-F]{2})"
)
_LOG_COLUMNS: Final = _COLUMNS + rb"#(?P<data>(?:[0-9A-F]{2}){0,8})(?: [RT])?"
_SCREEN_COLUMNS: Final = (
    _COLUMNS + rb"[ \t]+\[0?(?P<size>[0-8])\][ \t]*(?P<data>(?:[0-9A-F]{2}(?: [0-9A-F]{2}){0,7})?)[ \t]*"
)
_ANY: Final = re.compile(
    rb"^[ \t]*(?:\((?P<time>[\d.]+)\)|\((?P<date>[\d: .-]{19,29})\))[ \t]+(?P<bus>\S+)"
    + _EXTRA
    + rb"[ \t]+(?P<id>[0-9A-Fa-f]+)"
    rb"(?:(?P<fd>##?)(?P<payload>[0-9A-Za-z]*)(?:_[9A-Fa-f])?(?: [RT])?"
    rb"|[ \t]+\[(?P<length>\d\d?)\](?P<bytes>.*?))[ \t]*$"
)
_LEADING_TIME: Final = re.compile(rb"[ \t]*" + _TIME)
_TIMELESS: Final = re.compile(rb"^[ \t]*\S+[ \t]+(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})(?:[ \t]+\[\d\d?\]|##?[0-9A-Fa-fR])")


class Candump:
    """The reader of both forms; see `can_log.FrameReader`."""

    def base(self, stream: BinaryIO, layout: LogLayout, name: str) -> TimeBase:
        """``iso`` when the first time is a date or lies after 1973."""
        lines = can_text.first_lines(stream, name, SNIFFED_LINES)
        matches = [match for line in lines if (match := _ANY.match(line))]
        if not matches:
            if any(_TIMELESS.match(line) for line in lines):
                raise LogError(f"{name}: expected a time on each line, got none; record with candump -l or candump -ta")
            raise can_text.refuse(name, "candump lines such as (1764480000.000000) can0 18FEF100#F300…", lines)
        if matches[0]["date"]:
            return "iso"
        times = [float(match["time"]) for match in matches if match["time"] and match["time"].count(b".") <= 1]
        if not times or times[0] >= EPOCH_S_FROM:
            return "iso"
        if layout.times == "auto" and _are_steps(times):
            raise LogError(
                f"{name}: expected times since the start, got what looks like the time between lines (candump -td): "
                "say --times delta to sum them, or --times elapsed to take them as they are"
            )
        return "seconds"

    def frames(self, stream: BinaryIO, job: Job) -> Iterator[Frames]:
        """Blocks of frames."""
        lines = can_text.first_lines(stream, job.name, SNIFFED_LINES)
        stream.seek(0)
        yield from can_text.read(stream, job, _Lines(lines, job))


class _Lines:
    """One recording's lines."""

    def __init__(self, first: Sequence[bytes], job: Job) -> None:
        form = next((match for line in first if (match := _ANY.match(line))), None)
        screen = form is not None and form["length"] is not None
        self._dated = form is not None and form["date"] is not None
        pattern = _SCREEN % (_DATE if self._dated else _TIME) if screen else _LOG
        self.pattern = re.compile(pattern, re.MULTILINE)
        self.fixed = None if self._dated else re.compile(_SCREEN_COLUMNS if screen else _LOG_COLUMNS)
        self._separated = screen
        self._job = job
        self._keys = Keys(16, standard_digits=3)
        self._channels = Channels()
        self.buses = self._channels.names
        self._zone = wall_clock.zone_of(job.mapping.log.zone)
        self._sums = job.mapping.log.times == "delta"
        self._now = 0

    def usual(self, groups: Sequence[tuple[bytes, ...]]) -> Frames:
        """Frames of lines with a time, a bus, an identifier and a payload."""
        times, buses, ids, *sizes, payloads = zip(*groups, strict=True)
        keys = [self._keys[text] for text in ids]
        channels = [self._channels[bus] for bus in buses]
        lengths, flat = can_text.hexadecimal(payloads, self._separated)
        if sizes and (lengths != np.array(list(map(int, sizes[0])), np.int64)).any():
            raise BadRowError("expected as many bytes as the length says")
        return can_text.frames_of(self._times(times), keys, (lengths, flat), channels, self.buses)

    def key(self, text: bytes) -> int:
        """The key of an identifier."""
        return self._keys[text]

    def channel(self, bus: bytes) -> int:
        """The number of a bus."""
        return self._channels[bus]

    def times(self, stamps: TimeArray) -> TimeArray:
        """Microseconds; times between lines are summed."""
        if self._sums:
            stamps = self._now + np.cumsum(stamps)
            self._now = int(stamps[-1]) if len(stamps) else self._now
        return stamps

    def changes(self, line: bytes) -> bool:
        """Only summed times depend on the lines before."""
        return self._sums

    def skip(self, line: bytes) -> None:
        """Where times are summed, they go on from that of a lost line."""
        match = _LEADING_TIME.match(line) if self._sums else None
        if match:
            self._times([match[1]])

    def other(self, line: bytes) -> Row | None:
        """CAN FD, remote and error frames, and lines that are none."""
        match = _ANY.match(line)
        if match is None:
            raise BadRowError(f"expected a candump line, got {shown(line)}")
        if (match["date"] is not None) != self._dated:
            raise BadRowError(f"expected {'a date' if self._dated else 'seconds'} as before, got {shown(line)}")
        if match["time"] and match["time"].count(b".") > 1:
            raise BadRowError(f"expected a time in seconds, got {shown(match['time'])}")
        key = self._key(match["id"])
        if key is None:
            self._job.counts["error_frames"] += 1
            self.skip(line)
            return None
        text = match["bytes"] if match["length"] is not None else match["payload"]
        if text.strip()[:1] in (b"R", b"r"):
            self._job.counts["remote_frames"] += 1
            self.skip(line)
            return None
        fd = match["fd"] == b"##" or int(match["length"] or 0) > 8
        payload = can_text.checked_payload(text[1:] if match["fd"] == b"##" else text.partition(b"'")[0].strip(), fd)
        if match["length"] is not None and len(payload) != int(match["length"]):
            raise BadRowError(f"expected {int(match['length'])} bytes, got {len(payload)}")
        time = int(self._times([match["date"] or match["time"]])[0])
        return Row(time, key, payload, self._channels[match["bus"]])

    def _key(self, text: bytes) -> int | None:
        """An identifier's key; None for an error frame, which has bit 29 set."""
        if len(text) not in (3, 8):
            raise BadRowError(f"expected an identifier of 3 or 8 digits, got {shown(text)}")
        if len(text) == 8 and int(text, 16) & _ERROR_FLAG:
            if int(text, 16) & EXTENDED:
                raise BadRowError(f"expected an identifier of at most 29 bits, got {shown(text)}")
            return None
        return self._keys[text]

    def _times(self, texts: Sequence[bytes]) -> TimeArray:
        if self._dated:
            return np.array([_date(text, self._zone) for text in texts], np.int64)
        return self.times(can_text.seconds(texts))


def _date(text: bytes, zone: tzinfo) -> int:
    try:
        moment = datetime.strptime(text.decode()[:26], "%Y-%m-%d %H:%M:%S.%f")
    except ValueError:
        raise BadRowError(f"expected a date such as 2025-11-30 05:20:00.250000, got {shown(text)}") from None
    return wall_clock.micros(moment, zone)


def _are_steps(times: Sequence[float]) -> bool:
    """Whether times count from the line before rather than from the start: they fall, or are all the same."""
    if len(times) < 3:
        return False
    steps = np.diff(times)
    return bool(np.mean(steps < 0) > FALLING or (times[1] > 0 and not steps[1:].any()))


log: Final = CanLog(cast(FrameReader, Candump()))
head, read, using = log.head, log.read, log.using
_CHECKED: LogFormat = log

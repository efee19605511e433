"""Vector BLF: CAN and CAN FD messages, in containers that are compressed or not, or without containers.

A reader of our own, because a container that is damaged must cost itself and no more: python-can's ends at the first.
All numbers are little-endian. An object is a base header (``LOBJ``, header size, header version, size, type), for
messages a header with the time, and the body; objects begin at multiples of four bytes and may go on in the next
container.
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, Final, NamedTuple, cast

import numpy as np

from tickover.core.values import TimeArray
from tickover.errors import LogError
from tickover.logs.formats import can_text, wall_clock
from tickover.logs.formats.base import Job, LogFormat
from tickover.logs.formats.can_log import CanLog, FrameReader, TimeBase
from tickover.logs.mapping import LogLayout
from tickover.payloads.can.frames import (
    CLASSIC_BYTES,
    EXTENDED,
    EXTENDED_MASK,
    FD_BYTES,
    STANDARD_MASK,
    ByteArray,
    Frames,
    joined,
)

MAGIC: Final = b"LOGG"
OBJECT: Final = b"LOBJ"
MAX_OBJECT: Final = 64 << 20
"""The largest object or container, bytes: what a damaged size may make us read."""
MAX_UNPACKED: Final = 64 << 20
"""The largest container, unpacked; those of known recorders have 128 KiB."""
EMIT_BYTES: Final = 512 << 10
"""Unpacked bytes in one block of frames, about."""
SEARCH_BYTES: Final = 64 << 10

_FILE_SIZE, _START_TIME = slice(16, 24), slice(40, 56)
_BASE: Final = struct.Struct("<4sHHLL")
_CONTAINER: Final = struct.Struct("<H6xL4x")
_HEADER_BYTES: Final = {1: 32, 2: 40}
"""Where the body begins, by the header's version."""
_CONTAINER_TYPE, _ERROR_TYPES = 10, (2, 73, 104)
_STORED, _DEFLATED = 0, 2
_TEN_MICROSECONDS: Final = 1
"""The flag of a time in units of 10 microseconds; without it they are nanoseconds."""
_REMOTE: Final = 0x80
_FD64_REMOTE: Final = 0x10


class _Body(NamedTuple):
    """Where a message's body holds what: offsets and, of the channel, its bytes."""

    size: int
    channel_bytes: int
    identifier: int
    length: int
    data: int
    most: int


_BODIES: Final = {
    1: _Body(16, 2, 4, 3, 8, CLASSIC_BYTES),
    86: _Body(16, 2, 4, 3, 8, CLASSIC_BYTES),
    100: _Body(84, 2, 4, 14, 20, FD_BYTES),
    101: _Body(40, 1, 4, 2, 40, FD_BYTES),
}
"""The messages by object type: CAN, CAN 2, CAN FD and CAN FD 64. ``length`` is in bytes: of FD those that are valid."""


class Blf:
    """The reader; see `can_log.FrameReader`."""

    def base(self, stream: BinaryIO, layout: LogLayout, name: str) -> TimeBase:
        """``iso`` when the header has a start time."""
        return "seconds" if _header(stream, layout, name) is None else "iso"

    def frames(self, stream: BinaryIO, job: Job) -> Iterator[Frames]:
        """Blocks of frames, container by container."""
        start = _header(stream, job.mapping.log, job.name) or 0
        whole = _said_size(stream)
        objects = _Objects(job, start)
        waiting: list[bytes] = []
        size = 0
        for piece in _containers(stream, job):
            if piece is None:
                yield from objects.take(b"".join(waiting))
                objects.lose()
                waiting, size = [], 0
                continue
            waiting.append(piece)
            size += len(piece)
            if size >= EMIT_BYTES:
                yield from _in_parts(b"".join(waiting), objects)
                waiting, size = [], 0
        yield from objects.take(b"".join(waiting))
        if whole > stream.tell() and not job.counts["bad_rows"]:
            job.bad(f"byte {stream.tell()}", f"the recording is cut short: its header speaks of {whole} bytes")


def _in_parts(data: bytes, objects: "_Objects") -> Iterator[Frames]:
    """The messages of content at hand, in blocks of ``EMIT_BYTES``: a container may hold 64 MB, a block may not."""
    for begin in range(0, len(data), EMIT_BYTES):
        yield from objects.take(data[begin : begin + EMIT_BYTES])


def _said_size(stream: BinaryIO) -> int:
    """The size of the whole file as its header says, bytes; 0 where its recorder did not end it."""
    here = stream.tell()
    stream.seek(_FILE_SIZE.start)
    size = int.from_bytes(stream.read(_FILE_SIZE.stop - _FILE_SIZE.start), "little")
    stream.seek(here)
    return size


def _header(stream: BinaryIO, layout: LogLayout, name: str) -> int | None:
    """Read the header; the start of the recording, microseconds, None when it has none."""
    head = stream.read(8)
    if head[:4] != MAGIC:
        raise can_text.refuse(name, "a Vector BLF log, which starts with LOGG", head.splitlines()[:1])
    size = int.from_bytes(head[4:8], "little")
    if not 72 <= size <= 65_536:
        raise LogError(f"{name}: expected a BLF header of 72 bytes or more, got {size}: damaged")
    head += stream.read(size - 8)
    if len(head) < size:
        raise LogError(f"{name}: expected a BLF header of {size} bytes, got {len(head)}: cut short")
    year, month, _, day, hour, minute, second, milli = struct.unpack("<8H", head[_START_TIME])
    try:
        moment = datetime(year, month, day, hour, minute, second, milli * 1000)
    except ValueError:
        return None
    return wall_clock.micros(moment, wall_clock.zone_of(layout.zone))


def _containers(stream: BinaryIO, job: Job) -> Iterator[bytes | None]:
    """What the containers hold, and objects outside of any, in order; None where something was lost."""
    at = stream.tell()
    while head := stream.read(_BASE.size):
        if len(head) < _BASE.size:
            if head.strip(b"\0"):
                job.bad(f"byte {at}", "the recording is cut short")
            return
        mark, header_size, _, size, kind = _BASE.unpack(head)
        if mark != OBJECT or not _BASE.size <= size <= MAX_OBJECT or header_size < _BASE.size:
            job.bad(f"byte {at}", f"expected an object, got {can_text.shown(head[:8])} of size {size}: damaged")
            yield None
            found = _search(stream, head[1:], at + 1)
            if found is None:
                return
            at = found
            continue
        body = stream.read(size - _BASE.size + size % 4)
        if kind == _CONTAINER_TYPE:
            yield from _unpacked(body, at, size, job)
        elif len(body) < size - _BASE.size:
            job.bad(f"byte {at}", "the recording is cut short")
        else:
            yield head + body
        at += _BASE.size + len(body)


def _search(stream: BinaryIO, rest: bytes, at: int) -> int | None:
    """Go to the next object after damage; its place, None when there is none. ``rest``: bytes from ``at``, read."""
    while True:
        found = rest.find(OBJECT)
        if found >= 0:
            stream.seek(at + found)
            return at + found
        keep = rest[-(len(OBJECT) - 1) :]
        at += len(rest) - len(keep)
        more = stream.read(SEARCH_BYTES)
        if not more:
            return None
        rest = keep + more


def _unpacked(body: bytes, at: int, size: int, job: Job) -> Iterator[bytes | None]:
    """A container's content; what can be read of one that is cut, and None after it."""
    if len(body) < _CONTAINER.size:
        job.bad(f"byte {at}", "the recording is cut short")
        return
    method, _ = _CONTAINER.unpack_from(body)
    data = body[_CONTAINER.size : size - _BASE.size]
    cut = len(body) < size - _BASE.size
    if method == _DEFLATED:
        unpack = zlib.decompressobj()
        try:
            data = unpack.decompress(data, MAX_UNPACKED)
        except zlib.error as error:
            job.bad(f"byte {at}", f"a container of {size} bytes is lost: {error}")
            yield None
            return
        # Damaged bytes often unpack to something until the data end: without the checksum at the end it is not used,
        # unless the file itself ends there.
        if not cut and (not unpack.eof or unpack.unconsumed_tail):
            job.bad(f"byte {at}", f"a container of {size} bytes is lost: its data do not end where they should")
            yield None
            return
    elif method != _STORED:
        job.bad(f"byte {at}", f"a container is lost: expected compression 0 or 2, got {method}")
        yield None
        return
    yield data
    if cut:
        job.bad(f"byte {at}", "a container is cut short; its last messages are lost")
        yield None


class _Objects:
    """Messages from the content of containers; an object may reach from one into the next."""

    def __init__(self, job: Job, start: int) -> None:
        self._job, self._start = job, start
        self._rest = b""
        self._lost = False

    def lose(self) -> None:
        """The next bytes do not follow the last: an object that was begun is gone."""
        self._rest, self._lost = b"", True

    def take(self, data: bytes) -> Iterator[Frames]:
        """The messages that are whole."""
        data = self._rest + data
        places, end = self._places(data)
        self._rest = data[end:]
        parts = list(self._frames(np.frombuffer(data, np.uint8), places))
        if len(parts) == 1:
            yield parts[0][1]
        elif parts:
            order = np.argsort(np.concatenate([at for at, _ in parts]), kind="stable")
            yield joined([frames for _, frames in parts]).part(order)

    def _places(self, data: bytes) -> tuple[dict[tuple[int, int], list[int]], int]:
        """Where the messages begin, by type and header version, and where the first incomplete object begins."""
        places: dict[tuple[int, int], list[int]] = {}
        at, end = 0, len(data)
        unpack = _BASE.unpack_from
        while at + _BASE.size <= end:
            mark, _, version, size, kind = unpack(data, at)
            if mark != OBJECT or not _BASE.size <= size <= MAX_OBJECT:
                at = self._resume(data, at)
                continue
            self._lost = False
            if at + size > end:
                break
            if kind in _BODIES:
                places.setdefault((kind, version), []).append(at)
            elif kind in _ERROR_TYPES:
                self._job.counts["error_frames"] += 1
            at += size + size % 4
        return places, at

    def _resume(self, data: bytes, at: int) -> int:
        """The next object; damage inside a container is told once, padding and what follows a loss is not."""
        found = data.find(OBJECT, at)
        if found < 0 or found == at:
            found = data.find(OBJECT, at + 1)
        skipped = (len(data) if found < 0 else found) - at
        if not self._lost and (skipped > 3 or data[at : at + skipped].strip(b"\0")):
            self._job.bad("object", f"expected an object, got {skipped} bytes of something else: damaged")
        self._lost = True
        return max(len(data) - len(OBJECT) + 1, at + 1) if found < 0 else found

    def _frames(self, data: ByteArray, places: dict[tuple[int, int], list[int]]) -> Iterator[tuple[np.ndarray, Frames]]:
        for (kind, version), found in places.items():
            body, first = _BODIES[kind], _HEADER_BYTES.get(version)
            at = np.array(found, np.int64)
            size = data[at[:, None] + np.arange(8, 12)].copy().view("<u4")[:, 0]
            whole = size >= (first or 0) + body.size if first else np.zeros(len(at), bool)
            if not whole.all():
                self._job.bad(
                    "object", f"{int((~whole).sum())} messages of type {kind} are too short, or of a new kind"
                )
            at, size = at[whole], size[whole]
            if first and len(at):
                yield from self._message(data, at, size.astype(np.int64), kind, body, first)

    def _message(
        self, data: ByteArray, at: np.ndarray, size: np.ndarray, kind: int, body: _Body, first: int
    ) -> Iterator[tuple[np.ndarray, Frames]]:
        reach = first + body.data + body.most
        take = np.minimum(at[:, None] + np.arange(reach), len(data) - 1)
        rows = np.ascontiguousarray(data[take])
        time = _times(rows) + self._start
        identifier = rows[:, first + body.identifier : first + body.identifier + 4].copy().view("<u4")[:, 0]
        extended = identifier & EXTENDED != 0
        number = identifier & np.where(extended, EXTENDED_MASK, STANDARD_MASK).astype(np.uint32)
        key = np.where(extended, number | np.uint32(EXTENDED), number).astype(np.uint32)
        flags = rows[:, first + 2] & _REMOTE if kind != 101 else rows[:, first + 12] & _FD64_REMOTE
        room = np.clip(size - first - body.data, 0, body.most)
        length = np.minimum(np.minimum(rows[:, first + body.length].astype(np.int64), body.most), room)
        payload = rows[:, first + body.data : reach].copy()
        payload[np.arange(body.most) >= length[:, None]] = 0
        channel = rows[:, first]
        there = flags == 0
        self._job.counts["remote_frames"] += int((~there).sum())
        frames = Frames(time, key, length, payload, channel)
        yield at[there], frames if there.all() else frames.part(there)


def _times(rows: ByteArray) -> TimeArray:
    """Microseconds since the start of the recording, from the header before the body."""
    flags = rows[:, 16:20].copy().view("<u4")[:, 0]
    stamp = rows[:, 24:32].copy().view("<u8")[:, 0]
    stamp = np.minimum(stamp, np.uint64(2**62)).astype(np.int64)
    tens, nanos = np.minimum(stamp, 2**58) * 10, (stamp + 500) // 1000
    time: TimeArray = np.where(flags == _TEN_MICROSECONDS, tens, nanos)
    return time


log: Final = CanLog(cast(FrameReader, Blf()))
head, read, using = log.head, log.read, log.using
_CHECKED: LogFormat = log

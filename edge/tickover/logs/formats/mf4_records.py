"""The records of an MDF 4 data group to frames: of one group, or of several one after another as they were recorded."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from tickover.logs.formats.base import Job
from tickover.logs.formats.mf4_blocks import File, Lost
from tickover.logs.formats.mf4_groups import Channel, Group
from tickover.payloads.can.frames import Frames, joined

RUN: Final = 4_096
"""Records of one kind in a row that are looked for at once."""
MAX_PAYLOAD: Final = 1 << 20
MAX_GAP: Final = 4 << 20
"""Bytes that no record names between two payloads, at most."""


def sorted_frames(file: File, group: Group, link: int, start: int, job: Job) -> Iterator[Frames]:
    """Frames of a data group with a single channel group."""
    payloads = _Payloads(file, group.payload, job) if group.payload and group.payload.vlsd else None
    rest = b""
    for piece in file.pieces(link, job):
        if isinstance(piece, Lost):
            # The next piece begins in the middle of a record, at a place that the sizes tell.
            ahead = (len(rest) + piece.bytes) % group.size
            rest = bytes(ahead)
            continue
        data = rest + piece if rest else piece
        number = len(data) // group.size
        rest = data[number * group.size :]
        if number:
            records = np.frombuffer(data, np.uint8, number * group.size).reshape(number, group.size)
            taken = None
            if payloads:
                records, taken = payloads.next(records)
            yield from _counted(group, records, taken, start, job)
    if rest:
        job.bad("end", f"the recording is cut short: {len(rest)} bytes of a record are lost")


def unsorted_frames(
    file: File, groups: list[Group], id_bytes: int, link: int, start: int, job: Job
) -> Iterator[Frames]:
    """Frames of a data group whose records name their channel group, in the order of recording."""
    walk = _Walk(groups, id_bytes, start, job)
    for piece in file.pieces(link, job):
        if isinstance(piece, Lost):
            job.bad("data", "the records after lost data cannot be told apart: the rest of this group is lost")
            return
        yield from walk.take(piece)
        if walk.damaged:
            return
    yield from walk.end()


def _counted(
    group: Group, records: np.ndarray, payloads: "list[bytes] | None", start: int, job: Job
) -> Iterator[Frames]:
    """The frames of records of one group; error and remote frames are counted."""
    if group.kind in ("error", "remote"):
        job.counts[f"{group.kind}_frames"] += len(records)
    elif group.kind == "data":
        if payloads is not None:
            records = records[: len(payloads)]
        yield group.frames(records, payloads, start)


class _Payloads:
    """The payloads of a sorted group that lie in a block of their own. A record says at which place there.

    The block is read once, from its begin to its end: a record whose payload lies before that of the last one is lost,
    and counted, and so is one whose payload lies in lost data.
    """

    def __init__(self, file: File, channel: Channel, job: Job) -> None:
        self._pieces = file.pieces(channel.data, job)
        self._channel, self._job = channel, job
        self._data, self._begin = b"", 0

    def next(self, records: np.ndarray) -> tuple[np.ndarray, list[bytes]]:
        """The records that have a payload, and the payloads."""
        kept: list[int] = []
        found: list[bytes] = []
        for row, place in enumerate(self._channel.layout.raw(records).tolist()):
            payload = self._at(place)
            if payload is not None:
                kept.append(row)
                found.append(payload)
        lost = len(records) - len(kept)
        if lost:
            self._job.bad("data", f"{lost} frames are lost: their bytes are not where their records say")
        return records[kept], found

    def _at(self, place: int) -> bytes | None:
        head = self._bytes(place, 4)
        size = int.from_bytes(head, "little") if head is not None else MAX_PAYLOAD + 1
        return self._bytes(place + 4, size) if size <= MAX_PAYLOAD else None

    def _bytes(self, place: int, size: int) -> bytes | None:
        """So many bytes from a place on; None when they are lost, passed, or beyond the end."""
        if place > self._begin + len(self._data) + MAX_GAP:
            return None  # a damaged place must not cost all payloads up to it
        while place >= self._begin and place + size > self._begin + len(self._data):
            piece = next(self._pieces, None)
            if piece is None:
                return None
            passed = min(place - self._begin, len(self._data))
            self._data, self._begin = self._data[passed:], self._begin + passed
            if isinstance(piece, Lost):
                self._begin += len(self._data) + piece.bytes
                self._data = b""
            else:
                self._data += piece
        first = place - self._begin
        return self._data[first : first + size] if first >= 0 else None


class _Walk:
    """Steps over records of several groups; payloads of variable length are records of their own."""

    def __init__(self, groups: list[Group], id_bytes: int, start: int, job: Job) -> None:
        self._groups = {group.record_id: group for group in groups}
        # -1: a payload with its length in front; None: no such group.
        self._sizes = {group.record_id: -1 if group.kind == "vlsd" else group.size for group in groups}
        self._id_bytes, self._start, self._job = id_bytes, start, job
        self._rest = b""
        by_place = {group.place: group.record_id for group in groups}
        self._payload_of = {
            group.record_id: by_place[group.payload.data]
            for group in groups
            if group.payload and group.payload.vlsd and group.payload.data in by_place
        }
        self._payloads: dict[int, list[bytes]] = {group.record_id: [] for group in groups if group.kind == "vlsd"}
        self._records: dict[int, list[np.ndarray]] = {}
        self.damaged = False

    def take(self, piece: bytes) -> Iterator[Frames]:
        """The frames of whole records."""
        data = self._rest + piece
        array = np.frombuffer(data, np.uint8)
        places, end = self._places(data, array)
        self._rest = data[end:]
        parts: list[tuple[np.ndarray, Frames]] = []
        for record_id, found in places.items():
            at = np.concatenate(found)
            parts += self._frames(record_id, at, array)
        if len(parts) == 1:
            yield parts[0][1]
        elif parts:
            order = np.argsort(np.concatenate([at for at, _ in parts]), kind="stable")
            yield joined([frames for _, frames in parts]).part(order)

    def end(self) -> Iterator[Frames]:
        """Say what was left at the end of the recording; a frame whose payload is cut off is one without bytes."""
        if self._rest and not self.damaged:
            self._job.bad("end", f"the recording is cut short: {len(self._rest)} bytes of a record are lost")
        for record_id, waiting in self._records.items():
            records = np.concatenate(waiting)
            yield from _counted(self._groups[record_id], records, [b""] * len(records), self._start, self._job)

    def _frames(self, record_id: int, at: np.ndarray, array: np.ndarray) -> Iterator[tuple[np.ndarray, Frames]]:
        group = self._groups[record_id]
        records = array[at[:, None] + np.arange(group.size)]
        if record_id not in self._payload_of:
            for frames in _counted(group, records, None, self._start, self._job):
                yield at, frames
            return
        # A record's payload stands before or behind it: what has no partner yet waits for the next piece.
        waiting = self._records.pop(record_id, [])
        if waiting:
            records = np.concatenate([*waiting, records])
            at = np.concatenate([np.full(len(records) - len(at), -1), at])
        payloads = self._payloads[self._payload_of[record_id]]
        both = min(len(payloads), len(records))
        if len(records) > both:
            self._records[record_id] = [records[both:].copy()]
        taken, payloads[:both] = payloads[:both], []
        if both:
            for frames in _counted(group, records[:both], taken, self._start, self._job):
                yield at[:both], frames

    def _places(self, data: bytes, array: np.ndarray) -> tuple[dict[int, list[np.ndarray]], int]:
        """Where the records of each group begin, behind their identifier, and where the first incomplete one does."""
        places: dict[int, list[np.ndarray]] = {}
        width, sizes, end = self._id_bytes, self._sizes, len(data)
        at, last, singles = 0, -1, dict[int, list[int]]()
        while at + width <= end:
            record_id = data[at] if width == 1 else int.from_bytes(data[at : at + width], "little")
            size = sizes.get(record_id)
            if size is None:
                self._job.bad("data", f"expected a record of a known group, got number {record_id}: the rest is lost")
                self.damaged = True
                break
            if size < 0:
                length = int.from_bytes(data[at + width : at + width + 4], "little")
                begin = at + width + 4
                if length > MAX_PAYLOAD or begin + length > end or begin > end:
                    self.damaged = length > MAX_PAYLOAD
                    break
                self._payloads[record_id].append(data[begin : begin + length])
                at, last = begin + length, -1
                continue
            if at + width + size > end:
                break
            if record_id == last and width == 1:
                # The identifier of the next record lies exactly one record further: a run of one group's records is
                # found by comparing that column.
                run = _run(array, at, size + 1, record_id)
                if run > 1:
                    places.setdefault(record_id, []).append(at + 1 + (size + 1) * np.arange(run))
                    at += run * (size + 1)
                    continue
            singles.setdefault(record_id, []).append(at + width)
            last = record_id
            at += width + size
        for record_id, found in singles.items():
            places.setdefault(record_id, []).append(np.array(found, np.int64))
        return {one: [np.sort(np.concatenate(found))] for one, found in places.items()}, at


def _run(array: np.ndarray, at: int, stride: int, record_id: int) -> int:
    """How many whole records of this stride and identifier follow one another from ``at``, up to ``RUN``."""
    number = min((len(array) - at) // stride, RUN)
    other = np.flatnonzero(array[at : at + number * stride : stride] != record_id)
    return int(other[0]) if len(other) else number

"""ASAM MDF 4 with CAN frames (bus logging): finalized or not, sorted or not, compressed or not; in flat memory.

A reader of our own: asammdf needs four times the size of an unfinalized file to read it. It takes data groups side by
side and merges them by time, because a sorted file keeps the frames of one bus in several.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

import numpy as np

from tickover.errors import LogError
from tickover.logs.formats import wall_clock
from tickover.logs.formats.base import Job, LogFormat
from tickover.logs.formats.can_log import CanLog, FrameReader, TimeBase
from tickover.logs.formats.mf4_blocks import ID_BYTES, Block, File, open_file
from tickover.logs.formats.mf4_groups import Group, count_others, groups_of
from tickover.logs.formats.mf4_records import sorted_frames, unsorted_frames
from tickover.logs.mapping import LogLayout
from tickover.payloads.can.frames import Frames, joined

MAX_START: Final = 1 << 62
"""The latest start, nanoseconds: the year 2116."""
MAX_GROUPS: Final = 256
"""Data groups with frames that are merged."""
_LOCAL_TIME: Final = 1
"""The flag of a start that is a wall clock without a zone."""


class Mf4:
    """The reader; see `can_log.FrameReader`."""

    def base(self, stream: BinaryIO, layout: LogLayout, name: str) -> TimeBase:
        """``iso`` when the header has a start time."""
        file = open_file(stream, name)
        header = file.block(ID_BYTES, b"##HD")
        _data_groups(file, header)
        return "iso" if _start(header, layout) else "seconds"

    def frames(self, stream: BinaryIO, job: Job) -> Iterator[Frames]:
        """Blocks of frames, in order of time where several groups hold them."""
        file = open_file(stream, job.name)
        header = file.block(ID_BYTES, b"##HD")
        start = _start(header, job.mapping.log)
        streams = []
        for block, groups in _data_groups(file, header):
            id_bytes = block.data[0] if block.data else 0
            link = block.link(2)
            if id_bytes == 0:
                if groups and groups[0].size:
                    streams.append(sorted_frames(file, groups[0], link, start, job))
            elif id_bytes in (1, 2, 4, 8):
                streams.append(unsorted_frames(file, groups, id_bytes, link, start, job))
        yield from streams[0] if len(streams) == 1 else _merged(streams)


def _start(header: Block, layout: LogLayout) -> int:
    """The recording's start, nanoseconds; 0 when it has none."""
    if len(header.data) < 13:
        return 0
    nanoseconds, _, _, flags = struct.unpack_from("<QhhB", header.data)
    if nanoseconds > MAX_START:
        return 0
    if flags & _LOCAL_TIME and layout.zone and nanoseconds:
        wall = np.datetime64(nanoseconds // 1000, "us").item()
        return wall_clock.micros(wall, wall_clock.zone_of(layout.zone)) * 1000
    return int(nanoseconds)


def _data_groups(file: File, header: Block) -> list[tuple[Block, list[Group]]]:
    """The data groups with CAN frames; LogError when there is none, with what there is."""
    found, others = [], Counter[str]()
    any_group = False
    for block in file.chain(header.link(0), b"##DG"):
        groups = groups_of(file, block.link(1)) if block.link(1) else []
        any_group = any_group or bool(groups)
        if any(group.kind in ("data", "error", "remote") for group in groups):
            found.append((block, groups))
        others += count_others(groups)
    if not any(group.kind == "data" for _, groups in found for group in groups):
        raise LogError(f"{file.name}: {_what_else(others, any_group)}")
    if len(found) > MAX_GROUPS:
        raise LogError(f"{file.name}: expected at most {MAX_GROUPS} data groups with frames, got {len(found)}")
    return found


def _what_else(others: Counter[str], any_group: bool) -> str:
    buses = [{"FLX": "FlexRay"}.get(name, name) for name in others]
    if buses:
        return f"expected CAN frames, got only {' and '.join(buses)}, which is not read"
    if any_group:
        return "expected CAN frames (CAN_DataFrame), got channel groups without records"
    return "expected CAN frames (CAN_DataFrame), got no channel group"


def _merged(streams: list[Iterator[Frames]]) -> Iterator[Frames]:
    """Blocks of several streams in order of time, as far as each is in order itself; holds a block of each."""
    waiting = [(block, stream) for stream in streams if (block := _next(stream)) is not None]
    while waiting:
        # Up to the earliest end among the blocks at hand, no later block can bring an earlier frame.
        until = min(int(block.time[-1]) for block, _ in waiting)
        ready, left = [], []
        for block, stream in waiting:
            cut = int(np.searchsorted(block.time, until, side="right")) if _ordered(block) else len(block)
            if cut:
                ready.append(block.part(slice(0, cut)))
            rest = block.part(slice(cut, None)) if cut < len(block) else _next(stream)
            if rest is not None:
                left.append((rest, stream))
        waiting = left
        together = joined(ready)
        yield together.part(np.argsort(together.time, kind="stable"))


def _ordered(block: Frames) -> bool:
    return bool((np.diff(block.time) >= 0).all())


def _next(stream: Iterator[Frames]) -> Frames | None:
    return next((block for block in stream if len(block)), None)


def resolve(stream: BinaryIO, name: str) -> LogFormat | None:
    """The format for files whose channels are decoded already; None for this one, also where a file is neither."""
    file = open_file(stream, name)
    header = file.block(ID_BYTES, b"##HD")
    decoded = False
    for block in file.chain(header.link(0), b"##DG"):
        groups = groups_of(file, block.link(1)) if block.link(1) else []
        if any(group.bus for group in groups):
            return None
        decoded = decoded or any(group.size for group in groups)
    if not decoded:
        return None
    from tickover.logs.formats import mf4_decoded

    return cast(LogFormat, mf4_decoded)


log: Final = CanLog(cast(FrameReader, Mf4()))
head, read, using = log.head, log.read, log.using
_CHECKED: LogFormat = log

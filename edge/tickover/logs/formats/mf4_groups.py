"""The channel groups of an MDF 4 file that hold CAN frames, and their records as frames (ASAM bus logging 1.0)."""

import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np

from tickover.core.values import TimeArray
from tickover.errors import LogError
from tickover.logs.formats.can_text import FD_LENGTHS
from tickover.logs.formats.mf4_blocks import Block, File
from tickover.payloads.can.frames import EXTENDED, EXTENDED_MASK, FD_BYTES, STANDARD_MASK, ByteArray, Frames
from tickover.payloads.can.layouts import SignalLayout

Kind = Literal["data", "error", "remote", "other", "vlsd"]
NANOSECONDS: Final = 1e9
MAX_RECORD: Final = 65_536
_FRAME: Final = re.compile(r"(CAN_DataFrame|CAN_ErrorFrame|CAN_RemoteFrame|LIN_\w+|FLX_\w+)(?:_\d+)?(?:\.(\w+))?$")
_KINDS: Final[Mapping[str, Kind]] = {
    "CAN_DataFrame": "data",
    "CAN_ErrorFrame": "error",
    "CAN_RemoteFrame": "remote",
}
_CG: Final = struct.Struct("<QQHH4xLL")
_CN: Final = struct.Struct("<BBBBLL")
_VLSD_GROUP: Final = 1
_FIXED, _VLSD, _MASTER, _VIRTUAL_MASTER, _MLSD, _VIRTUAL = 0, 1, 2, 3, 5, 6
_LITTLE, _FLOATS = (0, 2, 4), (4, 5)
_LINEAR: Final = 1
_LENGTHS: Final = np.array(FD_LENGTHS, np.int64)


class Channel(NamedTuple):
    """Where a channel lies in a record, and ``value = raw * scale + offset``; ``constant``: it lies nowhere."""

    layout: SignalLayout
    scale: float = 1.0
    offset: float = 0.0
    constant: bool = False
    vlsd: bool = False
    data: int = 0

    def raw(self, records: ByteArray) -> np.ndarray:
        """Raw numbers, ``[N]``."""
        if self.constant:
            return np.full(len(records), int(self.offset), np.uint64)
        return self.layout.raw(records)

    def number(self, records: ByteArray) -> np.ndarray:
        """Values, float64 ``[N]``."""
        if self.constant:
            return np.full(len(records), self.offset)
        return self.layout.number(self.layout.raw(records)) * self.scale + self.offset


@dataclass
class Group:
    """One channel group: its records' size without the identifier, what they are, and their channels by name."""

    record_id: int
    size: int
    kind: Kind = "other"
    bus: str = ""
    channels: dict[str, Channel] = field(default_factory=dict)
    place: int = 0

    @property
    def payload(self) -> Channel | None:
        """The channel of the frame's bytes."""
        return self.channels.get("DataBytes")

    def frames(self, records: ByteArray, payloads: list[bytes] | None, start: int) -> Frames:
        """Frames of records ``[N, size]``.

        ``payloads``: their bytes where they lie elsewhere. ``start``: the file's, nanoseconds.
        """
        number = self.channels["ID"].raw(records).astype(np.uint32)
        ide = self.channels.get("IDE")
        extended = number & np.uint32(EXTENDED) != 0
        if ide is not None:
            extended = extended | (ide.raw(records) != 0)
        mask = np.where(extended, EXTENDED_MASK, STANDARD_MASK).astype(np.uint32)
        key = number & mask | np.where(extended, EXTENDED, 0).astype(np.uint32)
        bus = self.channels.get("BusChannel")
        channel = np.zeros(len(records), np.uint8)
        if bus is not None:
            channel = (bus.raw(records) & np.uint64(0xFF)).astype(np.uint8)
        if payloads is None:
            data, length = self._inline(records)
        else:
            data, length = _padded(payloads)
        return Frames(self._time(records, start), key, length, data, channel)

    def _time(self, records: ByteArray, start: int) -> TimeArray:
        """Microseconds, rounded once: some writers count from another moment than the first frame's."""
        nanoseconds = self.channels["time"].number(records) * NANOSECONDS
        offset = np.rint(np.clip(np.nan_to_num(nanoseconds), -(2.0**60), 2.0**60)).astype(np.int64)
        time: TimeArray = (offset + (start + 500)) // 1000
        return time

    def _inline(self, records: ByteArray) -> tuple[ByteArray, np.ndarray]:
        where = self.channels["DataBytes"].layout
        first, room = where.first_byte, min(where.length // 8, FD_BYTES)
        length = np.minimum(self._length(records, room), room)
        width = max(8, int(length.max())) if len(length) else 8
        data = np.zeros((len(records), width), np.uint8)
        take = min(width, room)
        data[:, :take] = records[:, first : first + take]
        data[np.arange(width) >= length[:, None]] = 0
        return data, length

    def _length(self, records: ByteArray, room: int) -> np.ndarray:
        """Bytes of each payload: the channel of the length, else from the length code, else all."""
        length, code = self.channels.get("DataLength"), self.channels.get("DLC")
        if length is not None and not length.constant and (length.scale, length.offset) == (1.0, 0.0):
            return length.raw(records).astype(np.int64)
        if code is not None:
            return _LENGTHS[np.minimum(code.raw(records).astype(np.int64), len(_LENGTHS) - 1)]
        return np.full(len(records), room, np.int64)


def _padded(payloads: list[bytes]) -> tuple[ByteArray, np.ndarray]:
    payloads = [payload[:FD_BYTES] for payload in payloads]
    length = np.fromiter(map(len, payloads), np.int64, len(payloads))
    width = max(8, int(length.max())) if len(length) else 8
    data = np.zeros((len(payloads), width), np.uint8)
    data[np.arange(width) < length[:, None]] = np.frombuffer(b"".join(payloads), np.uint8)
    return data, length


def groups_of(file: File, first: int) -> list[Group]:
    """The channel groups of one data group, those without frames included: their records must be stepped over."""
    groups = []
    at = first
    for block in file.chain(first, b"##CG"):
        if len(block.data) < _CG.size:
            raise LogError(f"{file.name}: byte {at}: expected a channel group, got a short block: damaged")
        record_id, _, flags, _, size, invalid = _CG.unpack_from(block.data)
        if flags & _VLSD_GROUP:
            groups.append(Group(record_id, 0, "vlsd", place=at))
        else:
            if size + invalid > MAX_RECORD:
                raise LogError(f"{file.name}: byte {at}: expected records of at most {MAX_RECORD} bytes, got {size}")
            groups.append(_group(file, block, record_id, size + invalid, at))
        at = block.link(0)
    return groups


def _group(file: File, block: Block, record_id: int, size: int, place: int) -> Group:
    group = Group(record_id, size, place=place)
    for channel in file.chain(block.link(1), b"##CN"):
        kind = channel.data[0] if channel.data else _FIXED
        if kind in (_MASTER, _VIRTUAL_MASTER):
            _take(file, group, channel, "time")
            continue
        name = file.text(channel.link(2))
        match = _FRAME.search(name)
        if match is None:
            continue
        group.bus = match[1]
        group.kind = _KINDS.get(match[1], "other")
        if match[2]:
            _take(file, group, channel, match[2])
        if channel.link(1) and file.kind_at(channel.link(1)) == b"##CN":
            for part in file.chain(channel.link(1), b"##CN"):
                _take(file, group, part, file.text(part.link(2)).rpartition(".")[2])
    if group.kind == "data" and not {"time", "ID", "DataBytes"} <= group.channels.keys():
        group.kind = "other"
    return group


def _take(file: File, group: Group, block: Block, name: str) -> None:
    """Add a channel of a group; one that does not lie within its record is left out."""
    if len(block.data) < _CN.size:
        return
    kind, _, data_type, bit, byte, bits = _CN.unpack_from(block.data)
    scale, offset = _conversion(file, block.link(4))
    virtual = kind in (_VIRTUAL, _VIRTUAL_MASTER)
    if not virtual and (bits == 0 or (8 * byte + bit + bits + 7) // 8 > group.size):
        return
    layout = SignalLayout(
        name,
        8 * byte + bit if data_type % 2 == 0 or name == "DataBytes" else 8 * byte + 7 - bit,
        bits,
        big_endian=data_type % 2 == 1 and name != "DataBytes",
        is_float=data_type in _FLOATS,
        signed=data_type in (2, 3),
    )
    if not virtual and name != "DataBytes" and bits > 64:
        return
    group.channels[name] = Channel(layout, scale, offset, virtual, kind == _VLSD, block.link(5))


def _conversion(file: File, at: int) -> tuple[float, float]:
    """Scale and offset of a linear conversion; another kind, such as a table of texts, changes no number here."""
    if not at or file.kind_at(at) != b"##CC":
        return 1.0, 0.0
    data = file.block(at, b"##CC").data
    if len(data) >= 40 and data[0] == _LINEAR:
        offset, scale = struct.unpack_from("<dd", data, 24)
        return scale, offset
    return (1.0, 0.0) if data[:1] == b"\0" else (float("nan"), 0.0)


def count_others(groups: Iterator[Group] | list[Group]) -> Counter[str]:
    """What other buses a file holds, by name."""
    return Counter(group.bus.partition("_")[0] for group in groups if group.kind == "other" and group.bus)

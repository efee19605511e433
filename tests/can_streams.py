"""Recordings of a bus of any size, written as a stream of copies of one block in which only the times differ.

python-can takes hours for 5 GB of BLF or MF4: the layouts are written here, and held against it by
``test_can_streams.py``. The frames are those of `can_traffic`.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

import can_traffic
import mf4_files

START_US = int(can_traffic.START * 1_000_000)
STEP_US = int(can_traffic.STEP_S * 1_000_000)
BLOCK_FRAMES = 1_000 * len(can_traffic.CYCLE)
"""Frames of the block that is repeated."""
MF4_BLOCK = 4 << 20
"""Bytes of a data block, about: what MDF recommends at most."""
BLF_CONTAINER = 128 << 10
LIST_LINKS = 64
RECORD = struct.Struct("<dIBB8s")
"""Time, identifier with bit 31, length, bus, payload."""


def write(path: Path, kind: str, size: int) -> int:
    """A recording of at least so many bytes (of compressed kinds: unpacked); the number of its frames."""
    return KINDS[kind](path, size)


def _places(block: np.ndarray, first: slice, digits: int) -> Callable[[np.ndarray], None]:
    """Writes numbers as decimal text of so many digits, the last six behind a point, into the columns ``first``."""

    def put(micros: np.ndarray) -> None:
        left, at = micros.copy(), first.stop - 1
        for number in range(digits):
            if number == 6:
                block[:, at] = ord(".")
                at -= 1
            block[:, at] = left % 10 + ord("0")
            left //= 10
            at -= 1

    return put


def _text(
    path: Path, size: int, head: str, line: Callable[[float, int, bytes], str], digits: int, start: int, unit: int = 1
) -> int:
    """Lines of one width. ``line`` writes 0 as ``digits`` zeros with a point before the last six; ``unit``: the last
    digit's in a microsecond; ``start``: what the times count from, microseconds."""
    rows = [line(0, identifier, data).encode() for _, identifier, data in can_traffic.frames(BLOCK_FRAMES)]
    block = np.frombuffer(b"".join(rows), np.uint8).reshape(BLOCK_FRAMES, -1).copy()
    mark = (b"0" * (digits - 6)) + b"." + b"0" * 6
    at = rows[0].index(mark)
    put = _places(block, slice(at, at + len(mark)), digits)
    micros = (np.arange(BLOCK_FRAMES) * STEP_US + start) * unit
    written = frames = 0
    with path.open("wb") as file:
        file.write(head.encode())
        while written < size:
            put(micros + frames * STEP_US * unit)
            written += file.write(block.tobytes())
            frames += BLOCK_FRAMES
    return frames


def _candump(path: Path, size: int) -> int:
    return _text(path, size, "", lambda t, i, d: f"({t:017.6f}) can0 {i:08X}#{d.hex().upper()}\n", 16, START_US)


def _screen(path: Path, size: int) -> int:
    line = lambda t, i, d: f" ({t:017.6f})  can0  {i:08X}   [8]  {d.hex(' ').upper()}\n"  # noqa: E731
    return _text(path, size, "", line, 16, START_US)


def _asc(path: Path, size: int) -> int:
    day = "Sun Nov 30 05:20:00.000 am 2025"
    head = f"date {day}\nbase hex  timestamps absolute\nBegin Triggerblock {day}\n   0.000000 Start of measurement\n"
    tail = "Length = 244000 BitCount = 125 ID ="
    line = lambda t, i, d: f" {t:013.6f} 1  {i:08X}x       Rx   d 8 {d.hex(' ').upper()}  {tail} {i}x\n"  # noqa: E731
    return _text(path, size, head, line, 12, 0)


def _trc(path: Path, size: int) -> int:
    head = ";$FILEVERSION=1.1\n;$STARTTIME=45991.2222222222\n;---\n"
    line = lambda t, i, d: f"      1) {t:018.6f}  Rx     {i:08X}  8  {d.hex(' ').upper()} \n"  # noqa: E731
    return _text(path, size, head, line, 17, 0, 1_000)


@cache
def _messages() -> np.ndarray:
    """Identifiers and payloads of a block, as the fields of records."""
    fields = np.dtype([("time", "<u8"), ("identifier", "<u4"), ("data", "u1", 8)])
    found = np.zeros(BLOCK_FRAMES, fields)
    for row, (_, identifier, data) in enumerate(can_traffic.frames(BLOCK_FRAMES)):
        found[row] = row * STEP_US, identifier, tuple(data)
    return found


def _blf(level: int) -> Callable[[Path, int], int]:
    def write_blf(path: Path, size: int) -> int:
        per = BLF_CONTAINER // 48
        objects = np.zeros(
            per,
            np.dtype(
                [
                    ("mark", "S4"), ("header", "<u2"), ("version", "<u2"), ("size", "<u4"), ("type", "<u4"),
                    ("flags", "<u4"), ("client", "<u2"), ("object", "<u2"), ("time", "<u8"),
                    ("channel", "<u2"), ("message", "u1"), ("length", "u1"), ("identifier", "<u4"), ("data", "u1", 8),
                ]
            ),
        )  # fmt: skip
        objects["mark"], objects["header"], objects["version"], objects["size"], objects["type"] = b"LOBJ", 32, 1, 48, 1
        objects["flags"], objects["channel"], objects["length"] = 2, 1, 8
        messages = _messages()
        start = struct.pack("<8H", 2025, 11, 0, 30, 5, 20, 0, 0)
        written = frames = 0
        with path.open("wb") as file:
            file.write(b"LOGG" + struct.pack("<L", 144) + bytes(8 + 16 + 8) + start + bytes(144 - 56))
            while written < size:
                row = (frames + np.arange(per)) % BLOCK_FRAMES
                objects["identifier"], objects["data"] = messages["identifier"][row] | 1 << 31, messages["data"][row]
                objects["time"] = (frames + np.arange(per)) * STEP_US * 1_000
                plain = objects.tobytes()
                body = zlib.compress(plain, level) if level else plain
                head = struct.pack("<4sHHLL", b"LOBJ", 16, 1, 32 + len(body), 10)
                method = struct.pack("<H6xL4x", 2 if level else 0, len(plain))
                file.write(head + method + body + bytes(len(body) % 4))
                written += len(plain)
                frames += per
        return frames

    return write_blf


def _mf4(layout: str) -> Callable[[Path, int], int]:
    """``list``: data blocks in lists, one behind the other; ``packed`` and ``turned``: compressed, the latter
    transposed; ``one``: a single data block; ``cut``: the same unfinalized, its length not yet written; ``unsorted``:
    with record identifiers."""

    def write_mf4(path: Path, size: int) -> int:
        ids = 1 if layout in ("unsorted", "cut") else 0
        _skeleton(path, ids)
        with path.open("r+b") as file:
            file.seek(0, 2)
            first = file.tell()
            if layout in ("one", "unsorted", "cut"):
                file.write(struct.pack("<4s4xQQ", b"##DT", 24, 0))
                frames = length = 0
                for records in _records(MF4_BLOCK, ids):
                    length += file.write(records)
                    frames += len(records) // (RECORD.size + ids)
                    if length >= size:
                        break
                link = first
                if layout != "cut":
                    file.seek(first + 8)
                    file.write(struct.pack("<Q", 24 + length))
            else:
                link, frames = _listed(file, layout, size)
            file.seek(_data_link(path))
            file.write(struct.pack("<Q", link))
            if layout == "cut":
                file.seek(0)
                file.write(b"UnFinMF ")
        return frames

    return write_mf4


def _listed(file: BinaryIO, layout: str, size: int) -> tuple[int, int]:
    """Data blocks and the lists that lead to them; the first list's place, and how many frames."""
    places, frames, written = [], 0, 0
    for records in _records(MF4_BLOCK, 0):
        if written >= size:
            break
        file.write(bytes(-file.tell() % 8))
        places.append(file.tell())
        if layout == "list":
            file.write(struct.pack("<4s4xQQ", b"##DT", 24 + len(records), 0) + records)
        else:
            data, columns = records, 0
            if layout == "turned":
                data = np.frombuffer(records, np.uint8).reshape(-1, RECORD.size).T.tobytes()
                columns = RECORD.size
            packed = zlib.compress(data, 1)
            head = struct.pack("<4s4xQQ", b"##DZ", 48 + len(packed), 0)
            kind = struct.pack("<2sBxLQQ", b"DT", layout == "turned", columns, len(records), len(packed))
            file.write(head + kind + packed)
        written += len(records)
        frames += len(records) // RECORD.size
    following = 0
    for begin in reversed(range(0, len(places), LIST_LINKS)):
        links = places[begin : begin + LIST_LINKS]
        file.write(bytes(-file.tell() % 8))
        at = file.tell()
        file.write(struct.pack("<4s4xQQ", b"##DL", 24 + 8 * (1 + len(links)) + 8 + 8 * len(links), 1 + len(links)))
        file.write(struct.pack(f"<{1 + len(links)}Q", following, *links))
        offsets = [MF4_BLOCK // RECORD.size * RECORD.size * (begin + k) for k in range(len(links))]
        file.write(struct.pack(f"<B3xL{len(links)}Q", 0, len(links), *offsets))
        following = at
    return following, frames


def _records(size: int, ids: int) -> Iterator[bytes]:
    """Records without end, about so many bytes at a time."""
    names = [("id", "u1")] if ids else []
    fields = np.dtype(
        [*names, ("time", "<f8"), ("identifier", "<u4"), ("length", "u1"), ("bus", "u1"), ("data", "u1", 8)]
    )
    per, done, messages = size // fields.itemsize, 0, _messages()
    out = np.zeros(per, fields)
    out["length"], out["bus"] = 8, 1
    if ids:
        out["id"] = 1
    while True:
        row = (done + np.arange(per)) % BLOCK_FRAMES
        out["identifier"], out["data"] = messages["identifier"][row] | 1 << 31, messages["data"][row]
        out["time"] = (done + np.arange(per)) * can_traffic.STEP_S
        yield out.tobytes()
        done += per


def _skeleton(path: Path, ids: int) -> None:
    """The blocks in front of the data."""
    group = struct.pack("<QQHH4xLL", ids, 0, 0, 0, RECORD.size, 0)
    channels = {
        "time": ("", 2, (4, 0, 64)), "ID": ("ID", 0, (0, 8, 32)), "DataLength": ("DataLength", 0, (0, 12, 8)),
        "BusChannel": ("BusChannel", 0, (0, 13, 8)), "DataBytes": ("DataBytes", 0, (10, 14, 64)),
    }  # fmt: skip
    blocks: mf4_files.Blocks = {
        "HD": (b"##HD", ["DG", "", "", "", "", ""], struct.pack("<QhhB", START_US * 1_000, 0, 0, 2).ljust(32, b"\0")),
        "DG": (b"##DG", ["", "CG", "", ""], bytes([ids]) + bytes(7)),
        "CG": (b"##CG", ["", "time", "", "", "", ""], group),
    }
    following = [*list(channels)[1:], ""]
    for (name, (_, kind, numbers)), behind in zip(channels.items(), following, strict=True):
        blocks[name] = mf4_files.channel(behind, f"{name} name", "", kind, numbers)
    for name, (part, _, _) in channels.items():
        blocks[f"{name} name"] = mf4_files.text(f"CAN_DataFrame.{part}" if part else "Timestamp")
    mf4_files.write(path, blocks)


def _data_link(path: Path) -> int:
    """Where the data group's link to its data stands: behind the header block, the third of its links."""
    header = 24 + 6 * 8 + 32
    return 64 + (header + 7) // 8 * 8 + 24 + 2 * 8


KINDS: dict[str, Callable[[Path, int], int]] = {
    "candump": _candump,
    "screen": _screen,
    "asc": _asc,
    "trc": _trc,
    "blf": _blf(0),
    "blf-packed": _blf(1),
    "mf4": _mf4("list"),
    "mf4-packed": _mf4("packed"),
    "mf4-turned": _mf4("turned"),
    "mf4-one": _mf4("one"),
    "mf4-unsorted": _mf4("unsorted"),
    "mf4-cut": _mf4("cut"),
}
"""Each kind of recording, and what writes it."""
SUFFIXES = {"candump": ".log", "screen": ".log", "asc": ".asc", "trc": ".trc", "blf": ".blf", "mf4": ".mf4"}


def name_of(kind: str) -> str:
    """A file name for a kind."""
    return kind + SUFFIXES[kind.partition("-")[0]]

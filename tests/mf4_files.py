"""Small MDF 4 files, block by block, for layouts that no writer at hand makes."""

import struct
from pathlib import Path

START_NS = 1_764_480_000 * 10**9
Blocks = dict[str, tuple[bytes, list[str], bytes]]
"""A block by its name in the file: its identifier, the names of the blocks that it links to (empty: none), its data."""


def write(path: Path, blocks: Blocks) -> Path:
    """The file of these blocks, in order; the first is the header."""
    place, at = {"": 0}, 64
    for name, (_, links, data) in blocks.items():
        place[name] = at
        at += (24 + 8 * len(links) + len(data) + 7) // 8 * 8
    out = bytearray(b"MDF     4.10    tickover".ljust(28, b"\0") + struct.pack("<H", 410)).ljust(64, b"\0")
    for kind, links, data in blocks.values():
        head = struct.pack("<4s4xQQ", kind, 24 + 8 * len(links) + len(data), len(links))
        out += head + b"".join(struct.pack("<Q", place[link]) for link in links) + data
        out += bytes(-len(out) % 8)
    path.write_bytes(out)
    return path


def text(words: str) -> tuple[bytes, list[str], bytes]:
    return b"##TX", [], words.encode() + b"\0"


def channel(following: str, name: str, data: str, kind: int, numbers: tuple[int, int, int]) -> tuple:
    """``numbers``: data type, byte, bits."""
    data_type, byte, bits = numbers
    body = struct.pack("<BBBBLL", kind, kind == 2, data_type, 0, byte, bits).ljust(72, b"\0")
    return b"##CN", [following, "", name, "", "", data, "", ""], body


def vlsd(path: Path, places: list[int], payload_block: bytes, kind: bytes = b"##DT") -> Path:
    """A sorted group of CAN frames, one each millisecond, whose payloads lie at these places of another block."""
    records = b"".join(struct.pack("<dLQ", k / 1000, 0x100 + k % 5, place) for k, place in enumerate(places))
    group = struct.pack("<QQHH4xLL", 0, len(places), 0, 0, 20, 0)
    blocks: Blocks = {
        "HD": (b"##HD", ["DG", "", "", "", "", ""], struct.pack("<QhhB", START_NS, 0, 0, 2).ljust(32, b"\0")),
        "DG": (b"##DG", ["", "CG", "DT" if kind == b"##DT" else "LD", ""], bytes(8)),
        "CG": (b"##CG", ["", "time", "", "", "", ""], group),
        "time": channel("id", "time name", "", 2, (4, 0, 64)),
        "id": channel("bytes", "id name", "", 0, (0, 8, 32)),
        "bytes": channel("", "bytes name", "SD", 1, (10, 12, 64)),
        "time name": text("Timestamp"),
        "id name": text("CAN_DataFrame.ID"),
        "bytes name": text("CAN_DataFrame.DataBytes"),
        "SD": (b"##SD", [], payload_block),
    }
    if kind == b"##LD":
        blocks["LD"] = (b"##LD", ["", "DV1", "DV2"], struct.pack("<LL", 0, 2))
        blocks["DV1"], blocks["DV2"] = (b"##DV", [], records[:40]), (b"##DV", [], records[40:])
    else:
        blocks["DT"] = (b"##DT", [], records)
    return write(path, blocks)


def unfinalized(path: Path, frames: list[tuple[float, int, bytes]], start_ns: int) -> Path:
    """CAN frames (seconds since the start, identifier, bytes) as a logger leaves them whose power was cut: records with
    identifiers in one data block that does not know its length."""
    group = struct.pack("<QQHH4xLL", 1, 0, 0, 0, 21, 0)
    blocks: Blocks = {
        "HD": (b"##HD", ["DG", "", "", "", "", ""], struct.pack("<QhhB", start_ns, 0, 0, 2).ljust(32, b"\0")),
        "DG": (b"##DG", ["", "CG", "DT", ""], b"\1" + bytes(7)),
        "CG": (b"##CG", ["", "time", "", "", "", ""], group),
        "time": channel("id", "time name", "", 2, (4, 0, 64)),
        "id": channel("length", "id name", "", 0, (0, 8, 32)),
        "length": channel("bytes", "length name", "", 0, (0, 12, 8)),
        "bytes": channel("", "bytes name", "", 0, (10, 13, 64)),
        "time name": text("Timestamp"),
        "id name": text("CAN_DataFrame.ID"),
        "length name": text("CAN_DataFrame.DataLength"),
        "bytes name": text("CAN_DataFrame.DataBytes"),
        "DT": (b"##DT", [], b""),
    }
    write(path, blocks)
    with path.open("r+b") as file:
        file.write(b"UnFinMF ")
        file.seek(0, 2)
        for t, key, data in frames:
            extended = key > 0x7FF
            file.write(struct.pack("<BdLB8s", 1, t, key | extended << 31, len(data), data))
    return path

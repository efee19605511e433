"""The blocks of an MDF 4 file: links, channel groups, and the pieces of their data (ASAM MDF 4.1 and 4.2).

A block is an identifier (``##HD``), its length, its links and its data. A link is a place in the file. Every length and
link comes from outside and is checked before it is followed.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from tickover.errors import LogError
from tickover.logs.formats.base import Job

MAGIC: Final = b"MDF     "
UNFINALIZED: Final = b"UnFinMF "
ID_BYTES: Final = 64
READ_BYTES: Final = 256 << 10
"""Bytes of data read at once."""
MAX_BLOCK: Final = 16 << 20
"""The largest block that is no data, bytes."""
MAX_UNPACKED: Final = 64 << 20
"""The largest compressed data block, unpacked; the standard recommends 4 MB."""
MAX_PLACE: Final = 1 << 48
"""The largest place in a file, bytes."""
MAX_BLOCKS: Final = 100_000
"""Groups, channels and data lists in one file."""

_HEAD: Final = struct.Struct("<4s4xQQ")
_DATA_BLOCKS: Final = (b"##DT", b"##SD", b"##RD", b"##DV")
_TRANSPOSED: Final = 1
_MARK: Final = b"##"
"""How each block begins."""
_INVALIDATION: Final = 1 << 31
"""The flag of a list whose data have their invalidation bytes elsewhere."""


class Block(NamedTuple):
    """One block: its identifier, its links, its data."""

    kind: bytes
    links: tuple[int, ...]
    data: bytes

    def link(self, number: int) -> int:
        """A link, 0 when the block has fewer."""
        return self.links[number] if number < len(self.links) else 0


class Lost(NamedTuple):
    """So many bytes of data cannot be read; what follows them can."""

    bytes: int


@dataclass
class File:
    """One MDF 4 file. ``finalized`` False: its recorder was cut off, lengths and counts may be missing."""

    stream: BinaryIO
    name: str
    finalized: bool = True
    read_blocks: int = 0

    def _go(self, at: int) -> None:
        """Go to a place; LogError when no file is that long."""
        if at > MAX_PLACE:
            raise LogError(f"{self.name}: expected a link into the file, got {at}: damaged")
        self.stream.seek(at)

    def block(self, at: int, expected: bytes) -> Block:
        """The block at a place; LogError when it is not there, not of the kind expected, or too large."""
        self.read_blocks += 1
        if self.read_blocks > MAX_BLOCKS:
            raise LogError(f"{self.name}: expected at most {MAX_BLOCKS} blocks, got more: damaged")
        self._go(at)
        head = self.stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise LogError(f"{self.name}: cut: its index is missing (block {expected.decode()} at byte {at})")
        kind, length, links = _HEAD.unpack(head)
        if kind != expected:
            raise LogError(f"{self.name}: byte {at}: expected block {expected.decode()}, got {kind!r}: damaged")
        if not _HEAD.size + 8 * links <= length <= MAX_BLOCK:
            raise LogError(f"{self.name}: byte {at}: expected a block of at most {MAX_BLOCK} bytes, got {length}")
        rest = self.stream.read(length - _HEAD.size)
        if len(rest) < length - _HEAD.size:
            raise LogError(f"{self.name}: cut: its index is missing (block {expected.decode()} at byte {at})")
        return Block(kind, struct.unpack_from(f"<{links}Q", rest), rest[8 * links :])

    def chain(self, at: int, kind: bytes) -> Iterator[Block]:
        """A block and those that its first link leads to."""
        seen: set[int] = set()
        while at:
            if at in seen:
                raise LogError(f"{self.name}: byte {at}: expected a chain of blocks, got a circle: damaged")
            seen.add(at)
            block = self.block(at, kind)
            yield block
            at = block.link(0)

    def kind_at(self, at: int) -> bytes:
        """The identifier of a block; empty when there is none."""
        self._go(at)
        return self.stream.read(4)

    def text(self, at: int) -> str:
        """A text block's text; empty without one."""
        if not at or self.kind_at(at) not in (b"##TX", b"##MD"):
            return ""
        block = self.block(at, self.kind_at(at))
        return block.data.split(b"\0", 1)[0].decode("utf-8", "replace")

    def pieces(self, at: int, job: Job) -> Iterator[bytes | Lost]:
        """The data that a link leads to, through lists and compression, piece by piece."""
        if not at:
            return
        self._go(at)
        head = self.stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            job.bad(f"byte {at}", "the recording is cut short: its data are missing")
            return
        kind, length, links = _HEAD.unpack(head)
        if kind in _DATA_BLOCKS:
            yield from self._plain(at + _HEAD.size + 8 * links, length - _HEAD.size - 8 * links, job)
        elif kind == b"##DZ":
            yield from self._zipped(at, length, job)
        elif kind == b"##HL":
            yield from self.pieces(self.block(at, b"##HL").link(0), job)
        elif kind == b"##DL":
            for one in self.chain(at, b"##DL"):
                for link in one.links[1:]:
                    yield from self.pieces(link, job)
        elif kind == b"##LD":
            for one in self.chain(at, b"##LD"):
                flags, number = struct.unpack_from("<LL", one.data) if len(one.data) >= 8 else (0, 0)
                if flags & _INVALIDATION:
                    job.bad(f"byte {at}", "expected records in one piece, got invalidation bytes apart from them")
                    return
                for link in one.links[1 : 1 + number]:
                    yield from self.pieces(link, job)
        else:
            job.bad(f"byte {at}", f"expected data, got block {kind!r}: damaged")

    def _plain(self, at: int, length: int, job: Job) -> Iterator[bytes]:
        """Data as they are; to the end of the file where an unfinalized one has no length yet, or an old one."""
        endless = not self.finalized and (length <= 0 or self._goes_on(at + length))
        left = length
        while endless or left > 0:
            # Other groups' data may have been read in between: the place is kept here, not in the stream.
            self.stream.seek(at)
            data = self.stream.read(READ_BYTES if endless else min(READ_BYTES, left))
            if not data:
                if not endless:
                    job.bad(f"byte {at}", f"the recording is cut short: {left} bytes of data are missing")
                return
            yield data
            at += len(data)
            left -= len(data)

    def _goes_on(self, end: int) -> bool:
        """Whether data go on where a block says that it ends: its recorder was cut off before it said how far."""
        self._go(end + -end % 8)
        following = self.stream.read(2)
        return bool(following) and following != _MARK

    def _zipped(self, at: int, length: int, job: Job) -> Iterator[bytes | Lost]:
        """A compressed block; `Lost` when it is damaged."""
        head = self.stream.read(24)
        if len(head) < 24:
            job.bad(f"byte {at}", "the recording is cut short inside a compressed block")
            return
        _, zip_type, columns, size, packed = struct.unpack("<2sBxLQQ", head)
        if size > MAX_UNPACKED or packed > MAX_UNPACKED or packed > length:
            job.bad(f"byte {at}", f"expected a compressed block of at most {MAX_UNPACKED >> 20} MB, got {size} bytes")
            yield Lost(size)
            return
        unpack = zlib.decompressobj()
        try:
            data = unpack.decompress(self.stream.read(packed), size + 1)
        except zlib.error as error:
            job.bad(f"byte {at}", f"a compressed block of {size} bytes is lost: {error}")
            yield Lost(size)
            return
        if len(data) != size or not unpack.eof:
            job.bad(f"byte {at}", f"a compressed block of {size} bytes is lost: it is cut short or damaged")
            yield Lost(size)
            return
        # What is made of a piece takes many times its bytes: a block of 4 MB, let alone 64, is not passed on as one.
        if zip_type == _TRANSPOSED and columns:
            yield from _transposed_back(data, columns)
            return
        for begin in range(0, len(data), READ_BYTES):
            yield data[begin : begin + READ_BYTES]


def _transposed_back(data: bytes, columns: int) -> Iterator[bytes]:
    """Records again from their columns, piece by piece; what does not fill a record stands at the end as it is."""
    rows = len(data) // columns
    whole = np.frombuffer(data, np.uint8, rows * columns).reshape(columns, rows).T
    step = max(1, READ_BYTES // columns)
    for begin in range(0, rows, step):
        yield whole[begin : begin + step].tobytes()
    if rest := data[rows * columns :]:
        yield rest


def open_file(stream: BinaryIO, name: str) -> File:
    """The file behind its first 64 bytes; LogError says what it is when it is no MDF 4."""
    head = stream.read(ID_BYTES)
    if head[:8] not in (MAGIC, UNFINALIZED):
        raise LogError(f"{name}: expected an MDF 4 file, got {_other(head)}")
    if len(head) < ID_BYTES:
        raise LogError(f"{name}: cut: its index is missing (the file has {len(head)} bytes)")
    version = head[8:16].split(b"\0")[0].strip().decode("latin-1")
    if not version.startswith("4"):
        raise LogError(f"{name}: expected MDF version 4, got version {version}: convert it to MDF 4 (.mf4)")
    return File(stream, name, finalized=head[:8] == MAGIC)


def _other(head: bytes) -> str:
    if head.startswith(b"Generic File"):
        return "a file that its logger encrypted or compressed: unpack it with the maker's converter first"
    if not head:
        return "an empty file"
    return repr(head[:8])

"""Bytes to lines, lines to text and text to rows, for the formats that are text."""

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from tickover.errors import LogError
from tickover.logs.formats.base import Job
from tickover.logs.formats.rows import BadRowError, Row

READ_BYTES: Final = 256 << 10
"""Bytes in one block: small enough that one irregular row makes only a few thousand rows be read row by row."""
MAX_LINE: Final = 1 << 20
"""The longest line, bytes: what bounds memory when a file has no line ends."""

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_BINARY: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
"""Bytes that no encoding of text has in its lines."""
_MAGIC: Final = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"MDF ": "MDF"}


def blocks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Blocks of whole lines; LogError for what is not text or has too long a line."""
    rest = b""
    begun = False
    while data := stream.read(READ_BYTES):
        if not begun:
            check_text(data, name)
            data = data.removeprefix(_UTF8_BOM)
            begun = True
        # Only whole lines are passed on: the rest waits for the next read, so that no row is cut in two.
        cut = data.rfind(b"\n") + 1
        if cut:
            yield rest + data[:cut]
            rest = data[cut:]
        else:
            rest += data
        if len(rest) > MAX_LINE:
            raise LogError(f"{name}: expected lines of at most {MAX_LINE} bytes, got a longer one")
    if rest:
        yield rest + b"\n"


def check_text(start: bytes, name: str) -> None:
    """LogError when the first bytes are not text."""
    if start.startswith(_UTF16):
        raise LogError(f"{name}: expected text in UTF-8 or a one-byte encoding, got UTF-16; convert it to UTF-8")
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            raise LogError(f"{name}: expected text, got {kind} data; check the file's suffix")
    line = start.partition(b"\n")[0]
    if line.translate(None, _BINARY) != line:
        raise LogError(f"{name}: expected text, got binary data (control characters in the first line)")


def decode(data: bytes, encoding: str = "") -> str:
    """Text of a line: in the encoding named, else UTF-8, else Windows-1252, else Latin-1, which takes any byte."""
    for name in (encoding,) if encoding else ("utf-8", "cp1252"):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            pass
    return data.decode("latin-1")


class TextRows:
    """Parses blocks of whole lines; knows the line and the row number.

    ``parse`` takes a line's text and its row number from 0; None when the row went into a fold. ``line``: how many
    lines lie before the first block.
    """

    def __init__(self, job: Job, parse: Callable[[str, int], Row | None], line: int = 0) -> None:
        self.row = 0
        self._job = job
        self._parse = parse
        self._line = line
        self._encoding = job.mapping.log.encoding

    def of(self, block: bytes) -> Iterator[Row]:
        """The rows of a block; bad ones are counted and reported, blank lines are skipped."""
        for line in block.removesuffix(b"\n").split(b"\n"):
            self._line += 1
            if not line.strip():
                continue
            try:
                row = self._parse(decode(line, self._encoding), self.row)
            except BadRowError as error:
                self._job.bad(self._line, error)
            else:
                if row:
                    yield row
            self.row += 1

    def skip(self, rows: int) -> None:
        """These rows, a line each, were read in another way."""
        self.row += rows
        self._line += rows

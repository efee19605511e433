"""Bytes to lines, and lines to text, for the formats that are text."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Final

from tickover.errors import LogError

READ_BYTES: Final = 256 << 10
"""Bytes in one block: small enough that one irregular row makes only a few thousand rows be read row by row."""
MAX_LINE: Final = 1 << 20
"""The longest line, bytes: what bounds memory when a file has no line ends."""

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_BINARY: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
"""Bytes that no encoding of text has in its lines."""
_MAGIC: Final = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"MDF ": "MDF"}


def blocks(stream: BinaryIO, name: str, size: int = READ_BYTES) -> Iterator[bytes]:
    """Blocks of whole lines; LogError for what is not text or has too long a line. UTF-16 is made UTF-8."""
    rest = b""
    begun = False
    wide: codecs.IncrementalDecoder | None = None
    while data := stream.read(size):
        if not begun:
            wide = codecs.getincrementaldecoder("utf-16")("replace") if data.startswith(_UTF16) else None
        if wide:
            data = wide.decode(data).encode("utf-8", "replace")
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

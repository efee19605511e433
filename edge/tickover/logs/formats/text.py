"""Bytes to lines, and lines to text, for the formats that are text."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Final

from tickover.errors import LogError

READ_BYTES: Final = 256 << 10
"""Bytes in one block: small enough that one irregular row makes only a few thousand rows be read row by row."""
MAX_LINE: Final = 1 << 20
"""The longest line, bytes: what bounds memory when a file has no line ends."""

_MARKS: Final = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""How a text in wide characters begins, and its encoding."""
_LOOK_BYTES: Final = 64
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_BINARY: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
"""Bytes that no encoding of text has in its lines."""
_MAGIC: Final = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"MDF ": "MDF"}


def blocks(stream: BinaryIO, name: str, size: int = READ_BYTES) -> Iterator[bytes]:
    """Blocks of whole lines; LogError for what is not text or has too long a line."""
    rest = b""
    begun = only_returns = False
    wide: codecs.IncrementalDecoder | None = None
    while data := stream.read(size):
        if not begun:
            encoding = wide_encoding(data)
            wide = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
        if wide:
            data = wide.decode(data).encode("utf-8", "replace")
        if not begun:
            check_text(data, name)
            data = data.removeprefix(_UTF8_BOM)
            begun, only_returns = True, b"\r" in data and b"\n" not in data
        if only_returns:
            data = data.replace(b"\r", b"\n")
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


def wide_encoding(start: bytes) -> str:
    """The encoding of a text in wide characters, by its first bytes; empty for others."""
    marked = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), "")
    if marked:
        return marked
    # Without a mark: of Western text in UTF-16 every other byte is 0.
    look = start[:_LOOK_BYTES]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(look) > 8 and not any(look[first::2]) and all(look[1 - first :: 2]):
            return encoding
    return ""


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

"""Bytes to lines and lines to text, for the formats that are text."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from tickover.errors import LogError

READ_BYTES: Final = 256 << 10
"""One block: small enough that one odd row sends only a few thousand rows the slow way."""
MAX_LINE: Final = 1 << 20
"""The longest line, bytes: what bounds memory when a file has no line ends."""

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_MAGIC: Final = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"MDF ": "MDF"}


def blocks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Blocks of whole lines; LogError for what is not text or has a line without end."""
    rest = b""
    begun = False
    while data := stream.read(READ_BYTES):
        if not begun:
            check_text(data, name)
            data = data.removeprefix(_UTF8_BOM)
            begun = True
        cut = data.rfind(b"\n") + 1
        if cut:
            yield rest + data[:cut]
            rest = data[cut:]
        else:
            rest += data
        if len(rest) > MAX_LINE:
            raise LogError(f"{name}: expected lines of at most {MAX_LINE} bytes, came a longer one")
    if rest:
        yield rest + b"\n"


def check_text(start: bytes, name: str) -> None:
    """LogError when the first bytes are not text."""
    if start.startswith(_UTF16):
        raise LogError(f"{name}: expected text in UTF-8 or a one-byte encoding, came UTF-16; convert it to UTF-8")
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            raise LogError(f"{name}: expected text, came {kind} data; is the file's suffix right?")
    if b"\0" in start.partition(b"\n")[0]:
        raise LogError(f"{name}: expected text, came binary data (a NUL byte in the first line)")


def decode(data: bytes, encoding: str = "") -> str:
    """Text of a line: in the encoding named, else UTF-8, else Windows-1252, else Latin-1, which takes any byte."""
    for name in (encoding,) if encoding else ("utf-8", "cp1252"):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            pass
    return data.decode("latin-1")

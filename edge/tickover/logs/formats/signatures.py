"""What the first bytes of a log say of its format, whatever its suffix says.

``SIGNATURES`` has a line for each format that is told by content, the most certain first. A new format adds one: its
module, and a function from the first bytes (unpacked, at most ``START_BYTES``) to whether they are of the format. The
functions import no format, so that telling formats apart loads none of them.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from tickover.logs.formats.text import wide_encoding

START_BYTES: Final = 64 << 10
"""How much of a log is looked at, bytes."""

_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_MAGIC: Final = (b"PAR1", b"MDF ", b"PK\x03\x04", b"\x1f\x8b")
"""Binary files whose first bytes could be text."""
_BINARY: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
"""Bytes that no encoding of text has in its lines, UTF-16 apart."""

FIRST_LINES: Final = 8
"""Lines of a text that are looked at, where the first alone does not tell."""

MOST_COMMENTS: Final = 100

LooksLike = Callable[[bytes], bool]


class Signature(NamedTuple):
    """A format's module and how its logs begin."""

    module: str
    looks_like: LooksLike


def begins_with(*magic: bytes) -> LooksLike:
    """A format whose files begin with fixed bytes."""
    return lambda start: start.startswith(magic)


def first_line_is(pattern: str) -> LooksLike:
    """A text format whose first line that is not blank has this shape."""
    shape = re.compile(pattern.encode(), re.IGNORECASE)
    return lambda start: shape.match(_first_line(start)) is not None


def is_text(start: bytes) -> bool:
    """Whether these may be the first bytes of a text: some, without control characters in the first line."""
    if wide_encoding(start):
        return True
    line = b"" if start.startswith(_MAGIC) else _first_line(start)
    return bool(line) and line.translate(None, _BINARY) == line


def module_of(start: bytes) -> str | None:
    """The module of the format that the first bytes are of; None when no signature fits."""
    return next((signature.module for signature in SIGNATURES if signature.looks_like(start)), None)


def _first_line(start: bytes) -> bytes:
    for mark in _BOMS:
        start = start.removeprefix(mark)
    return start.lstrip().partition(b"\n")[0]


def _json(start: bytes) -> bool:
    return re.match(rb"\s*(\{\s*[\"}]|\[\s*[{\[\]])", start.removeprefix(b"\xef\xbb\xbf")) is not None


def first_row_is(pattern: str) -> LooksLike:
    """As `first_line_is`, of the first line that is no comment (``#``)."""
    shape = re.compile(pattern.encode(), re.IGNORECASE)

    def looks_like(start: bytes) -> bool:
        lines = start.removeprefix(b"\xef\xbb\xbf").split(b"\n", MOST_COMMENTS)
        return any(shape.match(line.strip()) for line in [one for one in lines if not _is_comment(one)][:1])

    return looks_like


def _is_comment(line: bytes) -> bool:
    return not line.strip() or line.lstrip().startswith(b"#")


def any_line_is(pattern: str) -> LooksLike:
    """A text format of which one of the first lines that are not blank has this shape."""
    shape = re.compile(pattern.encode(), re.IGNORECASE)

    def looks_like(start: bytes) -> bool:
        lines = [line for line in start.removeprefix(b"\xef\xbb\xbf").split(b"\n", 4 * FIRST_LINES) if line.strip()]
        return any(shape.match(line.rstrip(b"\r")) for line in lines[:FIRST_LINES])

    return looks_like


CANDUMP: Final = (
    r"[ \t]*(?:\([\d: .-]+\)[ \t]+)?\S+[ \t]+(?:[RT]X [B-] ?[EP-][ \t]+)?[0-9A-F]{3,8}"
    r"(?:##?[0-9A-FR]*[ \t]*(?:[RT]\s*)?$|[ \t]+\[\d\d?\])"
)
"""A line of candump: a time in brackets, unless it was recorded without; a bus, an identifier, ``#DATA`` or ``[8]``."""

ASC: Final = (
    r"base[ \t]+(?:hex|dec)[ \t]+timestamps|[ \t]*\d+\.\d+[ \t]+\d{1,2}[ \t]+[0-9A-F]+x?[ \t]+[RT]x[ \t]+[dr]\b"
)
"""A line of Vector's ASC: the second of its header, or a frame."""

SIGNATURES: Final[tuple[Signature, ...]] = (
    Signature("tickover.logs.formats.parquet", begins_with(b"PAR1")),
    Signature("tickover.logs.formats.mf4", begins_with(b"MDF     ", b"UnFinMF ")),
    Signature("tickover.logs.formats.blf", begins_with(b"LOGG")),
    Signature("tickover.logs.formats.trc", first_line_is(r";\$FILEVERSION=|;##+")),
    Signature("tickover.logs.formats.asc", any_line_is(ASC)),
    Signature("tickover.logs.formats.candump", any_line_is(CANDUMP)),
    Signature("tickover.logs.formats.jsonl", _json),
    # What tools of brokers write: the topic, perhaps a time, and the object.
    Signature("tickover.logs.formats.jsonl", first_line_is(r"[^{]{1,300}[\s:]\{\s*\"[^\"{}]+\"\s*:.*\}\s*$")),
    Signature(
        "tickover.logs.formats.influx_line",
        first_row_is(
            r"(\\.|[^\s,=#\\])+(,(\\.|[^\s,=\\])+=(\\.|[^\s,=\\])+)* (\\.|[^\s,=\\])+=\S.*[^\s=] -?\d{9,20}\s*$"
        ),
    ),
)
"""Formats told by content. What is text and fits none is CSV."""

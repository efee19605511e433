"""JSON from an untrusted sender: size and depth are checked before it is parsed.

One bad member costs one reading and not the message: what RFC 8259 forbids and senders write nonetheless (``NaN``,
``1e999``, ``nan`` of C's printf, a byte-order mark, a trailing NUL) is read by a second, slower parser, which runs only
when the first refuses.
"""

import json
import re
from typing import Any, Final

import msgspec

from tickover.payloads.base import MAX_BYTES, PayloadError

MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 40
"""A longer integer is no float32: it is read as infinite without the cost of its digits."""
MAX_REPAIRED: Final = 16_384
"""A larger payload is not repaired word by word."""
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_MARK: Final = b"\xef\xbb\xbf"
"""UTF-8's byte-order mark."""
_AROUND: Final = b" \t\r\n\0"
_TOKEN: Final = re.compile(r""""(?:[^"\\]|\\.)*+"?|[^\s,:\[\]{}"]++""", re.DOTALL)
"""A string, or a bare word. Possessive, so that nothing is scanned twice; an unclosed string reaches to the end."""
_GOOD_WORD: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|-?Infinity|NaN")


def parse_json(payload: bytes) -> Any:
    """The value of a JSON text; PayloadError ``too_large``, ``too_deep`` or ``bad_json``.

    Numbers may be infinite or NaN; of a key that stands twice in an object the last one counts.
    """
    if len(payload) > MAX_BYTES:
        raise PayloadError("too_large")
    if _too_deep(payload):
        raise PayloadError("too_deep")
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return _tolerant(payload)


def opened(text: str) -> Any:
    """The value of a text that holds a JSON object or list, as some senders put one into another; else the text."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return parse_json(text.encode("utf-8", "surrogatepass"))
    except PayloadError:
        return text


def as_text(payload: bytes) -> str:
    """A payload as text, without what stands around it; PayloadError ``too_large``.

    What is not UTF-8 is read as Latin-1, in which small devices write ``°C``.
    """
    if len(payload) > MAX_BYTES:
        raise PayloadError("too_large")
    inner = payload.removeprefix(_MARK).strip(_AROUND)
    try:
        return inner.decode("utf-8")
    except UnicodeDecodeError:
        return inner.decode("latin-1")


def _tolerant(payload: bytes) -> Any:
    text = as_text(payload)
    try:
        return _loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    if len(text) <= MAX_REPAIRED and text[:1] in ("{", "["):
        try:
            return _loads(_TOKEN.sub(_mended, text))
        except (ValueError, RecursionError):
            pass
    raise PayloadError("bad_json", reason[:120])


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


_loads: Final = json.JSONDecoder(parse_int=_integer, strict=False).decode
"""``NaN`` and the infinities are numbers, control characters may stand in strings."""


def _mended(found: re.Match[str]) -> str:
    """A word that is no JSON becomes a string: whether it is a number (``+5``, ``nan``, ``0x1F``) is decided later."""
    word = found[0]
    if word[0] == '"' or _GOOD_WORD.fullmatch(word):
        return word
    if len(word) >= 2 and word[0] == word[-1] == "'":  # as Python prints a dict
        word = word[1:-1]
    return json.dumps(word)


def _too_deep(payload: bytes) -> bool:
    """True when brackets nest deeper than MAX_DEPTH; brackets inside strings count too (refusing is safe)."""
    # translate() drops all other bytes at the speed of C; a payload with few brackets needs no loop at all.
    brackets = payload.translate(None, _NOT_BRACKETS)
    if len(brackets) <= 2 * MAX_DEPTH:
        return False
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False

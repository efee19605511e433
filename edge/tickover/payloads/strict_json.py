"""JSON from an untrusted sender: size and depth are checked before it is parsed."""

from typing import Any, Final

import msgspec

from tickover.payloads.base import MAX_BYTES, PayloadError

MAX_DEPTH: Final = 8
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def parse_json(payload: bytes) -> Any:
    """The value of a JSON text; PayloadError ``too_large``, ``too_deep`` or ``bad_json``."""
    if len(payload) > MAX_BYTES:
        raise PayloadError("too_large")
    if _too_deep(payload):
        raise PayloadError("too_deep")
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise PayloadError("bad_json") from None


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

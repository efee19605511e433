"""Reads a model file's raw bytes before protobuf does: every field is known, and none occurs too often or is too long.

A protobuf message of two bytes becomes an object of a hundred: what a file costs shows in its fields, not in its bytes.
This reader keeps one count for each kind of field and stops at the first bound (``fields``), so a hostile file of any
content costs at most ``MAX_FIELDS`` steps, and what it lets through is cheap to parse and to walk.
"""

from collections import Counter
from typing import Final, NamedTuple

from tickover.core.protobuf import BYTES, FLOAT, Field
from tickover.errors import ModelError
from tickover.model.file.fields import (
    KNOWN_BUT_REFUSED,
    LONG,
    MAX_FIELDS,
    MAX_LIST_BYTES,
    MAX_NAME_BYTES,
    MESSAGES,
    MOST,
)

_VARINT, _DELIMITED, _FIXED32 = 0, 2, 5
"""Wire types in use (protobuf.dev/programming-guides/encoding)."""
_VARINT_BYTES: Final = 10


class _Rule(NamedTuple):
    """What the wire may hold of one field; ``message``: the name of what lies inside; ``bytes`` None: unbounded."""

    name: str
    wires: frozenset[int]
    message: str | None
    bytes: int | None
    most: int


def _rule(message: str, field: Field) -> _Rule:
    key = (message, field.name)
    most = MOST.get(key, MAX_FIELDS)
    if isinstance(field.kind, str):
        return _Rule(field.name, frozenset({_DELIMITED}), field.kind, None, most)
    if field.kind == BYTES:
        return _Rule(field.name, frozenset({_DELIMITED}), None, LONG.get(key, MAX_NAME_BYTES), most)
    plain = _FIXED32 if field.kind == FLOAT else _VARINT
    wires = {plain, _DELIMITED} if field.repeated else {plain}
    return _Rule(field.name, frozenset(wires), None, MAX_LIST_BYTES, most)


_RULES: Final = {
    message: {field.number: _rule(message, field) for field in fields} for message, fields in MESSAGES.items()
}


def scan(data: bytes) -> None:
    """ModelError when the bytes are no protobuf, hold what ``fields`` does not describe, or more than it allows."""
    _Scan(data).message("Model", 0, len(data))


class _Scan:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fields = 0
        self._counts: Counter[tuple[str, str]] = Counter()

    def message(self, name: str, place: int, end: int) -> None:
        """One message between two places; those inside it follow, at most six deep as ``fields`` has them."""
        rules = _RULES[name]
        while place < end:
            tag, place = self._varint(place, end)
            number, wire = tag >> 3, tag & 7
            rule = rules.get(number)
            if rule is None or wire not in rule.wires:
                what = KNOWN_BUT_REFUSED.get((name, number), f"field {number} of {name}")
                raise ModelError(f"protobuf: expected a plain tickover model, found {what}")
            self._count(name, rule)
            length, place = self._length(wire, place, end)
            if wire == _DELIMITED and rule.bytes is not None and length > rule.bytes:
                raise ModelError(
                    f"structure: {name}.{rule.name}: expected at most {rule.bytes} bytes, got {length} at byte {place}"
                )
            if rule.message:
                self.message(rule.message, place, place + length)
            place += length

    def _count(self, message: str, rule: _Rule) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise ModelError(f"structure: expected at most {MAX_FIELDS} fields in all, got more")
        key = (message, rule.name)
        self._counts[key] += 1
        if self._counts[key] > rule.most:
            raise ModelError(f"structure: expected at most {rule.most} {_plural(rule.name)}, got more")

    def _length(self, wire: int, place: int, end: int) -> tuple[int, int]:
        """How many bytes of content a field has, and where they begin; they end within the message."""
        if wire == _VARINT:
            _, place = self._varint(place, end)
            return 0, place
        length = 4
        if wire == _DELIMITED:
            length, place = self._varint(place, end)
        return (length, place) if length <= end - place else _cut_short()

    def _varint(self, place: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(_VARINT_BYTES):
            if place >= end:
                return _cut_short()
            byte = self._data[place]
            place += 1
            value |= (byte & 0x7F) << 7 * shift
            if byte < 0x80:
                return value, place
        return _cut_short()


def _plural(name: str) -> str:
    return {"node": "nodes", "initializer": "initialisers", "metadata_props": "metadata entries"}.get(name, f"{name}s")


def _cut_short() -> tuple[int, int]:
    raise ModelError("protobuf: expected an ONNX model, the bytes cannot be read as one")

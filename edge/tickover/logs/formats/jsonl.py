"""JSON: an object per line or an array of objects; wide (a key per signal) or long (a signal and a value).

Nested objects are read as ``outer.inner`` keys.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import msgspec

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.base import Head, Job, shown
from tickover.logs.formats.objects import Table, flat, head_of, read_objects
from tickover.logs.formats.text import MAX_LINE, READ_BYTES, blocks, check_text, decode
from tickover.logs.mapping import LogLayout

WHOLE_BYTES: Final = 64 << 20
"""An object that holds the rows in an array is read whole, up to this size."""
EXPECTED: Final = "expected one JSON object per line"


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The keys of the first rows, in order of appearance, and the rows as text."""
    first = _start(stream)
    if not first:
        raise LogError(f"{name}: {EXPECTED}, got an empty file")

    def tables() -> Iterator[Table]:
        begun = False
        for line, table in _rows(stream, layout.encoding, name):
            if isinstance(table, dict):
                begun = True
                yield table
            elif not begun:
                raise LogError(f"{name}:{line}: {EXPECTED}, got {shown(table)}")

    head = head_of(tables(), layout, name)
    if not head.samples:
        raise LogError(f"{name}: {EXPECTED}, got an empty file")
    return head


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; a key that a row does not have is no reading."""

    def tables() -> Iterator[tuple[int, Table | None]]:
        for line, table in _rows(stream, job.mapping.log.encoding, job.name):
            if isinstance(table, dict):
                yield line, table
            else:
                job.bad(line, f"expected a JSON object, got {shown(table)}")
                yield line, None

    yield from read_objects(tables(), job)


def _start(stream: BinaryIO) -> bytes:
    """The first bytes that are not blank; the stream is at its start again."""
    start = b""
    while not start and (data := stream.read(READ_BYTES)):
        start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    stream.seek(0)
    return start


def _rows(stream: BinaryIO, encoding: str, name: str) -> Iterator[tuple[int, Any]]:
    """Each row's line (or number, in an array) and its object; the text of what is no object."""
    start = _start(stream)
    if start.startswith(b"["):
        return _array(stream, name)
    first = start.partition(b"\n")[0]
    alone = len(first) == len(start.rstrip())
    if start.startswith(b"{") and (alone or not isinstance(_table(first), dict)):
        wrapped = _wrapped(stream)
        if wrapped is not None:
            return iter(wrapped)
    return _lines(stream, encoding, name)


def _lines(stream: BinaryIO, encoding: str, name: str) -> Iterator[tuple[int, Any]]:
    number = 0
    for block in blocks(stream, name):
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            if line and not line.isspace():
                table = _table(line if not encoding else decode(line, encoding))
                if table is None:
                    table = _table(decode(line, encoding))
                yield number, flat(table) if isinstance(table, dict) else decode(line, encoding)


def _array(stream: BinaryIO, name: str) -> Iterator[tuple[int, Any]]:
    """The objects of an array, in flat memory."""
    decoder = json.JSONDecoder()
    unpack = codecs.getincrementaldecoder("utf-8-sig")("replace")
    text, place, number = "", 0, 0
    begun = ended = False
    while not ended:
        data = stream.read(READ_BYTES)
        if not begun:
            check_text(data[:100], name)
        text, place = text[place:] + unpack.decode(data, not data), 0
        while True:
            while place < len(text) and text[place] in " \t\r\n," + ("" if begun else "["):
                begun = begun or text[place] == "["
                place += 1
            if place >= len(text):
                break
            if text[place] == "]":
                return
            try:
                value, place = decoder.raw_decode(text, place)
            except (ValueError, RecursionError):
                break
            number += 1
            yield number, flat(value) if isinstance(value, dict) else str(value)
        if len(text) - place > MAX_LINE:
            raise LogError(f"{name}: expected an array of JSON objects of at most {MAX_LINE} bytes, got a longer one")
        if not data:
            ended = True
            if text[place:].strip():
                yield number + 1, text[place:]


def _wrapped(stream: BinaryIO) -> list[tuple[int, Any]] | None:
    """The rows in the longest array of objects of one object; None when there is none."""
    data = stream.read(WHOLE_BYTES + 1)
    stream.seek(0)
    whole = _table(data) if len(data) <= WHOLE_BYTES else None
    if not isinstance(whole, dict):
        return None
    arrays = [value for value in whole.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if not arrays:
        return [(1, flat(whole))]
    rows = max(arrays, key=len)
    return [(number, flat(row) if isinstance(row, dict) else str(row)) for number, row in enumerate(rows, 1)]


def _table(text: str | bytes) -> Any:
    """A line's JSON value; None when it is not JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None

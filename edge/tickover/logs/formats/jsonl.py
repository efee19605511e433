"""JSON: an object per line, an array of objects, or an array per line; wide (a key per signal) or long (a signal and a
value), SenML too.

Nested objects are read as ``outer.inner`` keys.
"""

import codecs
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO, Final

import msgspec

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats import times
from tickover.logs.formats.base import Head, Job
from tickover.logs.formats.json_shapes import named_rows, rows_in
from tickover.logs.formats.objects import flat, head_of_rows, read_rows
from tickover.logs.formats.senml_rows import is_senml, resolved
from tickover.logs.formats.text import MAX_LINE, READ_BYTES, blocks, check_text, decode
from tickover.logs.mapping import LogLayout

BETWEEN: Final = " \t\r\n,"
"""What may stand between values."""
MOST_WORDS: Final = 300
"""Characters before an object in its line, at most."""
WHOLE_BYTES: Final = 64 << 20
"""An object that holds the rows in an array is read whole, up to this size."""
EXPECTED: Final = "one JSON object per line"


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The keys of the first rows, in order of appearance, and the rows as text."""
    if not _start(stream):
        raise LogError(f"{name}: expected {EXPECTED}, got an empty file")
    return head_of_rows(_rows(stream, layout.encoding, name), layout, name, EXPECTED)


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; a key that a row does not have is no reading."""
    yield from read_rows(_rows(stream, job.mapping.log.encoding, job.name), job, "a JSON object")


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
    first = start.partition(b"\n")[0]
    alone = len(first) == len(start.rstrip())
    if start.startswith(b"["):
        batch = None if alone else _table(first)
        if isinstance(batch, list) and batch and isinstance(batch[0], dict):
            return _lines(stream, encoding, name)
        return _flat_rows(_of_base(named_rows(_values(stream, name, array=True))))
    if start.startswith(b"{") and (alone or not isinstance(_table(first), dict)):
        wrapped = _wrapped(stream)
        return iter(wrapped) if wrapped is not None else _flat_rows(_values(stream, name, array=False))
    return _lines(stream, encoding, name)


def _of_base(rows: Iterator[Any]) -> Iterator[Any]:
    """Records of SenML with what the ones before them say of them; other rows as they are."""
    first = next(rows, None)
    if first is None:
        return iter(())
    whole = chain((first,), rows)
    return resolved(whole) if is_senml(first) else whole


def _flat_rows(rows: Iterator[Any]) -> Iterator[tuple[int, Any]]:
    for number, row in enumerate(rows, 1):
        yield number, flat(row) if isinstance(row, dict) else str(row)


def _lines(stream: BinaryIO, encoding: str, name: str) -> Iterator[tuple[int, Any]]:
    number = 0
    for block in blocks(stream, name):
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            if line and not line.isspace():
                table = _table(line if not encoding else decode(line, encoding))
                if table is None:
                    table = _table(decode(line, encoding))
                if isinstance(table, list) and table:  # a batch
                    for row in _of_base(iter(table)):
                        yield number, flat(row) if isinstance(row, dict) else str(row)
                else:
                    yield number, flat(table) if isinstance(table, dict) else decode(line, encoding)


def _values(stream: BinaryIO, name: str, *, array: bool) -> Iterator[Any]:
    """The values of an array, or those that follow one another, in flat memory."""
    decoder = json.JSONDecoder()
    unpack = codecs.getincrementaldecoder("utf-8-sig")("replace")
    text, place = "", 0
    begun, ended, first = not array, False, True
    while not ended:
        data = stream.read(READ_BYTES)
        if first:
            check_text(data[:100], name)
            first = False
        text, place = text[place:] + unpack.decode(data, not data), 0
        while True:
            while place < len(text) and text[place] in BETWEEN + ("" if begun else "["):
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
            yield value
        if len(text) - place > MAX_LINE:
            raise LogError(f"{name}: expected JSON objects of at most {MAX_LINE} bytes, got a longer one")
        if not data:
            ended = True
            if text[place:].strip():
                yield text[place:]


def _wrapped(stream: BinaryIO) -> list[tuple[int, Any]] | None:
    """The rows inside one object; None when the stream is more than one, or too long."""
    data = stream.read(WHOLE_BYTES + 1)
    stream.seek(0)
    whole = _table(data) if len(data) <= WHOLE_BYTES else None
    if not isinstance(whole, dict):
        return None
    rows = rows_in(whole)
    if rows is None:
        return [(1, flat(whole))]
    return [(number, flat(row) if isinstance(row, dict) else str(row)) for number, row in enumerate(rows, 1)]


def _table(text: str | bytes) -> Any:
    """A line's JSON value; None when it is not JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = text.strip().rstrip(",")  # an array's lines without its brackets
    try:
        return json.loads(text)  # takes NaN and Infinity
    except (ValueError, RecursionError):
        return _after_words(text)


def _after_words(text: str) -> Any:
    """The object at the end of a line, and what stands before it: the time and topic that brokers' tools write."""
    words, brace, rest = text.partition("{")
    if not words.strip() or not brace or len(words) > MOST_WORDS or not text.endswith("}"):
        return None
    try:
        table = json.loads(brace + rest)
    except (ValueError, RecursionError):
        return None
    for word in words.split():
        key = "time" if times.detect_kind(word) in (*times.EPOCHS, "iso") else "topic"
        table.setdefault(key, word)
    return table

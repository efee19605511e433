"""InfluxDB line protocol: ``measurement,tag=value field=1.5,other=2i 1698232500000000000`` per line."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from tickover.core.values import Readings
from tickover.logs.formats.base import Head, Job
from tickover.logs.formats.json_shapes import Table
from tickover.logs.formats.objects import head_of_rows, read_rows
from tickover.logs.formats.text import blocks, decode
from tickover.logs.mapping import LogLayout

TIME: Final = "time"
LINE: Final = re.compile(
    r"((?:\\.|[^\\ ,])+)((?:,(?:\\.|[^\\ ,=])+=(?:\\.|[^\\ ,=])*)*) "
    r"((?:\\.|[^\\ ,=])+=(?:\"(?:\\.|[^\\\"])*\"|[^ ,\"]+)(?:,(?:\\.|[^\\ ,=])+=(?:\"(?:\\.|[^\\\"])*\"|[^ ,\"]+))*)"
    r"(?: (-?\d+))?\s*"
)
_TAG: Final = re.compile(r",((?:\\.|[^\\ ,=])+)=((?:\\.|[^\\ ,=])*)")
_FIELD: Final = re.compile(r"((?:\\.|[^\\ ,=])+)=(\"(?:\\.|[^\\\"])*\"|[^ ,\"]+)(?:,|$)")
_ESCAPE: Final = re.compile(r"\\([,= \"\\])")
_INTEGER: Final = re.compile(r"[+-]?\d+[iu]", re.ASCII)


EXPECTED: Final = "a line of the InfluxDB line protocol"


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The time, tags and fields of the first lines."""
    return head_of_rows(_rows(stream, layout.encoding, name), layout, name, EXPECTED)


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; a line without a time is a bad row."""
    yield from read_rows(_rows(stream, job.mapping.log.encoding, job.name), job, EXPECTED)


def _rows(stream: BinaryIO, encoding: str, name: str) -> Iterator[tuple[int, Any]]:
    number = 0
    for block in blocks(stream, name):
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            text = decode(line, encoding).strip()
            if text and not text.startswith("#"):
                match = LINE.fullmatch(text)
                yield number, text if match is None else _row(match)


def _row(match: re.Match[str]) -> Table:
    row: dict[str, Any] = {TIME: match[4] or ""}
    for key, value in _TAG.findall(match[2]):
        row[_plain(key)] = _plain(value)
    for key, value in _FIELD.findall(match[3]):
        name = _plain(key)
        row[name if name not in row else f"{name}.field"] = _field(value)
    return row


def _field(value: str) -> str:
    if value.startswith('"'):
        return _plain(value[1:-1])
    return value[:-1] if _INTEGER.fullmatch(value) else value


def _plain(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)

"""InfluxDB line protocol: ``measurement,tag=value field=1.5,other=2i 1698232500000000000`` per line."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.base import Head, Job, shown
from tickover.logs.formats.objects import Table, head_of, read_objects
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


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The time, tags and fields of the first lines."""

    def tables() -> Iterator[Table]:
        for line, table in _rows(stream, layout.encoding, name):
            if isinstance(table, dict):
                yield table
            elif line == 1:
                raise LogError(f"{name}:1: expected a line of the InfluxDB line protocol, got {shown(table)}")

    head = head_of(tables(), layout, name)
    if not head.samples:
        raise LogError(f"{name}: expected lines of the InfluxDB line protocol, got none")
    return head


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; a line without a time is a bad row."""

    def tables() -> Iterator[tuple[int, Table | None]]:
        for line, table in _rows(stream, job.mapping.log.encoding, job.name):
            if isinstance(table, dict):
                yield line, table
            else:
                job.bad(line, f"expected a line of the InfluxDB line protocol, got {shown(table)}")
                yield line, None

    yield from read_objects(tables(), job)


def looks_like(line: bytes) -> bool:
    """Whether a line is of the line protocol, with a time."""
    match = LINE.fullmatch(line.decode("utf-8", "replace").strip())
    return match is not None and match[4] is not None


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

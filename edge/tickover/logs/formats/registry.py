"""Log and payload formats: they take bytes and values, never paths or sockets.

``LOG_FORMATS`` is the registry: a new format joins by one line here and one in tests/edge/logs/test_log_formats.py.
"""

import importlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol, cast

from tickover.core.values import Readings
from tickover.logs.formats.rows import Head, Job
from tickover.logs.mapping import LogLayout


class LogFormat(Protocol):
    """What each log format's module offers."""

    def head(self, stream: BinaryIO, layout: LogLayout, name: str) -> Head:
        """The columns and the first rows; LogError when it is not a log of this format."""

    def read(self, stream: BinaryIO, job: Job) -> Iterator[Readings]:
        """Blocks of readings, flat memory; LogError for what cannot be read at all."""


LOG_FORMATS: Final[dict[str, str]] = {
    ".csv": "tickover.logs.formats.csv",
    ".tsv": "tickover.logs.formats.csv",
    ".txt": "tickover.logs.formats.csv",
    ".jsonl": "tickover.logs.formats.jsonl",
    ".ndjson": "tickover.logs.formats.jsonl",
    ".parquet": "tickover.logs.formats.parquet",
}
"""Suffix to the module that reads it; each may stand before ``.gz``."""


def log_format(suffix: str) -> LogFormat | None:
    """The format of a suffix such as ``.csv``; None when there is none."""
    module = LOG_FORMATS.get(suffix.lower())
    return cast(LogFormat, importlib.import_module(module)) if module else None

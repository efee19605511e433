"""Which log formats there are: a new one is a file beside this one, and a line in ``LOG_FORMATS``.

Other distributions add theirs through entry points, see ``plugins``. The suite that every format passes is
tests/edge/logs/test_log_formats.py, where a new one joins by a line too.
"""

import importlib
from typing import Final, cast

from tickover.logs.formats import plugins
from tickover.logs.formats.base import LogFormat

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
    """The format of a suffix such as ``.csv``; None when there is none. LogError when a plug-in cannot be loaded."""
    suffix = suffix.lower()
    module = LOG_FORMATS.get(suffix)
    return cast(LogFormat, importlib.import_module(module)) if module else plugins.find(suffix)


def log_suffixes() -> tuple[str, ...]:
    """The suffixes of all formats, plug-ins included; nothing is loaded."""
    return tuple(dict.fromkeys((*LOG_FORMATS, *plugins.suffixes())))

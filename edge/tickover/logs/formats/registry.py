"""Which log formats there are: a new one is a file beside this one and a line in ``LOG_FORMATS``.

A log is known by its content first (``signatures``), then by its suffix. Other distributions add formats through entry
points, see ``plugins``. The suite that every format passes is tests/edge/logs/test_log_formats.py, where one joins
by a line too.
"""

import importlib
from typing import Final, cast

from tickover.logs.formats import plugins, signatures
from tickover.logs.formats.base import LogFormat

CSV: Final = "tickover.logs.formats.csv"
JSON: Final = "tickover.logs.formats.jsonl"
LOG_FORMATS: Final[dict[str, str]] = {
    ".csv": CSV,
    ".tsv": CSV,
    ".txt": CSV,
    ".log": CSV,
    ".json": JSON,
    ".jsonl": JSON,
    ".ndjson": JSON,
    ".parquet": "tickover.logs.formats.parquet",
    ".candump": "tickover.logs.formats.candump",
    ".asc": "tickover.logs.formats.asc",
    ".trc": "tickover.logs.formats.trc",
    ".blf": "tickover.logs.formats.blf",
    ".mf4": "tickover.logs.formats.mf4",
}
"""Suffix to the module that reads it, unless the content says otherwise; each may be packed (``packed.PACKED``)."""


def log_format(suffix: str) -> LogFormat | None:
    """The format of a suffix such as ``.csv``; None when there is none. LogError when a plug-in cannot be loaded."""
    suffix = suffix.lower()
    module = LOG_FORMATS.get(suffix)
    return _loaded(module) if module else plugins.find(suffix)


def format_of(start: bytes, suffix: str) -> LogFormat | None:
    """The format of a log by its first bytes (unpacked), else by its suffix; None when neither tells.

    A suffix of a plug-in is the plug-in's, whatever the bytes look like.
    """
    suffix = suffix.lower()
    own = LOG_FORMATS.get(suffix)
    plugin = None if own else plugins.find(suffix)
    if plugin:
        return plugin
    module = signatures.module_of(start) or own or (CSV if signatures.is_text(start) else None)
    return _loaded(module) if module else None


def log_suffixes() -> tuple[str, ...]:
    """The suffixes of all formats, plug-ins included; nothing is loaded."""
    return tuple(dict.fromkeys((*LOG_FORMATS, *plugins.suffixes())))


def _loaded(module: str) -> LogFormat:
    return cast(LogFormat, importlib.import_module(module))

"""Opens recorded logs and mapping files: the only place in ``logs`` that opens a path to read."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from tickover.core.values import Readings
from tickover.errors import ConfigError, LogError
from tickover.logs.formats.base import Head, Job, LogFormat
from tickover.logs.formats.header import settle
from tickover.logs.formats.registry import format_of, log_suffixes
from tickover.logs.formats.signatures import START_BYTES
from tickover.logs.mapping import RELATIVE_KINDS, LogLayout, Mapping, parse_mapping
from tickover.logs.packed import DAMAGED, PACKED, unpacked
from tickover.storage import files

MAX_MAPPING_BYTES: Final = 4 << 20


def read_log(
    path: str | Path,
    mapping: Mapping,
    *,
    vehicle: str,
    start: int = 0,
    strict: bool = False,
    counts: Counter[str],
    on_bad: Callable[[str], None],
) -> Iterator[Readings]:
    """A log's readings, in blocks of at most 16,384 rows; memory stays flat however long it is.

    ``vehicle`` is whose log it is when the mapping names no vehicle column; ``start`` (microseconds since the epoch)
    is where relative times count from, and its date is that of the first time of day. A bad row is counted in
    ``counts["bad_rows"]`` and reported to ``on_bad`` with file and line, or raises LogError when ``strict``; good rows
    count as ``rows``. A bad header, and a file that is no log, raise LogError at once.
    """
    path = Path(path)
    with open_log(path) as (stream, format_):
        settled = settle(mapping, format_.head(stream, mapping.log, str(path)), str(path))
        stream.seek(0)
        yield from format_.read(stream, Job(str(path), settled, vehicle, start, strict, counts, on_bad))


def read_head(path: str | Path, layout: LogLayout | None = None) -> Head:
    """A log's columns and first rows."""
    path = Path(path)
    with open_log(path) as (stream, format_):
        return format_.head(stream, layout or LogLayout(), str(path))


def log_is_relative(path: str | Path, mapping: Mapping) -> bool:
    """Whether the log counts its time from its start, in seconds or rows."""
    return settle(mapping, read_head(path, mapping.log), str(path)).time.kind in RELATIVE_KINDS


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[tuple[BinaryIO, LogFormat]]:
    """Open a log by its content and suffix, unpacked; LogError says why it cannot be read."""
    # Errors of reading come out of the caller's block, because logs are read piece by piece: they are caught around it.
    try:
        with path.open("rb") as file, unpacked(file, str(path)) as (stream, inner):
            start = stream.read(START_BYTES)
            stream.seek(0)
            format_ = format_of(start, Path(inner).suffix)
            if format_ is None:
                known = ", ".join("*" + suffix for suffix in log_suffixes())
                raise LogError(
                    f"{path}: expected a log named {known} (or packed: {', '.join(PACKED)}), got {path.name}"
                )
            yield stream, format_
    except DAMAGED as error:
        raise LogError(f"{path}: the packed data are damaged or cut short: {error}") from error
    except OSError as error:
        raise LogError(f"{path}: cannot read the log: {error.strerror or error}") from error


def load_mapping(path: str | Path) -> Mapping:
    """Read a mapping file; ConfigError names the file and the key that is wrong."""
    try:
        text = files.read_text(Path(path), MAX_MAPPING_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the mapping: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: expected UTF-8 text: {error}") from error
    return parse_mapping(text, str(path))

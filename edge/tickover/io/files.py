"""Files: the only place that opens a path. Logs are read here, and files are replaced whole here."""

import contextlib
import gzip
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from tickover.errors import LogError
from tickover.formats import LOG_FORMATS, LogFormat, log_format
from tickover.formats.rows import Head, Job, settle
from tickover.mapping import RELATIVE_KINDS, LogLayout, Mapping
from tickover.records import Readings

GZIP: Final = ".gz"
TEMPORARY: Final = ".tmp"


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
    ``counts["bad_rows"]`` and told to ``on_bad`` with file and line, or raises LogError when ``strict``; good rows
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
    """Open a log by its suffix, ``.gz`` unpacked; LogError says why it cannot be read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [GZIP]
    format_ = log_format("".join(suffixes[:-1][-1:] if packed else suffixes[-1:]))
    if format_ is None:
        raise LogError(
            f"{path}: expected a log called {', '.join('*' + suffix for suffix in LOG_FORMATS)} (or .gz of it)"
        )
    try:
        with path.open("rb") as file:
            yield (cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb")) if packed else file), format_
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LogError(f"{path}: the gzip data are damaged or cut short: {error}") from error
    except OSError as error:
        raise LogError(f"{path}: cannot read the log: {error.strerror or error}") from error


def read_text(path: Path, limit: int) -> str:
    """A UTF-8 text file; OSError as it comes, ValueError when it is not UTF-8 or longer than ``limit`` bytes."""
    return read_bytes(path, limit).decode("utf-8-sig")


def read_bytes(path: Path, limit: int) -> bytes:
    """A whole file; OSError as it comes, ValueError when it is longer than ``limit`` bytes or no plain file."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError("expected a plain file")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"expected at most {limit} bytes")
    return data


@contextlib.contextmanager
def replace_file(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to write that takes ``path``'s place, whole and durable, once the block ends without an error.

    OSError names ``path``, not the temporary file beside it.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename and Path(error.filename) == temporary:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

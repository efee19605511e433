"""Opens recorded logs and mapping files: the only place in ``logs`` that opens a path to read."""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from tickover.core.values import Readings
from tickover.errors import ConfigError, LogError
from tickover.logs.formats.base import Head, Job, LogFormat
from tickover.logs.formats.header import settle
from tickover.logs.formats.registry import format_of, log_suffixes
from tickover.logs.formats.signatures import START_BYTES
from tickover.logs.mapping import RELATIVE_KINDS, LogLayout, Mapping, parse_mapping
from tickover.logs.packed import DAMAGED, PACKED, unpacked
from tickover.payloads.can import dbc
from tickover.payloads.can.catalogue import Catalogue, J1939Mode, catalogue_of
from tickover.payloads.can.shipped import Names, renamed, shipped_catalogue
from tickover.storage import files

LFS_POINTER: Final = b"version https://git-lfs"
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
    with open_log(path, mapping.log) as (stream, format_):
        settled = settle(mapping, format_.head(stream, mapping.log, str(path)), str(path))
        stream.seek(0)
        yield from format_.read(stream, Job(str(path), settled, vehicle, start, strict, counts, on_bad))


def read_head(path: str | Path, layout: LogLayout | None = None) -> Head:
    """A log's columns and first rows."""
    path = Path(path)
    layout = layout or LogLayout()
    with open_log(path, layout) as (stream, format_):
        return format_.head(stream, layout, str(path))


def log_is_relative(path: str | Path, mapping: Mapping) -> bool:
    """Whether the log counts its time from its start, in seconds or rows."""
    return settle(mapping, read_head(path, mapping.log), str(path)).time.kind in RELATIVE_KINDS


@contextlib.contextmanager
def open_log(path: Path, layout: LogLayout | None = None) -> Iterator[tuple[BinaryIO, LogFormat]]:
    """Open a log by its content and suffix, unpacked; LogError says why it cannot be read.

    A recording of a CAN bus gets the messages of the layout's DBC files, and ConfigError when one is no DBC.
    """
    # Errors of reading come out of the caller's block, because logs are read piece by piece: they are caught around it.
    try:
        with path.open("rb") as file, unpacked(file, str(path)) as (stream, inner):
            start = stream.read(START_BYTES)
            stream.seek(0)
            if start.startswith(LFS_POINTER):
                raise LogError(f"{path}: expected a log, got a Git LFS pointer: fetch the file with `git lfs pull`")
            format_ = format_of(start, Path(inner).suffix)
            if format_ is None:
                known = ", ".join("*" + suffix for suffix in log_suffixes())
                raise LogError(
                    f"{path}: expected a log named {known} (or packed: {', '.join(PACKED)}), got {path.name}"
                )
            yield stream, _with_messages(format_, layout, str(path))
    except DAMAGED as error:
        raise LogError(f"{path}: the packed data are damaged or cut short: {error}") from error
    except OSError as error:
        raise LogError(f"{path}: cannot read the log: {error.strerror or error}") from error


def _with_messages(format_: LogFormat, layout: LogLayout | None, name: str) -> LogFormat:
    """The format with the messages of the layout's DBC files; LogError when it is not one of a CAN bus."""
    if layout is None or not layout.dbc:
        return format_
    using: Callable[[Catalogue], LogFormat] | None = getattr(format_, "using", None)
    if using is None:
        raise LogError(f"{name}: expected a recording of a CAN bus, since a DBC is given; got rows, such as CSV")
    return using(load_catalogue(layout))


def load_catalogue(layout: LogLayout) -> Catalogue:
    """The messages of the layout's DBC files, or of the shipped table; ConfigError names the file that is wrong."""
    if not layout.dbc:
        return shipped_catalogue(layout.names)
    stamps = tuple(_stamp(path) for path in layout.dbc)
    return _parsed(layout.dbc, stamps, layout.j1939, layout.names)


@functools.lru_cache(maxsize=4)
def _parsed(paths: tuple[str, ...], stamps: tuple[int, ...], j1939: J1939Mode, names: Names) -> Catalogue:
    """As `load_catalogue`; ``stamps`` tell files that have changed. A folder of logs parses its DBC once."""
    texts: dict[str, bytes] = {}
    for path in paths:
        try:
            with Path(path).open("rb") as file:
                texts[path] = file.read(dbc.MAX_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"{path}: cannot read the DBC: {error.strerror or error}") from error
    loaded = dbc.load(texts, j1939)
    return catalogue_of(renamed(loaded.messages, names), loaded.warnings)


def _stamp(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the DBC: {error.strerror or error}") from error


def load_mapping(path: str | Path) -> Mapping:
    """Read a mapping file; ConfigError names the file and the key that is wrong."""
    try:
        text = files.read_text(Path(path), MAX_MAPPING_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the mapping: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: expected UTF-8 text: {error}") from error
    return _beside(parse_mapping(text, str(path)), Path(path).parent)


def _beside(mapping: Mapping, folder: Path) -> Mapping:
    """The mapping with DBC files looked for in its own folder first."""
    if not mapping.log.dbc:
        return mapping
    found = tuple(str(folder / name) if (folder / name).exists() else name for name in mapping.log.dbc)
    return msgspec.structs.replace(mapping, log=msgspec.structs.replace(mapping.log, dbc=found))

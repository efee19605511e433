"""Opens recorded logs and mapping files: the only place in ``logs`` that opens a path to read."""

import contextlib
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol

import msgspec

from tickover.core.values import Readings
from tickover.errors import ConfigError, LogError
from tickover.logs import dates
from tickover.logs.formats import times
from tickover.logs.formats.base import Head, Job, LogFormat
from tickover.logs.formats.cells import MISSING
from tickover.logs.formats.header import clean_column, settle
from tickover.logs.formats.registry import format_of, log_suffixes
from tickover.logs.formats.signatures import START_BYTES
from tickover.logs.mapping import RELATIVE_KINDS, LogLayout, Mapping, parse_mapping
from tickover.logs.ordering import in_order, is_grouped, regrouped, turned
from tickover.logs.packed import DAMAGED, PACKED, unpacked
from tickover.payloads.can import dbc
from tickover.payloads.can.catalogue import Catalogue, J1939Mode, catalogue_of
from tickover.payloads.can.shipped import Names, renamed, shipped_catalogue
from tickover.payloads.can.told_codes import ToldCode
from tickover.storage import files

LFS_POINTER: Final = b"version https://git-lfs"
OTHER_FILES: Final = {
    b"\x28\xb5\x2f\xfd": "data packed with zstd: unpack them with zstd -d",
    b"7z\xbc\xaf": "data packed with 7-Zip: unpack them",
    b"Rar!": "data packed with RAR: unpack them",
    b"ARROW1": "an Arrow file: save it as Parquet",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet with the log as CSV",
    b"SQLite format 3": "an SQLite database: export its table as CSV",
    b"\x89HDF": "an HDF5 file: export it as Parquet or CSV",
    b"%PDF": "a PDF: export the log as CSV",
}
"""Files that people have logs in and that are no log, by their first bytes, with the remedy."""
TEXT_ROWS: Final = 1_000_000
LEAST_STEPS: Final = 8
FALLING_SHARE: Final = 0.9
"""A log is from newest to oldest when so many of the first rows' steps are back in time."""
MAX_MAPPING_BYTES: Final = 4 << 20
DIGEST: Final = " sha256:"
"""What stands between the name of a DBC and its digest where a model names it."""
MAX_MARK_NAME, SHOWN_DIGITS = 200, 12


class LogFile(Protocol):
    """What can be opened as a log: a `Path`, or a log elsewhere."""

    @property
    def name(self) -> str:
        """Its name, with the suffix."""

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """Open it to read bytes; OSError when that fails."""


def read_log(
    path: str | LogFile,
    mapping: Mapping,
    *,
    vehicle: str,
    start: int = 0,
    strict: bool = False,
    counts: Counter[str],
    on_bad: Callable[[str], None],
    cells: Counter[tuple[str, str]] | None = None,
    on_codes: Callable[[Sequence[ToldCode]], None] = lambda codes: None,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[Readings]:
    """A log's readings, in blocks of at most 16,384 rows; memory stays flat however long it is.

    ``vehicle`` is whose log it is when the mapping names no vehicle column; ``start`` (microseconds since the epoch)
    is where relative times count from, and its date is that of the first time of day; 0: where the log says so itself.
    A bad row is counted in ``counts["bad_rows"]`` and reported to ``on_bad`` with file and line, or raises LogError
    when ``strict``; good rows count as ``rows``. A cell that holds no number costs itself: ``bad_cells`` and
    ``missing_cells``, and in ``cells`` by signal and text. A bad header, and a file that is no log, raise LogError at
    once. Rows are in order of time, see `ordering`. ``on_codes`` hears the trouble codes of a recording of a bus at its
    end, ``on_note`` (else ``on_bad``) what to know of how a log is read.
    """
    path = _file(path)
    with open_log(path, mapping.log) as (stream, format_):
        head = format_.head(stream, mapping.log, str(path))
        settled = _settled(mapping, head, stream, format_, str(path))
        begin = start or (head.start if settled.time.kind in (*RELATIVE_KINDS, "time_of_day") else None) or 0
        stream.seek(0)
        tally: Counter[tuple[str, str]] = Counter() if cells is None else cells
        job = Job(str(path), settled, vehicle, begin, strict, counts, on_bad, head.evidence, tally, on_codes, on_note)
        blocks = format_.read(stream, job)
        if (
            settled.log.layout == "long"
            and len(settled.signals) > 1
            and is_grouped(_texts(head, settled.log.signal_column))
        ):
            blocks = regrouped(blocks, str(path))
        elif _newest_first(settled, head):
            blocks = turned(blocks, counts, str(path))
        if head.as_it_came:
            yield from blocks
            return
        yield from in_order(blocks, counts, str(path), relative=settled.time.kind in RELATIVE_KINDS)


def read_head(path: str | LogFile, layout: LogLayout | None = None, *, rows: bool = True) -> Head:
    """A log's columns and first rows; without ``rows`` the columns alone, which costs less in some formats."""
    path = _file(path)
    layout = layout or LogLayout()
    with open_log(path, layout) as (stream, format_):
        head = format_.head(stream, layout, str(path))
        return head._replace(samples=list(head.samples) if rows else ())


def log_is_relative(path: str | Path, mapping: Mapping) -> bool:
    """Whether the log counts its time from its start, in seconds or rows."""
    settled, head = _settled_head(path, mapping)
    return settled.time.kind in RELATIVE_KINDS and head.start is None


def settled_mapping(path: str | Path, mapping: Mapping) -> Mapping:
    """The mapping as it is for one log: its time column and kind settled, the model's columns found."""
    return _settled_head(path, mapping)[0]


def first_stamp(path: str | LogFile, mapping: Mapping) -> int | None:
    """The earliest time of a log's first rows, microseconds as written (`formats.times`), to put logs in order.

    None where the first rows do not tell: times that count from the log's start, a time of day, a format without rows.
    """
    settled, head = _settled_head(path, mapping)
    time = settled.time
    if head.own_time or not time.column or time.date_column or time.kind in (*RELATIVE_KINDS, "time_of_day"):
        return head.start
    decimal = head.evidence.column(time.column).decimal
    stamps = (times.parse_stamp(cell, time.kind, decimal, time.format) for cell in _texts(head, time.column))
    return min((stamp for stamp in stamps if stamp is not None), default=None)


def _file(path: str | LogFile) -> LogFile:
    return Path(path) if isinstance(path, str) else path


def _settled_head(path: str | LogFile, mapping: Mapping) -> tuple[Mapping, Head]:
    path = _file(path)
    with open_log(path, mapping.log) as (stream, format_):
        head = format_.head(stream, mapping.log, str(path))
        return _settled(mapping, head, stream, format_, str(path)), head


def column_texts(path: str | Path, layout: LogLayout, column: str) -> list[str]:
    """The different texts of one column of the first ``TEXT_ROWS`` rows; none where the format cannot tell."""
    path = Path(path)
    with open_log(path) as (stream, format_):
        scan = getattr(format_, "column_cells", None)
        if scan is None:
            return []
        return list(dict.fromkeys(islice(scan(stream, layout, str(path), column), TEXT_ROWS)))


def _settled(mapping: Mapping, head: Head, stream: BinaryIO, format_: LogFormat, name: str) -> Mapping:
    """``settle``, and where the first rows do not tell day from month, by all of them."""
    settled = settle(mapping, head, name)
    time = settled.time
    if time.kind != "date" or time.format:
        return settled
    column = time.date_column or time.column
    cells = _texts(head, column)
    if not cells or all(dates.parse_date(cell) for cell in cells):
        return settled
    scan = getattr(format_, "column_cells", None)
    if scan:
        stream.seek(0)
        cells = scan(stream, mapping.log, name, column)
    order = dates.order_of(cells)
    if order is None:
        shown = _texts(head, column)[0]
        raise LogError(
            f"{name}: column '{column}': expected dates that tell day from month, got {shown!r} and the like "
            f'({" or ".join(dates.readings_of(shown))}); say which in a mapping: [time] format = "dmy" or "mdy" '
            "(--time-format)"
        )
    return msgspec.structs.replace(settled, time=msgspec.structs.replace(time, format=order))


def _texts(head: Head, column: str) -> list[str]:
    place = [clean_column(name) for name in head.columns].index(clean_column(column))
    return [cell for cell in head.cells(place) if cell.strip().lower() not in MISSING]


def _newest_first(mapping: Mapping, head: Head) -> bool:
    """Whether the first rows go from the newest to older ones."""
    time = mapping.time
    if head.own_time or not time.column or time.kind in ("time_of_day", "rate"):
        return False
    cells = _texts(head, time.column)
    if time.date_column:
        cells = [f"{day} {clock}" for day, clock in zip(_texts(head, time.date_column), cells, strict=False)]
    decimal = head.evidence.column(time.column).decimal
    stamps = [
        stamp for cell in cells if (stamp := times.parse_stamp(cell, time.kind, decimal, time.format)) is not None
    ]
    steps = [later - earlier for earlier, later in pairwise(stamps) if later != earlier]
    return len(steps) >= LEAST_STEPS and sum(step < 0 for step in steps) >= FALLING_SHARE * len(steps)


@contextlib.contextmanager
def open_log(path: LogFile, layout: LogLayout | None = None) -> Iterator[tuple[BinaryIO, LogFormat]]:
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
            other = next((what for magic, what in OTHER_FILES.items() if start.startswith(magic)), None)
            if other:
                raise LogError(f"{path}: expected a log, got {other}")
            format_ = format_of(start, Path(inner).suffix)
            if format_ is None:
                known = ", ".join("*" + suffix for suffix in log_suffixes())
                raise LogError(
                    f"{path}: expected a log named {known} (or packed: {', '.join(PACKED)}), got {path.name}"
                )
            resolve = getattr(format_, "resolve", None)
            if resolve:
                format_ = resolve(stream, str(path)) or format_
                stream.seek(0)
            yield stream, _with_messages(format_, layout, str(path))
    except DAMAGED as error:
        raise LogError(f"{path}: the packed data are damaged or cut short: {error}") from error
    except OSError as error:
        raise LogError(f"{path}: cannot read the log: {error.strerror or error}") from error


def _with_messages(format_: LogFormat, layout: LogLayout | None, name: str) -> LogFormat:
    """The format with the messages of the layout's DBC files; LogError when it is not one of a CAN bus."""
    using: Callable[[Catalogue], LogFormat] | None = getattr(format_, "using", None)
    if layout is None or not layout.dbc:
        if layout is not None and layout.trained_with and using is not None:
            raise LogError(
                f"{name}: expected the DBC that the model was trained with, {shown_marks(layout.trained_with)}: "
                "name it with --dbc"
            )
        return format_
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


def dbc_marks(layout: LogLayout) -> tuple[str, ...]:
    """The layout's DBC files as a model names them: ``truck.dbc sha256:`` and the digest; the name alone of one that
    cannot be read."""
    return tuple(_mark(Path(path)) for path in layout.dbc)


def _mark(path: Path) -> str:
    name = "".join(filter(str.isprintable, path.name))[:MAX_MARK_NAME]
    try:
        with path.open("rb") as file:
            return f"{name}{DIGEST}{hashlib.sha256(file.read(dbc.MAX_BYTES)).hexdigest()}"
    except OSError:
        return name


def shown_marks(marks: Sequence[str]) -> str:
    """DBC files for a message, with the first digits of their digests."""
    pairs = (mark.partition(DIGEST) for mark in marks)
    return ", ".join(f"{name} (sha256 {digest[:SHOWN_DIGITS]})" if digest else name for name, _, digest in pairs)


def other_dbc(layout: LogLayout, trained_with: Sequence[str]) -> str:
    """What to know where the DBC files given are not those that a model was trained with; empty where they are."""
    if not (layout.dbc and trained_with):
        return ""
    given, wanted = ({mark.partition(DIGEST)[2] for mark in marks} for marks in (dbc_marks(layout), trained_with))
    if given == wanted:
        return ""
    return (
        f"the model was trained with the DBC {shown_marks(trained_with)}, and is given "
        f"{shown_marks(dbc_marks(layout))}: a signal of the same name may be another"
    )


def _stamp(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the DBC: {error.strerror or error}") from error


def load_mapping(path: str | Path, *, partial: bool = False) -> Mapping:
    """Read a mapping file; ConfigError names the file and the key that is wrong. ``partial``: it may name no signal."""
    try:
        text = files.read_text(Path(path), MAX_MAPPING_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the mapping: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: expected UTF-8 text: {error}") from error
    return _beside(parse_mapping(text, str(path), partial=partial), Path(path).parent)


def _beside(mapping: Mapping, folder: Path) -> Mapping:
    """The mapping with DBC files looked for in its own folder first."""
    if not mapping.log.dbc:
        return mapping
    found = tuple(str(folder / name) if (folder / name).exists() else name for name in mapping.log.dbc)
    return msgspec.structs.replace(mapping, log=msgspec.structs.replace(mapping.log, dbc=found))

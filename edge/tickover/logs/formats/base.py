"""The contract of log formats: what a format says of a log, and how it is read.

A format is a module (or an object) with the two functions of `LogFormat`. It takes an open stream and never a path, so
that the same code reads a file, an unpacked file and bytes in a test. Formats of rows share ``header``, ``rows`` and
``text``; a binary format needs none of them. All of them make their readings with ``collector.Collector``.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import BinaryIO, Final, Literal, NamedTuple, Protocol, overload

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.evidence import Evidence
from tickover.logs.mapping import LogLayout, TimeKind
from tickover.logs.mapping import Mapping as LogMapping
from tickover.payloads.can.told_codes import ToldCode

BLOCK_ROWS: Final = 16_384
"""Rows in a block of readings, at most."""
SAMPLE_ROWS: Final = 256
"""Rows read ahead to tell what a column holds."""
MAX_VEHICLES: Final = 10_000
MAX_COLUMNS: Final = 4_096
MAX_TEXTS: Final = 2_000
"""Different texts that are counted; further ones are counted as one."""
OTHERS: Final = "…"
SHOWN_CHARACTERS: Final = 60


class ColumnSamples(Sequence[tuple[str, ...]]):
    """First rows of a format that holds columns: each is read and made text when it is looked at, for most are not.

    ``columns``: how many there are; ``texts`` gives the cells of one as text, by its place, while the log is open.
    """

    def __init__(self, rows: int, columns: int, texts: Callable[[int], Sequence[str]]) -> None:
        self._rows, self._columns, self._texts = rows, columns, texts
        self._read: dict[int, Sequence[str]] = {}

    def column(self, place: int) -> Sequence[str]:
        """The cells of one column."""
        if place not in self._read:
            self._read[place] = self._texts(place)
        return self._read[place]

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, at: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> list[tuple[str, ...]]: ...
    def __getitem__(self, at: int | slice) -> tuple[str, ...] | list[tuple[str, ...]]:
        return list(self)[at]

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return zip(*(self.column(place) for place in range(self._columns)), strict=True)


class Head(NamedTuple):
    """What a log holds, known before it is read.

    ``columns``: the columns of its rows, or its channels. ``samples``: the first rows as text, a cell per column (an
    empty text is no value); a format whose channels are all numbers needs none. ``sparse``: rows name their own
    columns, so one may first appear later than in the samples. ``units``: a column's unit, where the format says it.

    ``own_time``: None when a column holds the time. A format with times of its own says what they count from: ``iso``
    since 1970, ``seconds`` since the log's start. Its stamps are microseconds in both cases.

    ``qualifier``: a mapped column may go on after this mark, to tell apart what the head lists once (``Speed@31``).

    ``evidence``: what the samples say of the cells. ``start``: when a log with relative times began, microseconds since
    1970, where it says so. ``notes``: what to know of the layout.
    """

    columns: tuple[str, ...]
    samples: Sequence[tuple[str, ...]] = ()
    sparse: bool = False
    units: Mapping[str, str] = MappingProxyType({})
    own_time: Literal["iso", "seconds"] | None = None
    qualifier: str = ""
    evidence: Evidence = Evidence()
    start: int | None = None
    notes: tuple[str, ...] = ()
    kinds: Mapping[str, TimeKind] = MappingProxyType({})
    """What kind of time a column holds, where its type says it."""
    as_it_came: bool = False
    """A recorder wrote what it heard: time that falls back is a clock that was put back, and no row out of order."""

    def cells(self, place: int) -> Sequence[str]:
        """The samples of one column."""
        if isinstance(self.samples, ColumnSamples):
            return self.samples.column(place)
        return [row[place] for row in self.samples]


@dataclass(frozen=True)
class Job:
    """One log to read. ``mapping``: its time column and kind are settled by `header.settle`. ``start``: microseconds
    since the epoch. ``vehicle``: whose log it is when no column says so. ``cells``: how often a signal's cells held a
    text that is no number.
    """

    name: str
    mapping: LogMapping
    vehicle: str = ""
    start: int = 0
    strict: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    on_bad: Callable[[str], None] = lambda message: None
    evidence: Evidence = field(default_factory=Evidence)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    on_codes: Callable[[Sequence[ToldCode]], None] = lambda codes: None
    """Hears the trouble codes of a recording of a bus, at its end."""
    on_note: Callable[[str], None] | None = None
    """Hears what to know of how a log is read; None: ``on_bad`` does."""

    def note(self, message: str) -> None:
        """Tell what to know of how the log is read, where nothing is wrong with it."""
        (self.on_note or self.on_bad)(f"{self.name}: {message}")

    def bad(self, place: int | str, problem: object) -> None:
        """Count and report what cannot be read; LogError when strict.

        ``place``: the line or row, from 1; a binary format says in words where it is (``byte 4096``).
        """
        message = f"{self.name}:{place}: {problem}"
        if self.strict:
            raise LogError(message)
        self.counts["bad_rows"] += 1
        self.on_bad(message)

    def bad_cell(self, place: int | str, signal: str, where: str, cell: object) -> None:
        """Count a cell that holds no number, and report the first of its text; LogError when strict."""
        message = f"{self.name}:{place}: {where}: expected a number, got {shown(cell)}"
        if self.strict:
            raise LogError(message)
        self.counts["bad_cells"] += 1
        if self._count(signal, str(cell)) == 1:
            self.on_bad(message)

    def missing_cell(self, signal: str, text: str) -> None:
        """Count a cell whose text says that there is no reading."""
        self.counts["missing_cells"] += 1
        self._count(signal, text)

    def _count(self, signal: str, text: str) -> int:
        key = (signal, "".join(filter(str.isprintable, text.strip()[:SHOWN_CHARACTERS])))
        if key not in self.cells and len(self.cells) >= MAX_TEXTS:
            key = (signal, OTHERS)
        self.cells[key] += 1
        return self.cells[key]


def shown(cell: object) -> str:
    """A cell for a message: quoted, printable, short."""
    text = ascii(cell) if not isinstance(cell, str) or not cell.isprintable() else repr(cell)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


class LogFormat(Protocol):
    """What each log format offers; the suite in ``tests/edge/logs/test_log_formats.py`` checks all of them."""

    def head(self, stream: BinaryIO, layout: LogLayout, name: str) -> Head:
        """What the log holds; LogError when it is not a log of this format. ``name`` stands for the log in errors."""

    def read(self, stream: BinaryIO, job: Job) -> Iterator[Readings]:
        """Blocks of readings, in flat memory: the signals of ``job.mapping`` in order, NaN where there is no reading.

        LogError for what cannot be read at all; the rest that cannot be read goes to ``job.bad``.
        """

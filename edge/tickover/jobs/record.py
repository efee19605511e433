"""Rows of messages to per-trip logs that ``tickover train`` reads. No clock, no network."""

import io
from collections import Counter
from collections.abc import Iterator
from csv import writer
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from tickover.core.manifest import MAX_SIGNALS
from tickover.core.time_format import iso
from tickover.core.values import SECOND
from tickover.logs.trip_files import TripFiles
from tickover.payloads.listener import NamedRow

Kind = Literal["jsonl", "csv"]
TIME_KEY: Final = "time"
MOST_VEHICLES: Final = 1000


@dataclass(slots=True)
class _Trip:
    """One vehicle's trip under way: its file, the time of its last row, and the rows that are not written yet.

    ``header``: a CSV file's columns; empty until they are written.
    """

    path: Path | None = None
    last: int = 0
    header: tuple[str, ...] = ()
    rows: list[NamedRow] = field(default_factory=list)


class Recorder:
    """Rows to files, one per trip. A gap of more than ``gap_s``, forwards or backwards, begins a new trip; a file of
    ``file_bytes`` is continued in a new one.

    Each vehicle has at most `MAX_SIGNALS` signals; what a vehicle sends beyond is left out (``counts``: vehicles beyond
    `MOST_VEHICLES` too), and ``over`` names it. ``add`` keeps rows in memory; ``commit`` makes them durable and returns
    the old files that were removed for room.
    """

    def __init__(self, files: TripFiles, kind: Kind, gap_s: float, file_bytes: int) -> None:
        self._files = files
        self._kind = kind
        self._gap = round(gap_s * SECOND)
        self._file_bytes = file_bytes
        self._trips: dict[str, _Trip] = {}
        self._names: dict[str, set[str]] = {}
        self.counts: Counter[str] = Counter()
        self.over: set[str] = set()

    @property
    def vehicles(self) -> int:
        """The number of vehicles with rows."""
        return len(self._trips)

    def add(self, row: NamedRow) -> None:
        """Take one row, as far as the vehicle has room."""
        names = self._names.get(row.vehicle)
        if names is None:
            if len(self._names) >= MOST_VEHICLES:
                self.counts["too_many_vehicles"] += 1
                return
            names = self._names[row.vehicle] = set()
        if not row.values.keys() <= names:
            row = self._within(row, names)
        trip = self._trips.get(row.vehicle)
        if trip is None or abs(row.time - trip.last) > self._gap:
            if trip is not None:
                self._write(trip)
            trip = self._trips[row.vehicle] = _Trip()
        trip.last = row.time
        trip.rows.append(row)

    def _within(self, row: NamedRow, names: set[str]) -> NamedRow:
        """Learn the row's new names while there is room; the row without the others."""
        for name in row.values:
            if len(names) < MAX_SIGNALS:
                names.add(name)
        kept = {name: value for name, value in row.values.items() if name in names}
        if len(kept) < len(row.values):
            self.counts["too_many_signals"] += len(row.values) - len(kept)
            self.over.add(row.vehicle)
        return row._replace(values=kept)

    def commit(self) -> list[Path]:
        """Write what was added, durably; OSError when that fails (the files are as they were before)."""
        for trip in self._trips.values():
            self._write(trip)
        return self._files.make_room({trip.path for trip in self._trips.values() if trip.path})

    def _write(self, trip: _Trip) -> None:
        if not trip.rows:
            return
        names = dict.fromkeys(name for row in trip.rows for name in row.values)
        # A CSV file's columns are fixed by its header: a signal that appears later needs a new file. It keeps the old
        # columns too, so that the files of a trip differ only by what was added.
        if self._kind == "csv" and trip.path and not names.keys() <= set(trip.header):
            trip.path = None
        first = trip.path is None
        if trip.path is None:
            trip.path = self._files.create(trip.rows[0].vehicle, trip.rows[0].time, self._kind)
            trip.header = tuple(dict.fromkeys((*trip.header, *names)))
        text = _csv(trip, first) if self._kind == "csv" else _jsonl(trip)
        size = self._files.append(trip.path, text)
        trip.rows.clear()
        if size > self._file_bytes:
            trip.path = None


def _jsonl(trip: _Trip) -> bytes:
    return b"".join(msgspec.json.encode({TIME_KEY: iso(row.time), **row.values}) + b"\n" for row in trip.rows)


def _csv(trip: _Trip, first: bool) -> bytes:
    text = io.StringIO()
    lines = writer(text, lineterminator="\n")
    if first:
        lines.writerow((TIME_KEY, *trip.header))
    lines.writerows(_cells(trip.rows, trip.header))
    return text.getvalue().encode()


def _cells(rows: list[NamedRow], header: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield (iso(row.time), *(row.values.get(name, "") for name in header))

"""From MQTT messages to per-trip logs that ``tickover train`` reads. No clock, no network."""

import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from csv import writer
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tickover.core.manifest import MAX_SIGNALS
from tickover.core.time_format import iso
from tickover.core.values import SECOND
from tickover.logs.trip_files import TripFiles
from tickover.payloads.base import Input, PayloadError, Row, open_decoder
from tickover.payloads.topic_template import TopicTemplate

Kind = Literal["jsonl", "csv"]
TIME_KEY: Final = "time"
UNKNOWN: Final = "unknown_signal"
NOTHING_KNOWN: Final = "no_signals"
"""What decoders say of names without a column: of some of a message's, of all of them."""


class Recorded(NamedTuple):
    """One row to be written: who, when (microseconds) and the values that there are."""

    vehicle: str
    time: int
    values: dict[str, float]


class Listener:
    """Messages to rows, by the inputs' own decoders; signal names that no model names yet are learnt as they come.

    ``counts``: rows, and what was left out by reason, as the decoders count it.
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        self.counts: Counter[str] = Counter()
        self.columns: dict[str, int] = {}
        self._inputs = inputs
        self._templates = [TopicTemplate(spec.topic) for spec in inputs]
        self._decoders = [open_decoder(spec, self.columns) for spec in inputs]

    def rows(self, topic: str, payload: bytes, arrival: int) -> list[Recorded]:
        """The rows of one message; ``arrival`` stands in for a time that it does not say."""
        for number, template in enumerate(self._templates):
            fields = template.match(topic)
            if fields is not None:
                names, rows = self._decoded(number, fields, payload)
                recorded = [
                    Recorded(row.vehicle, arrival if row.time is None else row.time, _present(names, row.values))
                    for row in rows
                ]
                self.counts["rows"] += len(recorded)
                return [row for row in recorded if row.values]
        self.counts["other_topic"] += 1
        return []

    def _decoded(self, number: int, fields: dict[str, str], payload: bytes) -> tuple[list[str], list[Row]]:
        """The columns' names and the rows; a message with new names is decoded again once they have columns."""
        heard: Counter[str] = Counter()
        try:
            rows = self._decoders[number].decode(fields, payload, heard)
            if heard[UNKNOWN] and self._learn(number, fields, payload):
                heard.clear()
                rows = self._decoders[number].decode(fields, payload, heard)
        except PayloadError as error:
            if error.reason in (UNKNOWN, NOTHING_KNOWN) and self._learn(number, fields, payload):
                return self._decoded(number, fields, payload)
            heard[error.reason] += 1
            rows = []
        self.counts += heard
        return list(self.columns), rows

    def _learn(self, number: int, fields: dict[str, str], payload: bytes) -> bool:
        """Give new names a column and open the decoders again, with what they had learnt; False when none is new."""
        new = [name for name in self._decoders[number].names(fields, payload) if name not in self.columns]
        new = new[: MAX_SIGNALS - len(self.columns)]
        for name in new:
            self.columns[name] = len(self.columns)
        if new:
            states = [decoder.state() for decoder in self._decoders]
            self._decoders = [open_decoder(spec, self.columns) for spec in self._inputs]
            for decoder, state in zip(self._decoders, states, strict=True):
                decoder.restore(state)
        return bool(new)


def _present(names: list[str], values: list[float]) -> dict[str, float]:
    return {name: value for name, value in zip(names, values, strict=True) if not math.isnan(value)}


@dataclass(slots=True)
class _Trip:
    """One vehicle's trip under way. ``header``: a CSV file's columns; empty until it is written."""

    path: Path | None = None
    last: int = 0
    header: tuple[str, ...] = ()
    rows: list[Recorded] = field(default_factory=list)


class Recorder:
    """Rows to files, one per trip. A gap of more than ``gap_s``, either way, or ``file_bytes`` begins a new file.

    ``add`` keeps rows in memory; ``commit`` makes them durable and returns the old files that had to go.
    """

    def __init__(self, files: TripFiles, kind: Kind, gap_s: float, file_bytes: int) -> None:
        self._files = files
        self._kind = kind
        self._gap = round(gap_s * SECOND)
        self._file_bytes = file_bytes
        self._trips: dict[str, _Trip] = {}

    @property
    def vehicles(self) -> int:
        """How many vehicles have been heard."""
        return len(self._trips)

    def add(self, row: Recorded) -> None:
        """Take one row."""
        trip = self._trips.get(row.vehicle)
        if trip is None or abs(row.time - trip.last) > self._gap:
            if trip is not None:
                self._write(trip)
            trip = self._trips[row.vehicle] = _Trip()
        trip.last = row.time
        trip.rows.append(row)

    def commit(self) -> list[Path]:
        """Write what was added, durably; OSError when that cannot be (the files are as they were before)."""
        for trip in self._trips.values():
            self._write(trip)
        return self._files.make_room({trip.path for trip in self._trips.values() if trip.path})

    def _write(self, trip: _Trip) -> None:
        if not trip.rows:
            return
        names = dict.fromkeys(name for row in trip.rows for name in row.values)
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


def _cells(rows: list[Recorded], header: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield (iso(row.time), *(row.values.get(name, "") for name in header))

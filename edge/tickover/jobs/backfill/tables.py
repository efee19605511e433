"""The results as tables: ``alerts.parquet``, ``daily.csv``, ``drops.csv``, ``vehicles.csv``.

Rows are in the order of vehicles' names and, in each, of the alerts themselves; no clock, no path of a machine and no
number of workers is in them, so the bytes are the same wherever the work was done.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from tickover.jobs.backfill.summary import FleetSummary, day_text, dropped_rows
from tickover.messages.alerts import Outline
from tickover.storage.files import replace_file

ALERTS: Final = "alerts.parquet"
DAILY: Final = "daily.csv"
DROPS: Final = "drops.csv"
VEHICLES: Final = "vehicles.csv"
GROUP_ROWS: Final = 2_000
"""Alerts in a row group: they are some 10 kB each, most of it the freeze-frame."""
SEVERITIES: Final = ("warning", "major", "critical")


class AlertTable:
    """Takes alerts with their bytes; memory does not grow with them."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        when, text = arrow.timestamp("us", tz="UTC"), arrow.string()
        self._arrow = arrow
        self._schema = arrow.schema(
            [
                *((name, text) for name in ("vehicle", "episode_id", "alert_id", "detector", "phase")),
                ("sequence", arrow.int32()),
                ("severity", text),
                ("reason", text),
                *((name, when) for name in ("start", "time", "end")),
                ("score", arrow.float64()),
                ("peak", arrow.float64()),
                ("signals", arrow.list_(text)),
                ("missing", arrow.float64()),
                ("model_digest", text),
                ("event", text),
            ]
        )
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> "AlertTable":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._write()
        self._writer.close()

    def add(self, alert: Outline, event: str) -> None:
        """One alert; ``event`` is the JSON that the truck publishes."""
        self._rows.append({**alert._asdict(), "event": event})
        if len(self._rows) >= GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        if self._rows:
            columns = [self._column(field) for field in self._schema]
            self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))
            self._rows = []

    def _column(self, field: Any) -> Any:
        from tickover.jobs.backfill import columns

        values, types = [row[field.name] for row in self._rows], self._arrow.types
        if types.is_list(field.type):
            return columns.lists(values)
        if types.is_string(field.type):
            return columns.texts(values)
        kind = "f8" if types.is_floating(field.type) else "i4" if types.is_int32(field.type) else "i8"
        return columns.numbers(values, field.type, kind)


@contextmanager
def alert_table(out: Path) -> Iterator[AlertTable]:
    """A table that replaces ``alerts.parquet`` when the block ends without an error."""
    with replace_file(out / ALERTS) as file, AlertTable(file) as table:
        yield table


def write_tables(out: Path, fleet: FleetSummary) -> None:
    """The small tables, each replaced whole."""
    _csv(out / DAILY, ("vehicle", "day", "hours", "episodes", *SEVERITIES), _daily(fleet))
    _csv(out / DROPS, ("vehicle", "log", "reason", "signal", "count"), _drops(fleet))
    head = ("vehicle", "status", "reason", "logs", "first", "last", "trips", "hours", "episodes", *SEVERITIES)
    _csv(out / VEHICLES, (*head, "per_hour", "low", "high", "begun", "alerts"), _vehicles(fleet))


def _daily(fleet: FleetSummary) -> Iterator[Sequence[object]]:
    for one in fleet.vehicles:
        for day in sorted({*one.result.days, *one.days}):
            hours = one.result.days.get(day, 0) * fleet.period_s / 3600.0
            found = one.days.get(day, Counter())
            numbers = [found.get(severity, 0) for severity in SEVERITIES]
            yield one.name, day_text(day), f"{hours:.4f}", sum(numbers), *numbers


def _drops(fleet: FleetSummary) -> Iterator[Sequence[object]]:
    for one in fleet.vehicles:
        for (reason, signal), count in dropped_rows(one.result.dropped):
            yield one.name, "", reason, signal, count
    for log, dropped in fleet.shared_dropped:
        for (reason, signal), count in dropped_rows(dropped):
            yield "", log, reason, signal, count


def _vehicles(fleet: FleetSummary) -> Iterator[Sequence[object]]:
    for one in fleet.vehicles:
        result, rate = one.result, one.rate
        reason = "; ".join(why for _, why in result.broken)
        ends = [day_text(min(result.days)), day_text(max(result.days))] if result.days else ["", ""]
        numbers = [one.severities.get(severity, 0) for severity in SEVERITIES]
        rates = [f"{value:.6g}" if result.ticks else "" for value in (rate.per_hour, rate.low, rate.high)]
        counts = [result.trips, f"{one.hours:.4f}", one.episodes, *numbers]
        status = "partly" if result.broken else "done"
        yield one.name, status, reason, result.files, *ends, *counts, *rates, result.begun, result.alerts
    for failed in fleet.failed:
        yield failed.vehicle, "failed", failed.why, failed.files, *[""] * 12


def _csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replace_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
        text.detach()

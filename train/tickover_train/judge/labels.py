"""Labelled logs: real anomalies with their time ranges, or with a column that marks each row, as in SKAB.

A *ranges* file is CSV with the columns ``log,start,end``: a log's path (relative to the file's folder) and the first
and last time of an anomaly, as ISO 8601 (without a zone it is UTC) or as seconds (from the log's start when the log's
own times are so). A *marked* file is a log like any other with a further column ``anomaly``, above 0 where it is one.
"""

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tickover.errors import ConfigError
from tickover.io.files import read_log
from tickover.mapping import Mapping, SignalColumn
from tickover.records import SECOND, FloatArray, TickBlock, TimeArray
from tickover.ticks import Ticks
from tickover_train.judge.metrics import Bools

MARK: Final = "anomaly"
RANGE_COLUMNS: Final = ("log", "start", "end")


@dataclass(frozen=True, slots=True)
class LabelledTrip:
    """One trip of a labelled log: ``values`` float32 ``[T, F]``, ``labels`` bool ``[T]``."""

    source: str
    values: FloatArray
    labels: Bools


def load_labelled(
    path: Path, mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]
) -> list[LabelledTrip]:
    """All trips of a labels file; ConfigError when it is neither of the two kinds."""
    header = _header(path)
    if set(RANGE_COLUMNS) <= set(header):
        return [
            trip
            for log, ranges in _read_ranges(path).items()
            for trip in _ranged(path.parent / log, ranges, mapping, counts, on_bad)
        ]
    if MARK in header:
        return _marked(path, mapping, counts, on_bad)
    raise ConfigError(
        f"{path}: expected the columns {', '.join(RANGE_COLUMNS)}, or a log with a column {MARK!r}; got {header}"
    )


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        line = file.readline()
    delimiter = ";" if line.count(";") > line.count(",") else ","
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]


def _read_ranges(path: Path) -> dict[str, list[tuple[int, int]]]:
    ranges: dict[str, list[tuple[int, int]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            try:
                start, end = parse_time(row["start"]), parse_time(row["end"])
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{path}: expected ISO 8601 times or seconds, got {row}") from error
            ranges.setdefault(row["log"], []).append((start, end))
    return ranges


def parse_time(text: str) -> int:
    """Microseconds since the epoch from seconds or ISO 8601; ValueError when it is neither."""
    try:
        return round(float(text) * SECOND)
    except ValueError:
        when = datetime.fromisoformat(text.strip())
        return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * SECOND)


def _ranged(
    log: Path,
    ranges: Sequence[tuple[int, int]],
    mapping: Mapping,
    counts: Counter[str],
    on_bad: Callable[[str], None],
) -> list[LabelledTrip]:
    period = round(mapping.ticks.period_s * SECOND)
    trips = []
    for values, time in _ticks(log, mapping, counts, on_bad):
        labels = np.zeros(len(time), dtype=bool)
        for start, end in ranges:
            labels |= (time + period > start) & (time <= end)
        trips.append(LabelledTrip(log.stem, values, labels))
    return trips


def _marked(log: Path, mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]) -> list[LabelledTrip]:
    mark = SignalColumn(column=MARK, aggregation="max", hold_s=mapping.ticks.gap_limit_s)
    wider = msgspec.structs.replace(mapping, signals={**mapping.signals, MARK: mark})
    return [
        LabelledTrip(log.stem, np.ascontiguousarray(values[:, :-1]), values[:, -1] > 0)
        for values, _ in _ticks(log, wider, counts, on_bad)
    ]


def _ticks(
    log: Path, mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]
) -> list[tuple[FloatArray, TimeArray]]:
    """Each trip's values and tick times."""
    grid = mapping.ticks
    ticks = Ticks(
        log.stem,
        mapping.manifest_signals(),
        round(grid.period_s * SECOND),
        round(grid.gap_limit_s * SECOND),
        round(grid.lateness_s * SECOND),
    )
    blocks: list[TickBlock] = []
    for block in read_log(log, mapping, vehicle=log.stem, counts=counts, on_bad=on_bad):
        blocks.append(ticks.add(block))
    blocks.append(ticks.flush())
    counts.update(ticks.counts)
    trip = np.concatenate([block.trip for block in blocks])
    cuts = np.flatnonzero(np.diff(trip)) + 1
    values = np.split(np.concatenate([block.values for block in blocks]), cuts)
    times = np.split(np.concatenate([block.time for block in blocks]), cuts)
    return [(v, t) for v, t in zip(values, times, strict=True) if len(v)]

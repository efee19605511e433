"""Labelled logs: real anomalies with their time ranges, or with a column that marks each row, as in SKAB.

A *ranges* file is CSV with the columns ``log,start,end``: a log's path (relative to the file's folder) and the first
and last time of an anomaly, as ISO 8601 (without a zone it is UTC; eight digits are a day) or as
seconds (from the log's start when the log's own times are so). Each range holds ticks of its log. A *marked* file is a
log like any other with a further column ``anomaly``, above 0 where it is one.
"""

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tickover.core.time_format import clock, is_relative, parse_time
from tickover.core.values import (
    SECOND,
    FloatArray,
    TickBlock,
    TimeArray,
)
from tickover.errors import ConfigError
from tickover.logs.formats.delimiters import DELIMITERS
from tickover.logs.formats.header import clean_column
from tickover.logs.formats.text import decode
from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import open_log, read_head
from tickover_train.data import trips_of_log
from tickover_train.evaluation.metrics import Bools

MARK: Final = "anomaly"
RANGE_COLUMNS: Final = ("log", "start", "end")


@dataclass(frozen=True, slots=True)
class LabelledTrip:
    """One trip of a labelled log: ``values`` float32 ``[T, F]``, ``labels`` bool ``[T]``."""

    source: str
    values: FloatArray
    labels: Bools


class Range(NamedTuple):
    """When an anomaly begins and ends, in microseconds; ``where`` names its row."""

    start: int
    end: int
    where: str

    def touches(self, time: TimeArray, period: int) -> Bools:
        """Which ticks of ``period`` microseconds that begin at ``time`` ``[N]`` it covers, in part at least."""
        return (time + period > self.start) & (time <= self.end)


def load_labelled(
    path: Path, mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]
) -> list[LabelledTrip]:
    """All trips of a labels file, packed or not; ConfigError when it is of neither kind, or labels nothing."""
    columns = [clean_column(column) for column in read_head(path).columns]
    if set(RANGE_COLUMNS) <= set(columns):
        trips = [
            trip
            for log, ranges in _read_ranges(path).items()
            for trip in _ranged(path.parent / log, ranges, mapping, counts, on_bad)
        ]
    elif MARK in columns:
        trips = _marked(path, mapping, counts, on_bad)
    else:
        raise ConfigError(
            f"{path}: expected the columns {', '.join(RANGE_COLUMNS)}, or a log with a column {MARK!r}, got {columns}"
        )
    if not trips:
        raise ConfigError(f"{path}: expected labelled rows, got none")
    return trips


def _read_ranges(path: Path) -> dict[str, list[Range]]:
    """The ranges of each log."""
    with open_log(path) as (stream, _):
        text = decode(stream.read()).lstrip("\ufeff")
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    rows = csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
    ranges: dict[str, list[Range]] = {}
    for row in rows:
        ranges.setdefault(row["log"] or "", []).append(_range(row["start"], row["end"], f"{path}:{rows.line_num}"))
    return ranges


def _range(start: str | None, end: str | None, where: str) -> Range:
    got = f"{start!r} and {end!r}"
    try:
        found = Range(parse_time(start or ""), parse_time(end or ""), where)
    except ValueError as error:
        raise ConfigError(f"{where}: expected ISO 8601 times or seconds, got {got}") from error
    if found.end < found.start:
        raise ConfigError(f"{where}: expected an end at or after the start, got {got}")
    return found


def _ranged(
    log: Path,
    ranges: Sequence[Range],
    mapping: Mapping,
    counts: Counter[str],
    on_bad: Callable[[str], None],
) -> list[LabelledTrip]:
    period = round(mapping.ticks.period_s * SECOND)
    trips = trips_of_log(log, mapping, counts, on_bad)
    touched = [[one.touches(trip.time, period) for one in ranges] for trip in trips]
    for number, one in enumerate(ranges):
        if not any(parts[number].any() for parts in touched):
            raise ConfigError(f"{one.where}: {_nothing_in(one, log, trips)}")
    return [
        LabelledTrip(log.stem, trip.values, np.any(parts, axis=0)) for trip, parts in zip(trips, touched, strict=True)
    ]


def _nothing_in(one: Range, log: Path, trips: Sequence[TickBlock]) -> str:
    """Why a range without ticks is refused."""
    held = f"{_moment(int(trips[0].time[0]))} to {_moment(int(trips[-1].time[-1]))}" if trips else "nothing"
    return (
        f"expected a range with ticks of {log} in it, which holds {held}; "
        f"got {_moment(one.start)} to {_moment(one.end)}"
    )


def _moment(time: int) -> str:
    return clock(time, is_relative(time))


def _marked(log: Path, mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]) -> list[LabelledTrip]:
    mark = SignalColumn(column=MARK, aggregation="max", hold_s=mapping.ticks.gap_limit_s)
    wider = msgspec.structs.replace(mapping, signals={**mapping.signals, MARK: mark})
    return [
        LabelledTrip(log.stem, np.ascontiguousarray(trip.values[:, :-1]), trip.values[:, -1] > 0)
        for trip in trips_of_log(log, wider, counts, on_bad)
    ]

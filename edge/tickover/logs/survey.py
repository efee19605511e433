"""Logs read once to be looked at: their rows, bounded, the range of all their values, and what was odd in them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray, Readings, TimeArray
from tickover.logs.mapping import Mapping
from tickover.logs.ordering import JUMPS, SORTED, TURNED
from tickover.logs.profile import Series
from tickover.logs.reading import read_log

MAX_VALUES: Final = 16_000_000
"""Values kept to be looked at, at most, over all logs; of the others only the range is."""
SHOWN_BAD: Final = 3
SHOWN_TEXTS: Final = 5
SHARED_TIMES: Final = 0.01
"""Rows that share their time with another that differs, from which share on it is said."""
HOUR: Final = 3_600 * 1_000_000
AUTUMN: Final = (0.7, 1.05)
"""A local clock that is put back falls by this part of an hour between two rows."""


@dataclass(frozen=True)
class Survey:
    """``series``: a log of a vehicle each. ``low``, ``high`` ``[F]``: over the rows in no series; NaN: none."""

    series: list[Series]
    low: DoubleArray
    high: DoubleArray
    counts: Counter[str]
    cells: Counter[tuple[str, str]]
    notes: list[str] = field(default_factory=list)
    vehicles: tuple[str, ...] = ()

    def texts(self, signal: str) -> str:
        """What the cells of a signal held besides numbers, in words; empty for nothing."""
        found = [(text, count) for (name, text), count in self.cells.most_common() if name == signal]
        total = sum(count for _, count in found)
        shown = ", ".join(f"'{text}' {count:,}" for text, count in found[:SHOWN_TEXTS])
        more = "" if len(found) <= SHOWN_TEXTS else ", …"
        return f"{total:,} cells hold no number and are missing: {shown}{more}" if found else ""


def survey(paths: Sequence[str | Path], mapping: Mapping) -> Survey:
    """Read all logs, whole. LogError when one cannot be read."""
    width = len(mapping.signals)
    counts: Counter[str] = Counter()
    cells: Counter[tuple[str, str]] = Counter()
    series: list[Series] = []
    notes: list[str] = []
    bad: list[str] = []
    low, high = np.full(width, np.nan), np.full(width, np.nan)
    vehicles: dict[str, None] = {}
    kept = 0
    for path in paths:
        parts: dict[str, list[Readings]] = {}
        for block in read_log(
            path, mapping, vehicle=str(path), counts=counts, on_bad=lambda text: _keep(bad, text), cells=cells
        ):
            vehicles[block.vehicle] = None
            if kept >= MAX_VALUES:
                low = np.fmin(low, np.fmin.reduce(block.values, axis=0))
                high = np.fmax(high, np.fmax.reduce(block.values, axis=0))
            else:
                kept += block.values.size
                parts.setdefault(block.vehicle, []).append(
                    Readings(block.vehicle, block.signals, block.time, block.values.astype(np.float32))
                )
        mine = [
            Series(np.concatenate([one.time for one in found]), np.concatenate([one.values for one in found]))
            for found in parts.values()
        ]
        notes += _notes_of(mine, mapping, str(path))
        series += mine
    if kept >= MAX_VALUES:
        notes.append(
            f"looked at the first {sum(len(one.time) for one in series):,} rows; of all others at the range only"
        )
    notes += [f"bad row: {message}" if "cells" in message else f"bad cell: {message}" for message in bad]
    notes += _notes_of_counts(counts)
    named = tuple(vehicles) if mapping.log.vehicle_column else ()
    return Survey(series, low, high, counts, cells, notes, named)


def _keep(bad: list[str], text: str) -> None:
    if len(bad) < SHOWN_BAD:
        bad.append(text)


def _notes_of_counts(counts: Counter[str]) -> list[str]:
    said = {
        "comment_lines": "{} comment lines ('#') are skipped",
        "repeated_headers": "{} lines repeat the header and are skipped",
        "unmapped_readings": "{} readings of signals that are not mapped: left out",
        SORTED: "{} rows are not in time order by less than 10 minutes: they are sorted",
        JUMPS: "rows are not in time order: {} times the time goes back by more than 10 minutes",
        TURNED: "{} logs begin with their newest row: they are turned",
    }
    return [text.format(f"{counts[key]:,}") for key, text in said.items() if counts[key]]


def _notes_of(series: Sequence[Series], mapping: Mapping, name: str) -> list[str]:
    """What the times of one log show: two vehicles in one, or a local clock that was put back."""
    notes = []
    same = sum(_differing(one.time, one.values) for one in series)
    rows = sum(len(one.time) for one in series)
    if same > SHARED_TIMES * rows:
        notes.append(
            f"{name}: {same:,} rows differ from another row of the same time: two vehicles? name the column "
            "log.vehicle_column (--vehicle-column)"
        )
    if mapping.time.kind in ("iso", "date", "excel") and not (mapping.time.zone or mapping.log.zone):
        for one in series:
            steps = np.diff(one.time)
            back = np.flatnonzero((steps < -AUTUMN[0] * HOUR) & (steps > -AUTUMN[1] * HOUR))
            if len(back) and len(back) <= 2:
                moment = np.datetime64(int(one.time[back[0]]), "us").astype("datetime64[s]")
                notes.append(
                    f"{name}: the clock goes back an hour at {moment}, an hour is repeated: is it a local clock? name "
                    'its zone: [time] zone = "Europe/Berlin" (--zone)'
                )
    return notes


def _differing(time: TimeArray, values: FloatArray) -> int:
    """Rows with the time of the row before, and another value in a signal that both have."""
    same = np.flatnonzero(np.diff(time) == 0)
    if not len(same):
        return 0
    return int(
        np.count_nonzero((values[same] != values[same + 1]) & np.isfinite(values[same] - values[same + 1]), axis=1)
        .astype(bool)
        .sum()
    )

"""What is in a log, and the mapping that it would take."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tickover.errors import LogError
from tickover.logs import bus_proposal, profile
from tickover.logs.bus_survey import Survey, is_bus
from tickover.logs.formats import times
from tickover.logs.formats.base import Head
from tickover.logs.formats.header import clean_column, listed, settle
from tickover.logs.formats.rows import MISSING
from tickover.logs.mapping import (
    LogLayout,
    Mapping,
    SignalColumn,
    TickRule,
    TimeColumn,
    TimeKind,
)
from tickover.logs.profile import Series, SignalStatistics
from tickover.logs.reading import read_head, read_log
from tickover.logs.signal_names import clean_name, low_end

MAX_ROWS: Final = 1_000_000
"""Rows looked at, at most, over all logs: what bounds memory."""
NUMERIC_SHARE: Final = 0.9
"""A column is numeric when at least this share of its first cells is."""

LABELS: Final = frozenset(
    ("anomaly", "changepoint", "label", "labels", "target", "is_anomaly", "fault", "ground_truth")
)
VEHICLES: Final = frozenset(("vehicle", "vehicle_id", "truck", "truck_id", "vin", "asset", "device", "device_id"))
SIGNAL_NAMES: Final = frozenset(("signal", "sensor", "name", "parameter", "pid", "spn", "channel", "variable"))
VALUE_NAMES: Final = frozenset(("value", "reading", "val"))
"""Column names, in lower case, that say what a column holds."""

GAP_LIMIT_S: Final = 30.0
GAP_LIMIT_PERIODS: Final = 30
LATENESS_PERIODS: Final = 2


@dataclass(frozen=True, slots=True)
class Findings:
    """What ``propose_mapping`` saw: the time column, rows, seconds covered, each signal, and what to know."""

    time_column: str
    time_kind: str
    rows: int
    bad_rows: int
    seconds: float
    row_period_s: float
    signals: dict[str, SignalStatistics]
    notes: tuple[str, ...]
    bus: Survey | None = None
    """What was on the bus, of recordings of one."""


def propose_mapping(
    paths: Sequence[str | Path], given: Mapping | None = None, layout: LogLayout | None = None
) -> tuple[Mapping, Findings]:
    """The mapping that these logs would take, and what was seen in them.

    With ``given``, that mapping is looked at instead and returned as it is. ``layout``: how to read recordings of a
    bus. LogError when a log cannot be read, or has no signal that changes.
    """
    mapping, findings = look(paths, given, layout)
    if not mapping.signals and findings.bus:
        raise bus_proposal.nothing_to_learn(str(paths[0]), findings.bus)
    return mapping, findings


def look(
    paths: Sequence[str | Path],
    given: Mapping | None = None,
    layout: LogLayout | None = None,
    tell: Callable[[int, str], None] = lambda frames, name: None,
) -> tuple[Mapping, Findings]:
    """As `propose_mapping`; of a bus without a signal that changes the mapping has no signals.

    ``tell`` hears how many frames of which recording were read so far.
    """
    if not paths:
        raise LogError("expected at least one log to inspect")
    layout = given.log if given else layout or LogLayout()
    buses = [path for path in paths if is_bus(path)]
    if len(buses) == len(paths):
        return _look_at_bus(paths, given, layout, tell)
    if buses:
        raise LogError(f"{buses[0]}: expected logs of one sort, got a recording of a bus beside logs of rows")
    return _look_at_rows(paths, given)


def _look_at_bus(
    paths: Sequence[str | Path], given: Mapping | None, layout: LogLayout, tell: Callable[[int, str], None]
) -> tuple[Mapping, Findings]:
    mapping, bus, figures, notes = bus_proposal.mapping_of_bus(paths, layout, tell)
    if given:
        columns = bus.columns()
        figures = {
            name: profile.with_range(columns[column].statistics(), rules.low, rules.high)
            for (name, rules), column in zip(given.signals.items(), given.columns, strict=True)
            if column in columns
        }
        notes += [f"signal '{name}': holds no reading" for name in given.names if name not in figures]
    period = bus.seconds / bus.frames if bus.frames else 0.0
    findings = Findings("", "own", bus.frames, bus.bad_rows, bus.seconds, period, figures, tuple(notes), bus)
    return given or mapping, findings


def _look_at_rows(paths: Sequence[str | Path], given: Mapping | None) -> tuple[Mapping, Findings]:
    heads = [(path, read_head(path, given.log if given else None)) for path in paths]
    notes: list[str] = []
    mapping = settle(given, heads[0][1], str(paths[0])) if given else _first_guess(heads, notes)
    series, counts = _read(paths, mapping, notes)
    findings = _findings(mapping, series, counts, notes)
    return (given, findings) if given else _refine(mapping, findings)


def _first_guess(heads: Sequence[tuple[str | Path, Head]], notes: list[str]) -> Mapping:
    """Columns, layout and time from the first rows; no ranges yet."""
    path, head = heads[0]
    columns = [clean_column(column) for column in head.columns]
    for other, its_head in heads[1:]:
        its_columns = {clean_column(column) for column in its_head.columns}
        absent = [column for column in columns if column not in its_columns]
        if absent and not its_head.sparse:
            notes.append(f"{other}: has no {listed(absent)}; left out")
            columns = [column for column in columns if column in its_columns]
    # A format with times of its own has channels, not columns of which one may be the time or the vehicle.
    log = LogLayout() if head.own_time else _layout(columns)
    time = TimeColumn() if head.own_time else _time(columns, head, str(path))
    names = _long_signals(head, log) if log.layout == "long" else _wide_signals(columns, head, time, log, notes)
    units = {clean_column(column): unit for column, unit in head.units.items()}
    signals: dict[str, SignalColumn] = {}
    for column in names:
        name, unit = clean_name(column, signals)
        signals[name] = SignalColumn(column="" if name == column else column, unit=units.get(column, unit))
    if not signals:
        raise LogError(f"{path}: expected columns of numbers besides the time, got {listed(columns)}")
    return Mapping(signals=signals, time=time, log=log)


def _layout(columns: Sequence[str]) -> LogLayout:
    lower = {column.lower(): column for column in reversed(columns)}
    vehicle, signal, value = (
        next((lower[name] for name in lower if name in known), "") for known in (VEHICLES, SIGNAL_NAMES, VALUE_NAMES)
    )
    if signal and value:
        return LogLayout(layout="long", vehicle_column=vehicle, signal_column=signal, value_column=value)
    return LogLayout(vehicle_column=vehicle)


def _time(columns: Sequence[str], head: Head, name: str) -> TimeColumn:
    """The time column by its name, else the first column whose cells are dates or times of day."""
    dated = [column for column in columns if _kind(head, column) in ("iso", "time_of_day")]
    found = (times.called_time(columns) + dated)[:1]
    if not found:
        raise LogError(
            f"{name}:1: expected a time column, got {listed(columns)}; for rows at a fixed rate, write a mapping with "
            '[time] kind = "rate" and rate_hz, or name the column as time.column'
        )
    kind = _kind(head, found[0])
    if kind is None:
        raise LogError(f"{name}:2: expected a time in column '{found[0]}'; no cell of its first rows is one")
    return TimeColumn(column=found[0], kind=kind)


def _cells(head: Head, column: str) -> list[str]:
    """The first cells of a column that hold something."""
    columns = [clean_column(name) for name in head.columns]
    place = columns.index(column)
    return [row[place] for row in head.samples if row[place].strip().lower() not in MISSING]


def _kind(head: Head, column: str) -> TimeKind | None:
    """The kind of time that most cells of a column are; None when most are none."""
    cells = _cells(head, column)
    timed = [cell for cell in cells if times.detect_kind(cell)]
    return times.kind_of(timed, column) if 2 * len(timed) > len(cells) else None


def _long_signals(head: Head, log: LogLayout) -> list[str]:
    return list(dict.fromkeys(clean_column(cell) for cell in _cells(head, log.signal_column)))


def _wide_signals(columns: Sequence[str], head: Head, time: TimeColumn, log: LogLayout, notes: list[str]) -> list[str]:
    """The columns of numbers; those left out are noted."""
    signals = []
    for column in columns:
        if column in (time.column, log.vehicle_column):
            continue
        cells = _cells(head, column)
        numeric = sum(times.parse_number(cell) is not None for cell in cells)
        if column.lower() in LABELS:
            notes.append(f"column '{column}': named like a label, left out: a detector must not learn it")
        elif numeric < NUMERIC_SHARE * len(cells):
            notes.append(f"column '{column}': not numbers, left out")
        elif columns.count(column) > 1:
            notes.append(f"column '{column}': occurs more than once, left out")
        else:
            signals.append(column)
    return signals


def _read(paths: Sequence[str | Path], mapping: Mapping, notes: list[str]) -> tuple[list[Series], Counter[str]]:
    """One series per log and vehicle, at most ``MAX_ROWS`` rows in all."""
    counts: Counter[str] = Counter()
    bad: list[str] = []
    series = []
    for path in paths:
        parts: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        for block in read_log(path, mapping, vehicle="", counts=counts, on_bad=bad.append):
            time, values = parts.setdefault(block.vehicle, ([], []))
            time.append(block.time)
            values.append(block.values.astype(np.float32))
            del bad[3:]
            if counts["rows"] >= MAX_ROWS:
                notes.append(f"{path}: stopped looking after {counts['rows']} rows")
                break
        series += [Series(np.concatenate(time), np.concatenate(values)) for time, values in parts.values()]
        if counts["rows"] >= MAX_ROWS:
            break
    notes.extend(f"bad row: {message}" for message in bad[:3])
    if counts["unmapped_readings"]:
        notes.append(f"{counts['unmapped_readings']} readings of signals that the first rows do not name: left out")
    return series, counts


def _findings(mapping: Mapping, series: list[Series], counts: Counter[str], notes: list[str]) -> Findings:
    period = profile.row_period(series)
    signals = {
        name: profile.signal_statistics(series, index, column.low, column.high)
        for index, (name, column) in enumerate(mapping.signals.items())
    }
    for name, seen in signals.items():
        notes.extend(f"signal '{name}': {note}" for note in _remarks(seen, period))
    return Findings(
        time_column=mapping.time.column,
        time_kind=mapping.time.kind,
        rows=counts["rows"],
        bad_rows=counts["bad_rows"],
        seconds=sum(one.seconds for one in series),
        row_period_s=period,
        signals=signals,
        notes=tuple(notes),
    )


def _remarks(seen: SignalStatistics, period: float) -> list[str]:
    remarks = []
    if seen.empty:
        remarks.append("holds no reading")
    elif seen.constant:
        remarks.append(f"constant ({seen.low:g})")
    if seen.outliers:
        shown = ", ".join(f"{value:g}" for value in seen.outlier_values[:5])
        remarks.append(
            f"{seen.outliers} outliers (short jumps far outside what lasts, {seen.lasting_low:g} to "
            f"{seen.lasting_high:g}), up to: {shown}; the proposed range makes them missing, and counted"
        )
    if not seen.constant and seen.refresh_s > profile.REPEATS * period:
        remarks.append(f"cells repeat: a new value every {seen.refresh_s:.2g} s, a row every {period:.2g} s")
    return remarks


def _refine(mapping: Mapping, findings: Findings) -> tuple[Mapping, Findings]:
    """Ranges, hold limits and tick period into the first guess; signals that are empty or constant are left out."""
    period = profile.tick_period(list(findings.signals.values()), findings.row_period_s)
    constant = [name for name, seen in findings.signals.items() if seen.empty or seen.constant]
    signals = {
        name: _with_rules(column, findings.signals[name], period)
        for name, column in mapping.signals.items()
        if name not in constant
    }
    if not signals:
        raise LogError(f"expected a signal that changes; all are empty or constant: {listed(constant)}")
    left_out = [f"left out, empty or constant in these logs: {', '.join(constant)}"] if constant else []
    notes = (*findings.notes, *left_out)
    ticks = TickRule(
        period_s=period,
        gap_limit_s=max(GAP_LIMIT_S, GAP_LIMIT_PERIODS * period),
        lateness_s=LATENESS_PERIODS * period,
    )
    seen = findings.signals | {
        name: profile.with_range(findings.signals[name], column.low, column.high) for name, column in signals.items()
    }
    proposed = msgspec.structs.replace(mapping, signals=signals, ticks=ticks)
    return proposed, replace(findings, signals=seen, notes=notes)


def _with_rules(column: SignalColumn, seen: SignalStatistics, period: float) -> SignalColumn:
    """The column with its plausible range and hold limit."""
    low, high, hold_s = low_end(column.unit, seen), seen.proposed_high, profile.hold_limit(seen, period)
    return msgspec.structs.replace(column, low=low, high=high, hold_s=hold_s)

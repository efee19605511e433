"""The mapping that a recorded bus would take: which signals, at which rate, within which range."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tickover.core.manifest import MAX_SIGNALS, Aggregation
from tickover.errors import LogError
from tickover.logs import profile
from tickover.logs.bus_survey import Survey, Track, survey
from tickover.logs.formats.can_log import nothing_known
from tickover.logs.formats.header import listed
from tickover.logs.mapping import LogLayout, Mapping, SignalColumn, TickRule
from tickover.logs.physics import possible
from tickover.logs.profile import SignalStatistics
from tickover.logs.reading import load_catalogue
from tickover.logs.signal_names import clean_name
from tickover.payloads.can.layouts import SignalLayout
from tickover.payloads.can.shipped import by_spn

PERIOD_S: Final = 1.0
"""The tick period proposed for a bus: its fast signals are averaged, its slow ones held."""
MEAN_FROM: Final = 5
"""A tick that gets at least so many readings takes their mean: the last of them is one moment of many."""
HOLD_INTERVALS: Final = 3
GAP_LIMIT_S: Final = 30.0
COUNTER_BITS: Final = 24
"""A signal of so many bits that never falls is taken for a counter."""
COUNTER_UNITS: Final = frozenset(("km", "m", "mi", "h", "s", "min", "l", "litre", "liter", "gal", "kg", "kwh", "r"))


def propose(found: Survey, notes: list[str]) -> tuple[Mapping, dict[str, SignalStatistics]]:
    """The mapping for the signals that change, and the figures of all that have values, by signal.

    LogError when none changes.
    """
    signals: dict[str, SignalColumn] = {}
    figures: dict[str, SignalStatistics] = {}
    constant: list[str] = []
    for column, track in found.columns().items():
        name, _ = clean_name(column, signals)
        seen = track.statistics()
        figures[name] = seen
        reason = _left_out(track, found)
        if reason:
            notes.append(f"signal '{name}': {reason}, left out")
        elif track.constant:
            constant.append(f"{name} ({track.low:g})")
        else:
            signals[name] = _column("" if name == column else column, track, seen, alone=column == track.column)
            figures[name] = profile.with_range(seen, signals[name].low, signals[name].high)
    if constant:
        notes.append(f"left out, constant in these logs: {', '.join(constant)}")
    notes += _split(found)
    empty = sorted({f"{track.column}@{track.origin}".rstrip("@") for track in found.without_values()})
    if empty:
        notes.append(f"left out, sent but never with a value: {listed(empty)}")
    if len(signals) > MAX_SIGNALS:
        notes.append(f"left out, beyond {MAX_SIGNALS} signals: {listed(list(signals)[MAX_SIGNALS:])}")
        signals = dict(list(signals.items())[:MAX_SIGNALS])
    ticks = TickRule(period_s=PERIOD_S, gap_limit_s=GAP_LIMIT_S, lateness_s=2 * PERIOD_S)
    return Mapping(signals=signals, log=found.layout, ticks=ticks), figures


def mapping_of_bus(
    paths: Sequence[str | Path], layout: LogLayout, tell: Callable[[int, str], None] = lambda frames, name: None
) -> tuple[Mapping, Survey, dict[str, SignalStatistics], list[str]]:
    """What recordings of a bus hold and the mapping they would take; its ``signals`` are empty when none changes."""
    found = survey(paths, layout, tell)
    notes: list[str] = list(found.warnings)
    mapping, figures = propose(found, notes)
    return mapping, found, figures, notes


def nothing_to_learn(name: str, found: Survey) -> LogError:
    """Why no mapping can be proposed."""
    columns = found.columns()
    if not found.counts["decoded_frames"]:
        return LogError(f"{name}: {nothing_known(found.unknown, load_catalogue(found.layout))}")
    if columns:
        shown = ", ".join(f"{column} ({track.low:g})" for column, track in list(columns.items())[:8])
        return LogError(f"{name}: expected a signal that changes; all are constant or counters: {shown}")
    return LogError(f"{name}: expected signals with values; none of the {found.frames:,} frames has one")


def _left_out(track: Track, found: Survey) -> str:
    """Why a signal that has values is no input of a detector; empty when it is one."""
    if is_counter(track):
        return "a counter, which only grows"
    if track.signal is track.message.location:
        return "the place that the other signals of its message were measured at"
    if any(signal.pages and signal.pages[0] == track.signal.name for signal in track.message.signals):
        return "the multiplexer of its message"
    return ""


def is_counter(track: Track) -> bool:
    """Whether it is known to be a counter, or looks like one."""
    signal = track.signal
    if signal.counter:
        return True
    wide = signal.length >= COUNTER_BITS and not signal.is_float and not signal.signed
    return wide and not track.constant and not track.falls and signal.unit.lower() in COUNTER_UNITS


def _split(found: Survey) -> list[str]:
    """Signals that no log has from more than one source, and several logs from different ones."""
    notes = []
    by_column: dict[str, list[Track]] = {}
    for track in found.valued():
        by_column.setdefault(track.column, []).append(track)
    for column, tracks in by_column.items():
        sources = {track.origin.source for track in tracks}
        logs = [log for track in tracks for log in track.logs]
        if len(sources) > 1 and len(set(logs)) == len(logs):
            shown = ", ".join(f"{track.origin} in {len(track.logs)}" for track in tracks)
            notes.append(
                f"signal '{column}': no log has it from more than one source ({shown} logs): as many signals; to read "
                f"it as one, map {column} without a source"
            )
    return notes


def _column(column: str, track: Track, seen: SignalStatistics, *, alone: bool) -> SignalColumn:
    """The signal of a mapping; ``alone``: no other source has values of it, and its name does not say which it is."""
    signal = track.signal
    low, high = _range(signal, seen, from_table=track.message.is_obd)
    return SignalColumn(
        column=column,
        # Which source sends first is chance: without the address, another recording, or the live bus after a start,
        # might take another.
        source=track.origin.source if alone else None,
        unit=signal.unit,
        low=low,
        high=high,
        hold_s=_hold(track),
        aggregation=_aggregation(track),
        spn=signal.spn,
        vss=signal.vss,
    )


def _aggregation(track: Track) -> Aggregation:
    fast = track.interval_s * MEAN_FROM <= PERIOD_S
    return "mean" if fast and not track.signal.status else "last"


def _hold(track: Track) -> float:
    interval = track.interval_s if math.isfinite(track.interval_s) else PERIOD_S
    return float(f"{max(HOLD_INTERVALS * interval, PERIOD_S):.2g}")


def _range(signal: SignalLayout, seen: SignalStatistics, *, from_table: bool) -> tuple[float, float]:
    """The plausible range: the one known for its SPN or PID, else from its values, inside of what the DBC says."""
    if from_table and signal.low is not None and signal.high is not None:
        return signal.low, signal.high
    known = by_spn().get(signal.spn) if signal.spn is not None else None
    if known and known.signal.low is not None and known.signal.high is not None:
        factor = signal.scale / known.signal.scale
        low, high = sorted((known.signal.low * factor, known.signal.high * factor))
        # Only where the DBC's scale differs by a unit; °F and other offsets do not fit, and are judged by their values.
        fits = math.isclose(signal.offset, known.signal.offset * factor, abs_tol=1e-6)
        if fits and low <= seen.lasting_low and seen.lasting_high <= high:
            return low, high
    low, high = seen.proposed(possible(signal.name, signal.unit))
    if signal.low is not None and signal.high is not None and signal.low < signal.high:
        low, high = max(low, signal.low), min(high, signal.high)
    return (low, high) if low < seen.high and high > seen.low and low < high else (seen.low - 1.0, seen.high + 1.0)

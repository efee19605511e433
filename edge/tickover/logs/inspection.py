"""What is in a log, and the mapping that it would take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from tickover.core.manifest import MAX_SIGNALS
from tickover.errors import LogError
from tickover.logs import bus_proposal, profile
from tickover.logs.bus_survey import Survey as BusSurvey
from tickover.logs.bus_survey import is_bus
from tickover.logs.first_guess import first_guess
from tickover.logs.formats.header import listed
from tickover.logs.kinds import Decision, decide
from tickover.logs.mapping import LogLayout, Mapping, SignalColumn, TickRule, check_mapping
from tickover.logs.physics import possible
from tickover.logs.profile import SignalStatistics
from tickover.logs.reading import read_head, settled_mapping
from tickover.logs.signal_names import clean_name
from tickover.logs.survey import Survey, survey

GAP_LIMIT_S: Final = 30.0
GAP_LIMIT_PERIODS: Final = 30
LATENESS_PERIODS: Final = 2
SHOWN_TEXTS: Final = 3


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
    bus: BusSurvey | None = None
    """What was on the bus, of recordings of one."""
    vehicles: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = field(default=())


def propose_mapping(
    paths: Sequence[str | Path], given: Mapping | None = None, layout: LogLayout | None = None
) -> tuple[Mapping, Findings]:
    """The mapping that these logs would take, and what was seen in them.

    With ``given``, that mapping is looked at instead and returned as it is; one that names no signal is completed.
    ``layout``: how to read recordings of a bus. LogError when a log cannot be read, or has no signal that changes.
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
    return _look_at_rows(paths, given or Mapping(log=layout))


def _look_at_bus(
    paths: Sequence[str | Path], given: Mapping | None, layout: LogLayout, tell: Callable[[int, str], None]
) -> tuple[Mapping, Findings]:
    mapping, bus, figures, notes = bus_proposal.mapping_of_bus(paths, layout, tell)
    if given and given.signals:
        figures = {
            name: profile.with_range(track.statistics(), rules.low, rules.high)
            for (name, rules), column in zip(given.signals.items(), given.columns, strict=True)
            if (track := bus.track_of(column, rules.source, rules.channel))
        }
        notes += [f"signal '{name}': holds no reading" for name in given.names if name not in figures]
    period = bus.seconds / bus.frames if bus.frames else 0.0
    findings = Findings("", "own", bus.frames, bus.bad_rows, bus.seconds, period, figures, tuple(notes), bus)
    return given if given and given.signals else mapping, findings


def _look_at_rows(paths: Sequence[str | Path], given: Mapping) -> tuple[Mapping, Findings]:
    if given.signals:
        mapping = settled_mapping(paths[0], given)
        return given, _findings(mapping, survey(paths, mapping), [], [])
    heads = [(path, read_head(path, given.log)) for path in paths]
    guess = first_guess(heads, given)
    signals = _named(guess.columns, guess.units)
    if not signals:
        raise LogError(
            f"{paths[0]}: expected columns of numbers besides the time, got {listed(list(heads[0][1].columns))}"
            + "".join(f"; {note}" for note in guess.notes[:SHOWN_TEXTS])
        )
    mapping = msgspec.structs.replace(guess.mapping, signals=signals)
    seen = survey(paths, mapping)
    findings = _findings(mapping, seen, list(guess.notes), list(guess.decisions))
    return _refine(mapping, findings, seen)


def _named(columns: Sequence[str], units: dict[str, str]) -> dict[str, SignalColumn]:
    signals: dict[str, SignalColumn] = {}
    for column in columns:
        name, unit = clean_name(column, signals)
        unit = "".join(filter(str.isprintable, units.get(column) or unit))[:32]
        signals[name] = SignalColumn(column="" if name == column else column, unit=unit)
    return signals


def _findings(mapping: Mapping, seen: Survey, notes: list[str], decisions: list[Decision]) -> Findings:
    period = profile.row_period(seen.series)
    signals = {}
    for index, (name, column) in enumerate(mapping.signals.items()):
        one = profile.signal_statistics(seen.series, index, column.low, column.high)
        signals[name] = profile.widened(one, float(seen.low[index]), float(seen.high[index]))
    notes = [*notes, *seen.notes]
    for name, one in signals.items():
        notes.extend(f"signal '{name}': {note}" for note in _remarks(one, period))
        texts = seen.texts(name)
        if texts:
            notes.append(f"signal '{name}': {texts}")
    return Findings(
        time_column=mapping.time.column,
        time_kind=mapping.time.kind,
        rows=seen.counts["rows"],
        bad_rows=seen.counts["bad_rows"],
        seconds=sum(one.seconds for one in seen.series),
        row_period_s=period,
        signals=signals,
        notes=tuple(notes),
        vehicles=seen.vehicles,
        decisions=tuple(decisions),
    )


def _remarks(seen: SignalStatistics, period: float) -> list[str]:
    remarks = []
    if seen.empty:
        remarks.append("holds no reading")
    elif seen.constant:
        remarks.append(f"constant ({seen.low:g}): kept as a watched constant, so that a change is an alarm")
    if seen.outliers:
        shown = ", ".join(f"{value:g}" for value in seen.outlier_values[:5])
        remarks.append(
            f"{seen.outliers} outliers (isolated single readings far outside all others, {seen.lasting_low:g} to "
            f"{seen.lasting_high:g}), up to: {shown}; the proposed range makes them missing, and counted"
        )
    if not seen.constant and seen.refresh_s > profile.REPEATS * period:
        remarks.append(f"cells repeat: a new value every {seen.refresh_s:.2g} s, a row every {period:.2g} s")
    return remarks


def _refine(mapping: Mapping, findings: Findings, seen: Survey) -> tuple[Mapping, Findings]:
    """Ranges, hold limits and tick period into the first guess; what is no signal by its values is left out."""
    period = profile.tick_period(list(findings.signals.values()), seen.series)
    decisions = [
        *findings.decisions,
        *decide(mapping, findings.signals, seen.series, list(mapping.signals)),
    ]
    dropped = {decision.signal for decision in decisions if decision.signal}
    empty = [name for name, one in findings.signals.items() if one.empty]
    kept = [name for name in mapping.signals if name not in dropped and not findings.signals[name].empty]
    surplus = kept[MAX_SIGNALS:]
    if all(findings.signals[name].constant for name in kept):
        out = "".join(f"; {decision.text}" for decision in decisions[:SHOWN_TEXTS])
        raise LogError(f"expected a signal that changes; all are empty or constant: {listed([*kept, *empty])}{out}")
    signals = {
        name: _with_rules(name, mapping.signals[name], findings.signals[name], period) for name in kept[:MAX_SIGNALS]
    }
    notes = [*findings.notes, *(decision.text for decision in decisions)]
    notes += [f"left out, empty in these logs: {listed(empty)}"] if empty else []
    notes += [f"left out, a model has at most {MAX_SIGNALS} signals: {listed(surplus)}"] if surplus else []
    ticks = TickRule(
        period_s=period,
        gap_limit_s=max(GAP_LIMIT_S, GAP_LIMIT_PERIODS * period),
        lateness_s=LATENESS_PERIODS * period,
    )
    shown = findings.signals | {
        name: profile.with_range(findings.signals[name], column.low, column.high) for name, column in signals.items()
    }
    proposed = msgspec.structs.replace(mapping, signals=signals, ticks=ticks)
    check_mapping(proposed, "the proposed mapping")
    return proposed, replace(findings, signals=shown, notes=tuple(notes), decisions=tuple(decisions))


def _with_rules(name: str, column: SignalColumn, seen: SignalStatistics, period: float) -> SignalColumn:
    """The column with its plausible range and hold limit."""
    low, high = seen.proposed(possible(column.column or name, column.unit))
    return msgspec.structs.replace(column, low=low, high=high, hold_s=profile.hold_limit(seen, period))

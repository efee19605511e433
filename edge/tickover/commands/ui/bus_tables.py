"""What was found on a bus, as lines of text and as plain values."""

import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tickover.commands.ui.words import aligned, many
from tickover.core.time_format import clock, is_relative
from tickover.logs.bus_survey import MISSING_WORDS, Survey, Track, shown_key
from tickover.logs.inspection import Findings
from tickover.logs.mapping import Mapping
from tickover.logs.profile import SignalStatistics
from tickover.payloads.can import j1939
from tickover.payloads.can.decoder import SHORT
from tickover.payloads.can.interpreter import TEXTS
from tickover.payloads.can.trouble_codes import LAMPS, OCCURRENCE_UNKNOWN, Code, Span

HEADINGS: Final = (
    "signal", "source", "SPN", "unit", "rate", "low", "high", "error", "n/a", "readings", "ticks", "plausible"
)  # fmt: skip
SHOWN_IDS: Final = 20
SHOWN_CODES: Final = 40
PROTOCOLS: Final = ("transport ", "OBD ")
SHOWN_CHOICES: Final = 8
LOSSES: Final = {
    "error_frames": "error frames",
    "remote_frames": "remote frames",
    "unknown_page": "frames with an unknown multiplexer page",
}


def bus_lines(mapping: Mapping, bus: Survey, findings: Findings) -> Iterator[str]:
    """The findings of a bus."""
    channels = f" on {len(bus.channels)} channels" if len(bus.channels) > 1 else ""
    yield (
        f"{many(bus.frames, 'frame')}{channels} in {_duration(bus.seconds)}, {bus.decoded_share:.1%} decoded, "
        f"{many(bus.bad_rows, 'bad line')}"
    )
    yield ""
    columns = bus.columns()
    names = {column: name for name, column in zip(mapping.signals, mapping.columns, strict=True)}
    several = len(bus.channels) > 1
    rows = [_row(column, track, mapping, names.get(column, ""), several) for column, track in columns.items()]
    yield from aligned([HEADINGS, *rows])
    yield from _texts(bus)
    if bus.unknown:
        yield ""
        yield f"{many(bus.counts['unknown_frames'], 'frame')} of {many(len(bus.unknown), 'unknown id')}:"
        yield from (
            f"  {shown_key(key)}: {many(number, 'frame')}" for key, number in bus.unknown.most_common(SHOWN_IDS)
        )
    yield from _codes(bus)
    yield from (f"{TEXTS[pgn]} of source {source:02X}: {text}" for (pgn, source), text in bus.texts.items())
    yield from (f"vehicle identification of ECU {ecu:02X}: {text}" for ecu, text in bus.vehicles.items())
    yield from (f"{reason}: {n:,}" for reason, n in sorted(bus.counts.items()) if reason.startswith(PROTOCOLS))
    for reason, words in LOSSES.items():
        if bus.counts[reason]:
            yield f"{bus.counts[reason]:,} {words}"
    yield from (f"bad line: {line}" for line in bus.bad)
    yield from (f"{key} fits {name} by its PGN only: try --j1939 on" for key, name in bus.only_by_pgn.items())


def _codes(bus: Survey) -> Iterator[str]:
    """Trouble codes with their lamps and times."""
    for (kind, source), number in sorted(bus.diagnoses.items()):
        lamps = [name for name, lamp in zip(LAMPS, bus.lamps[kind, source], strict=True) if lamp == 1]
        yield f"{kind} of source {source:02X}: {many(number, 'message')}, lamps on: {', '.join(lamps) or 'none'}"
    for span in bus.codes.spans[:SHOWN_CODES]:
        words = code_words(span.code, span.occurrence)
        on = f" on {span.bus}" if len(bus.channels) > 1 else ""
        yield f"  source {span.source:02X}{on}: {words}, {moment(span.start)} to {moment(span.end)}"
    if len(bus.codes.spans) > SHOWN_CODES:
        yield f"  and {len(bus.codes.spans) - SHOWN_CODES} more"
    for (source, code), time in list(bus.old_codes.items())[:SHOWN_CODES]:
        yield f"  stored in source {source:02X}: {code_words(code, code.occurrence)}, {moment(time)}"
    for stored in bus.stored[:SHOWN_CODES]:
        codes = ", ".join(stored.codes) or "none"
        yield f"OBD {stored.kind} codes of ECU {stored.ecu:02X} at {moment(stored.time)}: {codes}"


def moment(time: int) -> str:
    """A time, as in the recording: of a clock, or since the start."""
    return clock(time, is_relative(time))


def code_words(code: Code, occurrence: int) -> str:
    """A trouble code in words."""
    times = "occurrence not known" if occurrence == OCCURRENCE_UNKNOWN else f"occurrence {occurrence}"
    method = "; conversion method 1, the SPN may read differently" if code.method else ""
    return f"SPN {code.spn} FMI {code.fmi} ({times}{method})"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 3600:.2f} h"


def _row(column: str, track: Track, mapping: Mapping, name: str, several: bool) -> tuple[str, ...]:
    """One signal; ``several``: the recording has several buses, so its source is shown with the bus."""
    rules = mapping.signals.get(name)
    signal = track.signal
    return (
        name or column,
        (track.origin.with_bus if several else str(track.origin)) or "-",
        "" if signal.spn is None else str(signal.spn),
        signal.unit,
        _rate(track),
        f"{track.low:.6g}",
        "constant" if track.constant else f"{track.high:.6g}",
        f"{track.share(j1939.Missing.ERROR):.1%}",
        f"{track.share(j1939.Missing.NOT_AVAILABLE):.1%}",
        f"{track.readings:,}",
        f"{rules.aggregation}, {rules.hold_s:g} s" if rules else "left out",
        f"{rules.low:g} .. {rules.high:g}" if rules else "",
    )


def _rate(track: Track) -> str:
    interval = track.interval_s
    if not interval > 0:
        return "-"
    return f"{interval * 1000:.3g} ms" if interval < 1 else f"{interval:.3g} s"


def _texts(bus: Survey) -> Iterator[str]:
    """Value tables, and what else was missing."""
    for column, track in bus.columns().items():
        if track.signal.choices:
            shown = [f"{value:g} = {text}" for value, text in sorted(track.signal.choices.items())][:SHOWN_CHOICES]
            yield f"  {column}: {', '.join(shown)}"
        short = track.missing[SHORT]
        if short:
            yield f"  {column}: {many(short, 'frame')} too short for it"


def plain(mapping: Mapping, findings: Findings) -> dict[str, Any]:
    """Findings and mapping as plain values, for JSON."""
    bus = findings.bus
    found: dict[str, Any] = {
        "rows": findings.rows,
        "bad_rows": findings.bad_rows,
        "seconds": findings.seconds,
        "notes": list(findings.notes),
        "mapping": msgspec.to_builtins(mapping),
    }
    if bus is None:
        return found | {
            "time": {"column": findings.time_column, "kind": findings.time_kind},
            "row_period_s": findings.row_period_s,
            "vehicles": list(findings.vehicles),
            "left_out": [{"column": one.column, "kind": one.kind, "text": one.text} for one in findings.decisions],
            "signals": [_figures(name, mapping, seen) for name, seen in findings.signals.items()],
        }
    return found | {
        "frames": bus.frames,
        "decoded_share": bus.decoded_share,
        "bad_lines": bus.bad,
        "counts": dict(bus.counts),
        "signals": {column: _signal(track) for column, track in bus.columns().items()},
        "never_with_a_value": [f"{track.column}@{track.origin}" for track in bus.without_values()],
        "diagnoses": {f"{kind}@{source:02X}": number for (kind, source), number in bus.diagnoses.items()},
        "codes": [_span(span) for span in bus.codes.spans],
        "stored_codes": [{**one._asdict(), "codes": list(one.codes)} for one in bus.stored],
        "texts": {f"{TEXTS[pgn]}@{source:02X}": text for (pgn, source), text in bus.texts.items()},
        "vehicles": {f"{ecu:02X}": text for ecu, text in bus.vehicles.items()},
        "unknown_ids": {shown_key(key): number for key, number in bus.unknown.most_common()},
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "source": f"{span.source:02X}",
        "bus": span.bus,
        "spn": span.code.spn,
        "fmi": span.code.fmi,
        "occurrence": None if span.occurrence == OCCURRENCE_UNKNOWN else span.occurrence,
        "conversion_method": span.code.method,
        "start": moment(span.start),
        "end": moment(span.end),
        "lamps": dict(zip(LAMPS, span.lamps, strict=True)),
    }


FIGURES: Final = ("first", "last", "low", "median", "high", "interval_s", "refresh_s")


def _figures(name: str, mapping: Mapping, seen: SignalStatistics) -> dict[str, Any]:
    """One signal, after scale and offset; None for what is not known. ``count`` and ``missing``: readings."""
    column = mapping.signals.get(name)
    figures = {key: float(f"{value:.7g}") if math.isfinite(value := getattr(seen, key)) else None for key in FIGURES}
    return {
        "name": name,
        "unit": column.unit if column else "",
        "count": seen.readings,
        "missing": seen.rows - seen.readings,
        **figures,
        "outliers": seen.outliers,
        "outside": seen.outside,
        "plausible": [column.low, column.high] if column else None,
        "left_out": column is None,
    }


def _signal(track: Track) -> dict[str, Any]:
    signal = track.signal
    return {
        "message": track.message.name,
        "source": str(track.origin) or None,
        "bus": track.origin.bus,
        "spn": signal.spn,
        "vss": signal.vss,
        "unit": signal.unit,
        "interval_s": track.interval_s if track.intervals else None,
        "low": track.low,
        "high": track.high,
        "constant": track.constant,
        "readings": track.readings,
        "missing": {MISSING_WORDS[why]: number for why, number in sorted(track.missing.items())},
        "choices": {str(value): text for value, text in signal.choices.items()},
    }

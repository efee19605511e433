"""The report as one HTML page: template, style, script and plotly in one file that needs no network."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import jinja2
import numpy as np
import numpy.typing as npt
from plotly.offline import get_plotlyjs

from tickover import __version__
from tickover.core.coverage import gaps, unusable
from tickover.core.time_format import EARLIEST, LATEST, clock, duration, is_relative
from tickover.core.values import Contribution, EndReason, Severity
from tickover.payloads.can.told_codes import ToldCode
from tickover.report.contents import Contents, Story, Track
from tickover.report.log_rows import rows_of
from tickover.report.look import look
from tickover.report.packing import pack_doubles, pack_values
from tickover.report.templates import part, template
from tickover.report.windows import Ticks

REASONS: Final = {
    None: "still open",
    EndReason.RECOVERED: "recovered",
    EndReason.QUIET: "quiet, not seen to be back",
    EndReason.ADAPTED: "adapted",
    EndReason.NO_DATA: "no data",
    EndReason.END_OF_LOG: "log ended",
    EndReason.MODEL_CHANGED: "model changed",
    EndReason.RESET: "reset",
}
DRAWN_FROM: Final = 86_400_000.0
"""Where times since a log's start are drawn, ms: plotly takes small numbers for years."""
SENSORS: Final = {
    "sensor.out_of_range": "out of range",
    "sensor.no_data": "no data",
    "sensor.frozen": "frozen",
    "sensor.departed_constant": "left its constant",
}
"""What a sensor's episode shows in place of a direction."""
SCRIPTS: Final = ("time.js", "pictures.js", "page.js")
"""The parts of the page's script, in order; the last one begins to draw."""
DIRECTIONS: Final = {"high": "too high", "low": "too low", "unsteady": "unsteady"}


def render(report: Contents, counts: Mapping[str, int], by_signal: Mapping[str, Sequence[int]]) -> str:
    """The page as text; ``by_signal``: what was not used, by reason, in the manifest's order of signals."""
    return _template().render(
        report=report,
        manifest=report.manifest,
        version=__version__,
        vehicles=list(report.tracks),
        summary=_summary(report),
        episodes=[_row(report, story) for story in report.episodes],
        codes=[_code_row(report, vehicle, code) for vehicle, code in report.codes],
        quality=_quality(report, by_signal),
        counts=sorted(item for item in counts.items() if item[1]),
        data=script_json(_data(report)),
        style=look() + part("page.css"),
        script="".join(map(part, SCRIPTS)),
        plotly=_plotly(),
    )


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element: no ``<``, ``>`` or ``&``, no line separator, no NaN."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _template() -> jinja2.Template:
    return template("page.html", {"number": number})


@cache
def _plotly() -> str:
    source: str = get_plotlyjs()
    if "</script" in source.lower():
        raise ValueError("plotly.min.js holds a closing script tag and cannot stand inside a page")
    return source


def number(value: float | None, digits: int = 4, unit: str = "") -> str:
    """That many significant digits, grouped, and the unit if there is one; a dash when there is no value."""
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return f"{text} {unit}".rstrip()


def _summary(report: Contents) -> dict[str, Any]:
    tracks = report.tracks.values()
    ticks = sum(track.ticks for track in tracks)
    values = ticks * len(report.manifest.signals)
    missing = sum(int(track.missing.sum()) for track in tracks)
    severities = Counter(story.severity for story in report.episodes)
    first = min((track.first for track in tracks if track.first is not None), default=0)
    last = max((track.last for track in tracks), default=0)
    counted = [sum(int(track.missing[column]) for track in tracks) for column in range(len(report.manifest.signals))]
    doubts = [
        f"{name} has no usable value in {share:.0%} of the ticks"
        for name, share in unusable(report.manifest.names, counted, ticks)
    ]
    return {
        "doubts": doubts + [f"{gap}." for gap in gaps(report.manifest) if "never alarm" in gap],
        "gaps": list(gaps(report.manifest)),
        "first": _moment(first, is_relative(first)),
        "last": _moment(last, is_relative(first)),
        "relative": is_relative(first),
        "ticks": ticks,
        "unscored": ticks - sum(track.scored for track in tracks),
        "driving": duration(ticks * report.manifest.period),
        "trips": sum(track.trips for track in tracks),
        "missing": missing / values if values else 0.0,
        "peak": max((_peak(track) for track in tracks), default=float("nan")),
        "severities": [(severity.value, severities[severity]) for severity in reversed(Severity)],
        "windows_dropped": sum(track.windows.dropped for track in tracks),
    }


def _moment(time: int, relative: bool) -> dict[str, Any]:
    """A time as text (UTC), with its milliseconds where the script may show it in another zone."""
    shown = not relative and EARLIEST <= time <= LATEST
    return {"text": clock(time, relative), "ms": time // 1000 if shown else None}


def _peak(track: Track) -> float:
    score = track.pyramid.buckets().score
    return float(np.fmax.reduce(score)) if len(score) else float("nan")


def _row(report: Contents, story: Story) -> dict[str, Any]:
    relative = is_relative(story.start)
    end = story.last if story.end is None else story.end
    rows, more = rows_of(report.logs, story.vehicle, story.start, end + report.manifest.period, report.zone)
    return {
        "rows": rows,
        "more_logs": more,
        "vehicle": story.vehicle,
        "drawn": story.vehicle in report.tracks,
        "start": _moment(story.start, relative),
        "lasted": duration(end - story.start + report.manifest.period),
        "severity": story.severity.value,
        "peak": story.peak,
        "reason": REASONS[story.reason],
        "signals": [_attribution(part) for part in story.signals],
    }


def _code_row(report: Contents, vehicle: str, code: ToldCode) -> dict[str, Any]:
    relative = is_relative(code.start)
    lasted = duration(code.end - code.start) if code.end > code.start else ""
    return {
        "vehicle": vehicle,
        "start": _moment(code.start, relative),
        "lasted": lasted,
        "sender": code.sender,
        "code": code.code,
        "words": code.words,
        "lamps": ", ".join(code.lamps),
        "messages": code.messages,
    }


def _attribution(part: Contribution) -> dict[str, Any]:
    return {
        "name": part.signal,
        "unit": part.unit,
        "share": min(1.0, max(0.0, part.share)),
        "direction": SENSORS.get(part.chart) or DIRECTIONS.get(part.direction, part.direction),
        "chart": part.chart,
        "level": part.level,
        "observed": part.observed,
        "expected": part.expected,
    }


def _quality(report: Contents, by_signal: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Per signal: its plausible range, the share of missing ticks, and what was dropped."""
    ticks = sum(track.ticks for track in report.tracks.values())
    rows = []
    for column, signal in enumerate(report.manifest.signals):
        missing = sum(int(track.missing[column]) for track in report.tracks.values())
        dropped = [
            f"{int(counted[column]):,} {reason.replace('_', ' ')}"
            for reason, counted in sorted(by_signal.items())
            if reason != "missing" and counted[column]
        ]
        rows.append(
            {
                "signal": signal,
                "missing": missing / ticks if ticks else 0.0,
                "count": missing,
                "dropped": ", ".join(dropped) or "–",
            }
        )
    return rows


def _data(report: Contents) -> dict[str, Any]:
    """All that the script draws."""
    vehicles = list(report.tracks)
    first = min((track.first for track in report.tracks.values() if track.first is not None), default=0)
    shift = DRAWN_FROM if is_relative(first) else 0.0
    return {
        "signals": [
            {"name": signal.name, "unit": signal.unit, "low": signal.low, "high": signal.high}
            for signal in report.manifest.signals
        ],
        "relative": is_relative(first),
        "shift": shift,
        "zone": report.zone,
        "period": report.manifest.period / 1000,
        "vehicles": [_track(name, track, shift) for name, track in report.tracks.items()],
        "episodes": [
            {
                "vehicle": vehicles.index(story.vehicle) if story.vehicle in report.tracks else None,
                "start": story.start / 1000 + shift,
                "end": ((story.last if story.end is None else story.end) + report.manifest.period) / 1000 + shift,
                "severity": story.severity.value,
                "signals": [part.signal for part in story.signals],
            }
            for story in report.episodes
        ],
        "codes": [
            {
                "vehicle": vehicles.index(vehicle),
                "start": code.start / 1000 + shift,
                "end": code.end / 1000 + shift,
                "name": f"{code.code}, {code.sender}",
                "words": code.words,
            }
            for vehicle, code in report.codes
            if vehicle in report.tracks
        ],
    }


def _track(name: str, track: Track, shift: float) -> dict[str, Any]:
    buckets = track.pyramid.buckets()
    expected = buckets.expected
    columns = range(expected.shape[1])
    return {
        "name": name,
        "width": track.pyramid.width / 1000,
        "start": pack_doubles(buckets.index * (track.pyramid.width / 1000) + shift),
        "score": pack_doubles(buckets.score),
        "values": [
            pack_values(buckets.low[:, column], buckets.high[:, column], expected[:, column]) for column in columns
        ],
        "level": [pack_values(buckets.level[:, column]) for column in columns],
        "unused": [
            _unused(buckets.missing[:, column], buckets.outside_low[:, column], buckets.outside_high[:, column])
            for column in columns
        ],
        "windows": [_window(ticks, shift) for ticks in track.windows.kept()],
    }


def _window(ticks: Ticks, shift: float) -> dict[str, Any]:
    columns = range(ticks.observed.shape[1])
    outside = ticks.outside
    return {
        "start": pack_doubles(ticks.time / 1000 + shift),
        "score": pack_doubles(ticks.score),
        "values": [pack_values(ticks.observed[:, column], ticks.expected[:, column]) for column in columns],
        "unused": [
            _unused(np.isnan(ticks.observed[:, column]), *([] if outside is None else [outside[:, column]] * 2))
            for column in columns
        ],
    }


def _unused(missing: npt.NDArray[Any], *outside: npt.NDArray[np.floating]) -> dict[str, Any] | None:
    """Ticks without a value, and readings out of range, of one signal; most have neither and take no room."""
    out = bool(outside) and any(np.isfinite(part).any() for part in outside)
    if not out and not missing.any():
        return None
    return {"missing": pack_values(missing.astype(np.float64)), "outside": pack_values(*outside) if out else None}

"""``tickover replay``: run a model over recorded logs."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from tickover.commands.ui.options import (
    FILE,
    VEHICLE,
    WRITABLE,
    speed_of,
    write_errors_named,
)
from tickover.commands.ui.terminal import INTERRUPTED, CtrlC, Progress
from tickover.commands.ui.words import many
from tickover.core.manifest import Manifest
from tickover.core.pipeline import Output, Pipeline
from tickover.core.policy import Settings
from tickover.core.time_format import clock, is_relative, parse_time
from tickover.core.values import Alert, ScoredTicks
from tickover.errors import ConfigError
from tickover.jobs.log_segments import Lap, Laps
from tickover.jobs.replay import (
    Source,
    Tally,
    finish,
    load_state,
    save_state,
)
from tickover.jobs.replay import replay as run_logs
from tickover.logs.mapping import Mapping, mapping_of
from tickover.logs.reading import load_mapping, log_is_relative
from tickover.logs.score_writer import FORMATS, Writer, open_scores
from tickover.messages.alerts import alert_line, encode_alert
from tickover.model.detector import Detector
from tickover.storage.files import replace_file

if TYPE_CHECKING:
    from tickover.report import Report

BAD_ROWS_SHOWN: Final = 10


def _start_of(ctx: click.Context, param: click.Parameter, value: str | None) -> int:
    try:
        return parse_time(value) if value else 0
    except ValueError:
        raise click.BadParameter(f"expected an ISO 8601 time or epoch seconds, got {value!r}") from None


def _scores_of(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value and value.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"expected a file called {' or '.join('*' + s for s in FORMATS)}, got {value}")
    return value


@click.command()
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@click.argument("logs", type=FILE, nargs=-1, required=True, metavar="LOG...")
@click.option(
    "--alerts",
    type=WRITABLE,
    metavar="FILE.jsonl",
    help="Write the alerts: a CloudEvents JSON object a line.",
)
@click.option("--scores", type=WRITABLE, callback=_scores_of, metavar="FILE.csv|.parquet", help="Write a row per tick.")
@click.option(
    "--report",
    type=WRITABLE,
    metavar="FILE.html",
    help="Write a page that draws signals, score and episodes (needs tickover[report]).",
)
@click.option(
    "--state",
    type=WRITABLE,
    metavar="FILE",
    help="Go on from this state, if it is there, and save it: as if one log.",
)
@click.option("--map", "map_file", type=FILE, metavar="FILE", help="Which column is which signal; default: by name.")
@click.option("--vehicle", default=VEHICLE, show_default=True, metavar="NAME", help="Whose logs, unless they say so.")
@click.option(
    "--start", callback=_start_of, metavar="TIME", help="When a log that counts seconds began; default 1970-01-01."
)
@click.option(
    "--speed", callback=speed_of, default="max", metavar="N|max", help="Times as fast as recorded; default max."
)
@click.option("--strict", is_flag=True, help="Stop at the first bad row.")
def replay(
    model: Path,
    logs: tuple[Path, ...],
    alerts: Path | None,
    scores: Path | None,
    report: Path | None,
    state: Path | None,
    map_file: Path | None,
    vehicle: str,
    start: int,
    speed: float,
    strict: bool,
) -> None:
    """Run MODEL.onnx over recorded logs: alerts as lines as they come, and as files.

    A LOG is .csv, .tsv, .txt, .jsonl, .ndjson or .parquet, or such a file as .gz; its columns are called like the
    model's signals, or --map says which is which.

    Logs are taken in the order given, as one vehicle's; one that begins before the previous one's end starts a new
    trip. Without --state all ticks close and open episodes end at the end. Files are written whole or not at all. A
    mapping may also hold [episodes] and [sensitivity], to alarm sooner or later without a new model.
    """
    detector = Detector.load(model)
    mapping = load_mapping(map_file) if map_file else mapping_of(detector.manifest)
    pipeline = Pipeline(detector, _settings(mapping, detector.manifest, map_file))
    if state and state.exists():
        load_state(pipeline, state)
    relative = [log_is_relative(log, mapping) for log in logs]  # reads every header, so that a bad one stops at once
    counted_from = start if all(relative) else None
    apart = all(relative) and len(logs) > 1 and not mapping.log.vehicle_column
    source = Source(logs, mapping, vehicle, start, strict, _BadRows())
    tally, progress = Tally(), Progress(logged=False)
    with write_errors_named(), CtrlC() as ctrl_c, contextlib.ExitStack() as files:
        sinks = _Sinks(progress, logs, apart=apart)
        if alerts:
            sinks.alerts = files.enter_context(replace_file(alerts))
        if scores:
            named = bool(mapping.log.vehicle_column)
            sinks.scores = files.enter_context(
                open_scores(scores, detector.manifest, start=counted_from, with_vehicle=named)
            )
        if report:
            sinks.report = _new_report(detector, model, logs, each="log" if apart else "vehicle")
        _run(pipeline, detector.manifest, source, tally, sinks, ctrl_c, speed, keep_open=state is not None)
        if sinks.report and report:
            sinks.report.write(report, pipeline.counts + tally.rows)
        if state and not ctrl_c.is_pressed():
            save_state(pipeline, state)
    progress.clear()
    for line in _summary(detector.manifest, pipeline, tally, len(logs)):
        click.echo(line, err=True)
    if ctrl_c.is_pressed():
        kept = f"; {state} is as it was before" if state else ""
        click.echo(f"tickover: stopped; the files hold what was replayed so far{kept}", err=True)
        sys.exit(INTERRUPTED)


def _run(
    pipeline: Pipeline,
    manifest: Manifest,
    source: Source,
    tally: Tally,
    sinks: "_Sinks",
    ctrl_c: CtrlC,
    speed: float,
    *,
    keep_open: bool,
) -> None:
    """All logs, and the end of them unless they are to be gone on with (``keep_open``)."""
    stopped = ctrl_c.is_pressed
    for output in run_logs(pipeline, manifest, source, tally, speed=speed, sleep=ctrl_c.sleep, stopped=stopped):
        sinks.take(output, tally)
        if tally.now is not None and sinks.progress.is_due():
            sinks.progress.tell(_how_far(tally, tally.now, sinks.progress.elapsed_s))
    if not keep_open or stopped():
        for output in finish(pipeline, tally):
            sinks.take(output, tally)


def _how_far(tally: Tally, now: int, elapsed_s: float) -> str:
    rate = tally.ticks / elapsed_s
    return f"{tally.ticks:,} ticks, {rate:,.0f}/s, now at {clock(now, is_relative(now))}"


class _Sinks:
    """Where the outputs go: lines to standard output, and the files that were asked for.

    ``apart``: the logs count from their own start, so that a time says nothing without its log.
    """

    def __init__(self, progress: Progress, logs: tuple[Path, ...], *, apart: bool) -> None:
        self.progress = progress
        alone = Counter(log.name for log in logs)
        self.names = {log: log.name if alone[log.name] == 1 else str(log) for log in logs}
        self.alerts: BinaryIO | None = None
        self.scores: Writer | None = None
        self.report: Report | None = None
        self._laps = Laps() if apart else None
        self._headed = ""

    def take(self, output: Output, tally: Tally) -> None:
        """One output to all of them."""
        if self.scores and len(output.scored.ticks.time):
            self.scores.add(output.scored)
        if self._laps and tally.log:
            for lap in self._laps.cut(output.scored, output.alerts, self.names[tally.log]):
                self._tell_apart(lap)
        else:
            self._tell(output.alerts)
            self._draw(output.scored, output.alerts)

    def _tell_apart(self, lap: Lap) -> None:
        if lap.alerts and lap.log != self._headed:
            self.progress.clear()
            click.echo(f"{lap.log}:")
            self._headed = lap.log
        self._tell(lap.alerts)
        named = lap.under_its_name()
        self._draw(named.scored, named.alerts)

    def _tell(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self.progress.clear()
            click.echo(alert_line(alert))
            if self.alerts:
                self.alerts.write(encode_alert(alert) + b"\n")

    def _draw(self, scored: ScoredTicks, alerts: list[Alert]) -> None:
        if self.report:
            self.report.add(scored, alerts)


class _BadRows:
    """Says the first bad rows; the rest are only counted."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, message: str) -> None:
        self._said += 1
        if self._said <= BAD_ROWS_SHOWN:
            click.echo(f"bad row: {message}", err=True)
        elif self._said == BAD_ROWS_SHOWN + 1:
            click.echo("further bad rows are only counted", err=True)


def _settings(mapping: Mapping, manifest: Manifest, map_file: Path | None) -> Settings:
    """The mapping file's own ``[episodes]`` and ``[sensitivity]``; ConfigError when nothing in it fits the model."""
    name = str(map_file or "mapping")
    settings = Settings(episodes=mapping.episodes, sensitivity=mapping.sensitivity)
    settings.check(manifest, name)
    missing = [signal for signal in manifest.names if signal not in mapping.names]
    if len(missing) == len(manifest.names):
        raise ConfigError(
            f"{name}: key 'signals': expected signals of the model ({', '.join(manifest.names)}), "
            f"got {', '.join(mapping.names)}"
        )
    if missing:
        click.echo(f"{name}: not mapped, so always missing: {', '.join(missing)}", err=True)
    return settings


def _new_report(detector: Detector, model: Path, logs: tuple[Path, ...], each: str) -> "Report":
    from tickover.report import Report

    what = logs[0].name if len(logs) == 1 else f"{len(logs)} logs"
    return Report(detector.manifest, title=f"{model.name} over {what}", digest=detector.digest, each=each)


def _summary(manifest: Manifest, pipeline: Pipeline, tally: Tally, logs: int) -> Iterator[str]:
    """What was seen, and what was dropped or missing, by reason and signal."""
    hours = tally.ticks * manifest.tick_period_s / 3600
    seen = f"{many(tally.ticks, 'tick')} in {many(tally.trips, 'trip')}, {hours:.2f} h"
    yield f"{many(logs, 'log')}: {seen}; {many(tally.episodes, 'episode')}, {many(tally.alerts, 'alert')}"
    counts = pipeline.counts + tally.rows
    by_signal = pipeline.signal_counts
    whole = [
        f"{counts[reason]:,} {reason}" for reason in sorted(counts) if reason not in by_signal and reason != "rows"
    ]
    if whole:
        yield f"counted: {', '.join(whole)}"
    for column, name in enumerate(manifest.names):
        parts = [f"{counted[column]:,} {reason}" for reason, counted in sorted(by_signal.items()) if counted[column]]
        if parts:
            yield f"  {name}: {', '.join(parts)}"

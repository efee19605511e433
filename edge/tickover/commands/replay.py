"""``tickover replay``: run a model over recorded logs."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tickover.commands.ui.files import FILE, WRITABLE, write_errors_named
from tickover.commands.ui.options import (
    VEHICLE,
    bus_options,
    map_option,
    mapping_for,
    settings_of,
    speed_of,
    start_option,
)
from tickover.commands.ui.terminal import INTERRUPTED, CtrlC, Progress
from tickover.commands.ui.words import many
from tickover.core.arrivals import DEFAULT_WINDOW
from tickover.core.coverage import gaps, unusable
from tickover.core.manifest import Manifest
from tickover.core.pipeline import Pipeline
from tickover.core.time_format import clock, is_relative
from tickover.core.values import Output
from tickover.jobs.replay import Source, Tally, finish
from tickover.jobs.replay import replay as run_logs
from tickover.jobs.replay_outputs import Outputs
from tickover.jobs.replay_state import load_state, save_state
from tickover.jobs.replay_verdicts import Verdicts
from tickover.logs.reading import log_is_relative
from tickover.logs.score_writer import FORMATS, open_scores
from tickover.model.detector import Detector
from tickover.payloads.can.told_codes import ToldCode
from tickover.storage.files import replace_file

if TYPE_CHECKING:
    from tickover.report import Report
    from tickover.report.log_rows import LogSpan

BAD_ROWS_SHOWN: Final = 10
CODES_SHOWN: Final = 10
SHOWN_TEXTS: Final = 3


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
    help="Write the alerts, one CloudEvents JSON object per line.",
)
@click.option(
    "--scores", type=WRITABLE, callback=_scores_of, metavar="FILE.csv|.parquet", help="Write one row per tick."
)
@click.option(
    "--report",
    type=WRITABLE,
    metavar="FILE.html",
    help="Write a page with signals, score and episodes (needs tickover[report]).",
)
@click.option(
    "--state",
    type=WRITABLE,
    metavar="FILE",
    help="Continue from this state if the file exists, and save the state at the end.",
)
@click.option(
    "--events",
    type=FILE,
    metavar="FILE.jsonl",
    help="Give these verdicts of people where they were given live (`tickover state --verdicts` writes them).",
)
@map_option
@bus_options
@click.option(
    "--vehicle",
    default=VEHICLE,
    show_default=True,
    metavar="NAME",
    help="Vehicle of the logs, unless a column names it.",
)
@start_option
@click.option(
    "--speed",
    callback=speed_of,
    default="max",
    metavar="N|max",
    help="Speed as a multiple of the recorded one. Default: max.",
)
@click.option("--strict", is_flag=True, help="Stop at the first bad row.")
def replay(
    model: Path,
    logs: tuple[Path, ...],
    alerts: Path | None,
    scores: Path | None,
    report: Path | None,
    state: Path | None,
    events: Path | None,
    map_file: Path | None,
    vehicle: str,
    start: int,
    speed: float,
    strict: bool,
    **bus: Any,
) -> None:
    """Run MODEL.onnx over the recorded LOGs; print each alert as one line, and write the files that are asked for.

    A LOG is a .csv, .tsv, .txt, .jsonl, .ndjson or .parquet file, or a recording of a CAN bus: .log, .candump, .asc,
    .trc, .blf, .mf4; a text file may be compressed (.gz). Its columns
    are those of the logs that the model was trained on, or have the names of the model's signals, or --map says which
    column is which signal.

    The logs are read in the given order, as those of one vehicle; one that begins before the end of the previous one
    starts a new trip. Without --state, open episodes end with the last log. Files are written whole or not at all. A
    mapping may also hold [episodes], [sensors] and [sensitivity], to alarm sooner or later without a new model.

    Without --state, limits start as trained; on a truck they may follow it. With its state and its verdicts (--events),
    the alerts are those of the truck.
    """
    detector = Detector.load(model)
    mapping = mapping_for(detector.manifest, map_file, **bus)
    pipeline = Pipeline(detector, settings_of(mapping, detector.manifest, map_file), window=DEFAULT_WINDOW)
    verdicts = Verdicts(events, detector.manifest) if events else None
    if state and state.exists():
        load_state(pipeline, state)
    elif pipeline.adapts:
        click.echo("limits start as trained; those of a truck may follow it (--state)", err=True)
    relative = [log_is_relative(log, mapping) for log in logs]  # reads every header, so that a bad one stops at once
    for gap in gaps(detector.manifest):
        click.echo(f"{model}: {gap}", err=True)
    counted_from = start if all(relative) else None
    apart = all(relative) and len(logs) > 1 and not mapping.log.vehicle_column
    codes = _Codes()
    source = Source(logs, mapping, vehicle, start, strict, _BadRows(), verdicts, codes, _note)
    tally, progress = Tally(), Progress(logged=False)
    with write_errors_named(), CtrlC() as ctrl_c, contextlib.ExitStack() as files:
        outputs = Outputs(logs, partial(_say, progress), apart=apart)
        if alerts:
            outputs.alerts = files.enter_context(replace_file(alerts))
        if scores:
            named = bool(mapping.log.vehicle_column)
            outputs.scores = files.enter_context(
                open_scores(scores, detector.manifest, start=counted_from, with_vehicle=named)
            )
        each = "log" if apart else "vehicle"
        page = _new_report(detector, model, logs, each, mapping.time.zone) if report else None
        outputs.picture = page
        keep_open = state is not None
        for output in _outputs(pipeline, detector.manifest, source, tally, ctrl_c, speed, keep_open=keep_open):
            outputs.take(output, tally.log)
            if progress.is_due():
                progress.tell(_how_far(tally, progress.elapsed_s))
        if page and report:
            for log, found in codes.by_log.items():
                page.add_codes(outputs.name_of(log, vehicle), found)
            for span in _log_spans(tally, outputs):
                page.add_log(span)
            page.write(report, pipeline.counts + tally.rows, _dropped(detector.manifest, pipeline, tally))
        if state and not ctrl_c.is_pressed():
            save_state(pipeline, state)
    progress.clear()
    summary = _summary(detector.manifest, pipeline, tally, len(logs))
    for line in (*summary, *_followed(pipeline, verdicts), *codes.lines()):
        click.echo(line, err=True)
    if ctrl_c.is_pressed():
        kept = f"; {state} is unchanged" if state else ""
        click.echo(f"tickover: stopped; the files hold what was replayed so far{kept}", err=True)
        sys.exit(INTERRUPTED)


def _outputs(
    pipeline: Pipeline,
    manifest: Manifest,
    source: Source,
    tally: Tally,
    ctrl_c: CtrlC,
    speed: float,
    *,
    keep_open: bool,
) -> Iterator[Output]:
    """Those of all logs, and of the end of them unless a later call continues (``keep_open``)."""
    stopped = ctrl_c.is_pressed
    yield from run_logs(pipeline, manifest, source, tally, speed=speed, sleep=ctrl_c.sleep, stopped=stopped)
    if not keep_open or stopped():
        yield from finish(pipeline, tally)


def _say(progress: Progress, line: str) -> None:
    progress.clear()
    click.echo(line)


def _how_far(tally: Tally, elapsed_s: float) -> str:
    reached = "" if tally.now is None else f", now at {clock(tally.now, is_relative(tally.now))}"
    return f"{tally.ticks:,} ticks, {tally.ticks / elapsed_s:,.0f}/s{reached}"


class _BadRows:
    """Prints the first bad rows; the rest are only counted."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, message: str) -> None:
        self._said += 1
        if self._said <= BAD_ROWS_SHOWN:
            click.echo(f"bad row: {message}", err=True)
        elif self._said == BAD_ROWS_SHOWN + 1:
            click.echo("further bad rows are only counted", err=True)


def _note(message: str) -> None:
    click.echo(f"note: {message}", err=True)


class _Codes:
    """The trouble codes of recordings of a bus, log by log, as far as they are shown."""

    def __init__(self) -> None:
        self.by_log: dict[Path, Sequence[ToldCode]] = {}

    def __call__(self, log: Path, codes: Sequence[ToldCode]) -> None:
        if codes:
            self.by_log[log] = codes

    def lines(self) -> Iterator[str]:
        """The first codes as lines of text."""
        codes = [code for found in self.by_log.values() for code in found]
        for code in codes[:CODES_SHOWN]:
            when = clock(code.start, is_relative(code.start))
            words = f" ({code.words})" if code.words else ""
            yield f"code at {when} of {code.sender}: {code.code}{words}, {many(code.messages, 'message')}"
        if len(codes) > CODES_SHOWN:
            yield f"and {many(len(codes) - CODES_SHOWN, 'further code')}; --report lists them"


def _followed(pipeline: Pipeline, verdicts: Verdicts | None) -> Iterator[str]:
    """Limits that are not the trained ones, promises that are broken, and what became of verdicts."""
    for vehicle in pipeline.vehicles:
        if raised := pipeline.adapted(vehicle):
            charts = ", ".join(f"{chart} {factor:.2f}" for chart, factor in raised.items())
            yield f"{vehicle}: limits that follow it, times the trained ones: {charts}"
        if pipeline.promise(vehicle).broken:
            yield f"{vehicle}: {pipeline.promise(vehicle).read().text()}"
    if verdicts:
        counts = verdicts.counts
        yield f"{many(counts['given'], 'verdict')} given, {counts['not_known']} on episodes that are not of this replay"


def _new_report(detector: Detector, model: Path, logs: tuple[Path, ...], each: str, zone: str) -> "Report":
    from tickover.report import Report

    what = logs[0].name if len(logs) == 1 else f"{len(logs)} logs"
    return Report(detector.manifest, title=f"{model.name} over {what}", digest=detector.digest, each=each, zone=zone)


def _log_spans(tally: Tally, outputs: Outputs) -> "Iterator[LogSpan]":
    """What each log holds of each vehicle, called as in the report."""
    from tickover.report.log_rows import LogSpan

    vehicles = Counter(log for log, _ in tally.spans)
    for (log, vehicle), (first, last) in tally.spans.items():
        yield LogSpan(outputs.title_of(log), outputs.name_of(log, vehicle), first, last, vehicles[log] == 1)


def _dropped(manifest: Manifest, pipeline: Pipeline, tally: Tally) -> dict[str, Sequence[int]]:
    """What was not used, by reason: a number for each signal."""
    no_number: Counter[str] = Counter()
    for (signal, _), count in tally.cells.items():
        no_number[signal] += count
    counted: dict[str, Sequence[int]] = {reason: of.tolist() for reason, of in pipeline.signal_counts.items()}
    return counted | {"cells without a number": [no_number[name] for name in manifest.names]}


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
        texts = [(text, count) for (signal, text), count in tally.cells.most_common() if signal == name]
        if texts:
            shown = ", ".join(f"'{text}' {count:,}" for text, count in texts[:SHOWN_TEXTS])
            parts.append(f"{sum(count for _, count in texts):,} cells without a number ({shown})")
        if parts:
            yield f"  {name}: {', '.join(parts)}"
    missing = by_signal.get("missing")
    for name, share in unusable(manifest.names, missing, tally.ticks):
        yield f"  {name}: no usable value in {share:.0%} of the ticks: no all-clear for it"

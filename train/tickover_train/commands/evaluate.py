"""``tickover evaluate``: which faults a model detects, and how many false alarms it raises."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tickover.commands.ui.files import FILE, WRITABLE
from tickover.commands.ui.options import bus_options, mapping_for
from tickover.commands.ui.terminal import Progress
from tickover.model.detector import Detector
from tickover_train.cleaning.clean import words
from tickover_train.commands.files import LOGS, warn, write
from tickover_train.data import expand, load_trips
from tickover_train.evaluation.code_labels import DM1, split_by_codes
from tickover_train.evaluation.faults import load_kinds
from tickover_train.evaluation.judge import Verdict
from tickover_train.evaluation.labels import load_labelled
from tickover_train.evaluation.study import Study, run
from tickover_train.evaluation.verdict_labels import is_verdicts, read_ranges, split_by_verdicts
from tickover_train.pages.evaluation import render
from tickover_train.pages.words import number, percent, seconds

SHOWN_RATES: Final = (1.0, 0.2, 0.1)
"""False alarms an hour at which recall is shown besides the model's own budget."""


@click.command()
@click.argument("model", type=FILE)
@click.option(
    "--clean",
    "first",
    type=FILE,
    multiple=True,
    required=True,
    metavar=LOGS,
    help="Trips without known faults, which the model has not learnt: logs or folders of logs.",
)
@click.argument("more", type=FILE, nargs=-1, metavar="")
@click.option(
    "--labels",
    type=FILE,
    multiple=True,
    help="Labelled anomalies: CSV with log,start,end, a log with a column anomaly, verdicts (.jsonl) of web or "
    "state, or dm1: codes of CAN recordings.",
)
@click.option("--faults", type=FILE, help="Run this Python file, which adds kinds of faults.")
@click.option(
    "--map", "mapping_file", type=FILE, help="Mapping of columns to signals. Default: the one in the model, or by name."
)
@bus_options
@click.option("--json", "json_file", type=WRITABLE, help="Write all figures as JSON.")
@click.option("--page", type=WRITABLE, help="Write the figures as an HTML page.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides where and how faults are injected.")
def evaluate(
    model: Path,
    first: tuple[Path, ...],
    more: tuple[Path, ...],
    labels: tuple[Path, ...],
    faults: Path | None,
    mapping_file: Path | None,
    json_file: Path | None,
    page: Path | None,
    seed: int,
    **bus: Any,
) -> None:
    """Inject faults into clean trips, and count how many MODEL detects and how many false alarms it raises.

    Recall is given twice: at the limits of the model, and at the rate of false alarms that its limits were set for.
    Beside it stand a PCA residual and three floors (random, always on, clock) on the same faults.
    """
    if faults:
        load_kinds(faults)
    detector = Detector.load(model)
    mapping = mapping_for(detector.manifest, mapping_file, **bus)
    counts: Counter[str] = Counter()
    logs = expand([*first, *more])
    files = [path for path in labels if str(path) != DM1]
    said = [path for path in files if is_verdicts(path)]
    labelled = [trip for path in files if path not in said for trip in load_labelled(path, mapping, counts, warn)]
    if said:
        logs, judged = split_by_verdicts(logs, read_ranges(said), mapping, counts, warn)
        labelled += judged
    if Path(DM1) in labels:
        logs, coded = split_by_codes(logs, mapping, counts, warn)
        labelled += coded
    trips = load_trips(logs, mapping, counts, warn)
    progress = Progress(logged=True)
    study = run(detector, trips, seed, labelled, advance=progress.tell)
    progress.clear()
    click.echo(table(study))
    if json_file:
        write(json_file, msgspec.json.format(msgspec.json.encode(_plain(study))))
    if page:
        write(page, render(study).encode())
        click.echo(f"page: {page}")


def table(study: Study) -> str:
    """The study as text."""
    model = study.whole[0]
    lines = [
        f"{study.model}: {study.trips} clean trips, {study.hours:.1f} h, "
        f"{study.injections} injected faults, seed {study.seed}",
        "",
        f"{'kind':<14}{'size':>6}{'events':>8}{'at limit':>10}{'at rate':>9}{'delay':>9}{'VUS-PR':>8}",
    ]
    for cell in model.cells:
        size = "" if cell.magnitude is None else number(cell.magnitude)
        lines.append(
            f"{cell.kind:<14}{size:>6}{cell.events:>8}{percent(cell.recall_at_limit):>10}"
            f"{percent(cell.recall_at_rate):>9}{seconds(cell.delay_at_limit_s):>9}{number(cell.vus_pr):>8}"
        )
    for title, verdicts in study.tables:
        shares = f"{title:<24}{'at limit':>9}{'at rate':>9}{'1/h':>6}{'1/5h':>6}{'1/10h':>6}{'chance':>8}"
        lines += ["", f"{shares}   {'false alarms/h (95 %)':<24}{'in alarm':>9}{'delay':>8}{'VUS-PR':>8}"]
        lines += [_line(verdict) for verdict in verdicts]
    lines += ["", *_remarks(study)]
    return "\n".join(lines)


def _line(one: Verdict) -> str:
    rate = one.false_alarms
    interval = f"{number(rate.per_hour)} ({number(rate.low)} - {number(rate.high)})"
    curve = {point.allowed: point.recall for point in one.curve}
    at = "".join(f"{percent(curve[allowed]):>6}" for allowed in SHOWN_RATES)
    return (
        f"{one.name:<24}{percent(one.recall_at_limit):>9}{percent(one.recall_at_rate):>9}{at}{percent(one.chance):>8}"
        f"   {interval:<24}{percent(one.in_alarm):>9}{seconds(one.delay_at_limit_s):>8}{number(one.vus_pr):>8}"
    )


def _remarks(study: Study) -> list[str]:
    level = study.whole[0].level_at_rate
    remarks = [
        "at limit: recall with the model's own limits and episodes. at rate: recall at the level that leaves "
        f"{number(study.budget_per_hour)} false alarms/h on these trips (for the model {number(level)}). 1/h, 1/5h, "
        "1/10h: recall at the level that leaves so many.",
        "chance: share of events in whose clean twin an episode begins in the same time. "
        "in alarm: share of the clean time with an episode open.",
    ]
    remarks += [
        f"glitches: {glitch.signal}: {glitch.glitches} in {glitch.trips} trips, the largest {number(glitch.largest)}"
        for glitch in study.glitches
    ]
    remarks += [f"recording: {line}" for line in words(study.defects)]
    remarks.append(
        f"{study.near_glitch} episodes on clean trips opened at a defect of the recording, or within a minute of it: "
        "they are counted as right."
    )
    if study.counts:
        remarks.append("not injected: " + ", ".join(f"{reason} {count}" for reason, count in study.counts.items()))
    if study.labelled:
        one = study.labelled
        remarks.append(
            f"labelled: {one.detected_at_limit} of {one.events} events detected at the limit, {one.detected_at_rate} "
            f"at the rate; F1 {one.points.f1:.3f}, FAR {percent(one.points.far)}, MAR {percent(one.points.mar)}, "
            f"VUS-PR {number(one.vus_pr)}"
        )
    return remarks


def _plain(study: Study) -> object:
    """The study without arrays."""
    return msgspec.to_builtins(study, enc_hook=lambda array: array.tolist())

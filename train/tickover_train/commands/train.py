"""``tickover train``: from recorded trips to a run folder, which ``tickover export`` reads."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
import torch

from tickover.commands.ui.files import FILE
from tickover.commands.ui.options import given_mapping, log_options
from tickover.commands.ui.terminal import INTERRUPTED, CtrlC, Progress
from tickover.core.budget import parse_budget
from tickover.core.manifest import ARCHITECTURES, CELLS, Rung
from tickover.errors import RunError
from tickover.logs.mapping import Mapping
from tickover_export.charts_off import WHY_OFF, off_lines, why_mute
from tickover_train import cell_choice, run_folder
from tickover_train.cleaning.clean import words
from tickover_train.commands.files import LOGS, chosen_mapping, write
from tickover_train.config import AUTO, TrainConfig, load_config
from tickover_train.data import dropped_words, expand, load_trips
from tickover_train.fitting import checkpoint
from tickover_train.fitting.horizon import Horizons, correlation_time, horizons
from tickover_train.footprint import Footprint, check_disk, needed, work_folder
from tickover_train.pages import training
from tickover_train.pages.training import horizon_words
from tickover_train.pages.words import influence_words, ladder_words, realised_words
from tickover_train.pipeline import (
    Job,
    Product,
    finish,
    fit_folds,
    fit_whole,
    ladder_of,
    new_job,
)
from tickover_train.stored.arrays import lengths
from tickover_train.stored.room import Disk
from tickover_train.trips import Trips, new_trips, values_of

BAD_ROWS_SHOWN = 5
REPORT_FILE = "report.html"
STOPPING = "stopping: keeping the best so far (Ctrl-C again to end at once)"
SKIPPING = "stopping: writing the run folder without what is not measured yet (Ctrl-C again to end at once)"


@click.command()
@click.argument("logs", metavar=LOGS, nargs=-1, required=True, type=FILE)
@click.option(
    "--out", metavar="RUN", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write."
)
@click.option("--config", type=FILE, help="Training configuration (TOML); docs/training.md lists the keys.")
@click.option("--map", "map_", type=FILE, help="Mapping file. Default: as inspect proposes.")
@log_options
@click.option("--cell", type=click.Choice((*CELLS, "auto")), help="Default: gru. auto compares gru and lstm.")
@click.option("--arch", type=click.Choice(ARCHITECTURES), help="Default: autoencoder.")
@click.option(
    "--false-alarms",
    metavar="N/DURATION",
    help="False episodes allowed, such as 1/h, 1/10h or 1/week. Default: the rarest that the trips support.",
)
@click.option("--seed", type=int, help="Decides weights, splits and corruption. Default: 0.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Fit so many folds side by side, each in its own process. The model is the same.",
)
@click.option(
    "--work",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder for temporary data: trips and what is made of them lie there, not in memory. Default: that of RUN.",
)
@click.option("--resume", is_flag=True, help="Continue from the checkpoint in RUN.")
@click.option("--fresh", is_flag=True, help="Begin anew, and delete the checkpoint of an interrupted run in RUN.")
@click.option("--force", is_flag=True, help="Write RUN though many charts are off, or all of a signal.")
def train(
    logs: tuple[Path, ...],
    out: Path,
    config: Path | None,
    map_: Path | None,
    cell: str | None,
    arch: str | None,
    false_alarms: str | None,
    seed: int | None,
    workers: int,
    work: Path | None,
    resume: bool,
    fresh: bool,
    force: bool,
    **options: Any,
) -> None:
    """Train a detector on recorded trips (log files or folders of logs), and write the run folder RUN.

    Options override the configuration file. Ctrl-C ends training, keeps the best epoch so far, writes RUN and exits
    with 130; --resume goes on.
    """
    settings = override(load_config(config), cell, arch, false_alarms, seed)
    progress = Progress(logged=True)
    checkpoints = out / "checkpoint"
    check_interrupted(out, checkpoints, resume=resume, fresh=fresh)
    try:
        room = Disk(work_folder(work, out))
        mapping, trips = read_trips(expand(logs), map_, progress, options, new_trips(room))
        progress.say(check_disk(room, needed(settings, sum(lengths(values_of(trips))), len(mapping.signals), workers)))
        prepare_folder(out, checkpoints, resume)
        torch.set_num_threads(settings.fit.threads)
        torch.use_deterministic_algorithms(True)
        job = prepared(settings, mapping, trips, checkpoints, room, progress)
        del trips
        stopped = fit_and_write(job, room, out, checkpoints, progress, cell == "auto", force, workers)
    except KeyboardInterrupt:
        progress.clear()
        click.echo(f"tickover: {interrupted_words(checkpoints)}", err=True)
        sys.exit(INTERRUPTED)
    if stopped:
        click.echo(f"tickover: stopped early; {out} holds the best so far; --resume goes on", err=True)
        sys.exit(INTERRUPTED)


def prepared(
    settings: TrainConfig, mapping: Mapping, trips: Trips, checkpoints: Path, room: Disk, progress: Progress
) -> Job:
    """The trips without what is wrong with the recordings, ready to be learnt; what was left out is printed."""
    job = new_job(
        settings,
        mapping,
        trips,
        checkpoints,
        lambda done, text: progress.tell(text, done),
        tick=lambda done, text: progress.tell(text, done) if progress.is_due() else None,
        room=room,
    )
    for line in words(job.left_out):
        progress.say(f"left out: {line}")
    return job


def fit_and_write(
    job: Job, room: Disk, out: Path, checkpoints: Path, progress: Progress, auto: bool, force: bool, workers: int
) -> bool:
    """Everything from the fit to the summary; whether Ctrl-C ended a part of it early.

    Ctrl-C ends the fit with the best so far, and skips measurements that a model can do without. While the limits are
    set there is no model yet: KeyboardInterrupt, and the checkpoints are there to go on from.
    """
    with CtrlC(lambda: progress.say(STOPPING)) as ctrl_c:
        job = replace(job, stopped=ctrl_c.is_pressed)
        if auto:
            job = cell_choice.choose_cell(job, progress.say)
        fitted = fit_folds(job, workers)
        whole = fit_whole(job, fitted)
    progress.say("standardising residuals, setting limits")
    product = finish(job, fitted, whole)
    refuse_mute(out, checkpoints, product, force)
    with CtrlC(lambda: progress.say(SKIPPING)) as skip:
        stopped = Pressed(ctrl_c, skip)
        progress.say("measuring the memory horizon")
        horizon = horizons(product.network, job.normalised, job.config.seed, stopped=stopped)
        progress.say("writing the run folder and its report")
        ladder = ladder_of(job, product, stopped)
        run_folder.write(out, job, product, horizon, ladder)
        footprint = Footprint.of(room, [fold.memory for fold in fitted if fold.memory is not None])
        write(out / REPORT_FILE, training.render(job, product, horizon, footprint.words).encode())
        if not stopped():
            checkpoint.settle(checkpoints)
    click.echo(summary(out, job, product, horizon, ladder))
    click.echo(f"peak memory: {footprint.words}")
    return stopped()


class Pressed:
    """Whether Ctrl-C was pressed in any of some phases."""

    def __init__(self, *phases: CtrlC) -> None:
        self._phases = phases

    def __call__(self) -> bool:
        return any(phase.is_pressed() for phase in self._phases)


def interrupted_words(checkpoints: Path) -> str:
    """What is kept after Ctrl-C, and how to go on."""
    if not checkpoint.is_interrupted(checkpoints):
        return "stopped before the end of the first epoch; nothing is kept to go on from"
    return (
        f"stopped; {checkpoints} holds what was fitted; the same command with --resume goes on, with --fresh it begins "
        "anew"
    )


def refuse_mute(out: Path, checkpoints: Path, product: Product, force: bool) -> None:
    """RunError when the model could not alarm, unless ``force``; the checkpoints stay."""
    why = why_mute(product.spec.charts, product.limits.limits)
    if why and not force:
        checkpoint.settle(checkpoints)
        raise RunError(
            f"{out}: {why}; {WHY_OFF}: allow more false alarms (--false-alarms), or train on more trips without "
            "faults; --resume --force writes the run folder all the same"
        )


def override(
    config: TrainConfig, cell: str | None, arch: str | None, false_alarms: str | None, seed: int | None
) -> TrainConfig:
    """The configuration with the command line's options in place."""
    changes: dict[str, dict[str, Any]] = {
        "network": {"cell": None if cell == "auto" else cell, "arch": arch},
        "calibration": {"false_alarms": false_alarms},
    }
    if false_alarms and false_alarms.strip().lower() != AUTO:
        parse_budget(false_alarms)
    _ = config.budget  # ConfigError when the file's own cannot be read
    for section, values in changes.items():
        given = {key: value for key, value in values.items() if value is not None}
        config = msgspec.structs.replace(
            config, **{section: msgspec.structs.replace(getattr(config, section), **given)}
        )
    return config if seed is None else msgspec.structs.replace(config, seed=seed)


def read_trips(
    logs: list[Path], map_: Path | None, progress: Progress, options: dict[str, Any], into: Trips
) -> tuple[Mapping, Trips]:
    """The mapping, given or proposed, and every trip under it, added to ``into``; what was dropped is printed.

    ``options``: those of `log_options`.
    """
    mapping = chosen_mapping(logs, given_mapping(map_, **options))
    counts: Counter[str] = Counter()
    bad: list[str] = []

    def hear(text: str) -> None:
        if len(bad) < BAD_ROWS_SHOWN:
            bad.append(text)

    def tell(done: float, text: str) -> None:
        if progress.is_due():
            progress.tell(text, done)

    trips = load_trips(logs, mapping, counts, hear, into, tell)
    for line in bad:
        progress.say(line)
    hours = sum(lengths(values_of(trips))) * mapping.ticks.period_s / 3600.0
    progress.say(f"{len(trips)} trips, {hours:.1f} h, {len(mapping.signals)} signals; dropped: {dropped_words(counts)}")
    return mapping, trips


def check_interrupted(out: Path, checkpoints: Path, *, resume: bool, fresh: bool) -> None:
    """RunError when RUN holds an interrupted training and the command does not say what to do with it."""
    if resume and fresh:
        raise click.UsageError("expected --resume or --fresh, got both")
    if not resume and not fresh and checkpoint.is_interrupted(checkpoints):
        raise RunError(
            f"{out}: holds a training that was interrupted; add --resume to go on with it, or --fresh to delete it and "
            "begin anew"
        )


def prepare_folder(out: Path, checkpoints: Path, resume: bool) -> None:
    """Make the run folder, and delete the checkpoints of an older run unless it is resumed."""
    if resume and not any(checkpoints.glob("fold-*.json")):
        raise RunError(f"{checkpoints}: expected a checkpoint to resume from, got none; train without --resume")
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out}: cannot make the run folder: {error.strerror or error}") from error
    if not resume:
        checkpoint.clear(checkpoints)
    checkpoint.begin(checkpoints)


def summary(out: Path, job: Job, product: Product, horizon: Horizons, ladder: tuple[Rung, ...]) -> str:
    """The last lines that the command prints."""
    budget, period = product.limits.budget, job.period_s
    lines = [
        f"{out}: {product.spec.network.arch} of {product.spec.network.cell}, {product.spec.network.parameters:,} "
        f"weights, {product.fit_words}",
        f"false episodes for a budget of {budget.per_hour:g} an hour: {realised_words(budget)}",
        f"memory horizon: {horizon_words(horizon.memory, period)} through the inputs"
        + (f", {horizon_words(horizon.state, period)} through the state" if horizon.state else ""),
    ]
    lines += ladder_words(product.climb.why, ladder, budget)
    lines += influence_words(product.limits.influence)
    lines += off_lines(product.spec.charts, product.limits.limits)
    return "\n".join([*lines, *warnings(job, product, horizon)])


def warnings(job: Job, product: Product, horizon: Horizons) -> list[str]:
    """A warning when a vanilla RNN forgets sooner than its slowest signals' own past fades."""
    if product.spec.network.cell != "rnn" or not horizon.memory.reached:
        return []
    fading = correlation_time(job.normalised)
    slow = [
        f"{signal.name} ({time * job.period_s:g} s)"
        for signal, time in zip(product.spec.signals, fading, strict=True)
        if time > horizon.memory.lag
    ]
    if not slow:
        return []
    return [
        f"warning: this RNN remembers {horizon.memory.lag * job.period_s:g} s, but the past of these signals matters "
        f"for longer: {', '.join(slow)}; try --cell gru"
    ]

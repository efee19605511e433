"""``tickover retune``: the same network with limits for another truck, season or budget, without torch."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from tickover.commands.ui.files import FILE, WRITABLE
from tickover.commands.ui.options import bus_options, mapping_for
from tickover.commands.ui.words import many
from tickover.core.budget import FORMS, budget_words, parse_budget
from tickover.core.ladder import rung_for, rung_words
from tickover.core.manifest import Budget, Rung
from tickover.core.values import FloatArray
from tickover.errors import ModelError
from tickover.model.detector import Detector
from tickover.model.session import open_bytes, read_model
from tickover_export.charts_off import WHY_OFF, off_lines, why_mute
from tickover_export.retune import Retuned
from tickover_export.run import limits_array, limits_tuple
from tickover_train.calibration.ladder import Climb, climb
from tickover_train.calibration.rescale import rescale
from tickover_train.calibration.scoring import chart_trips
from tickover_train.calibration.trained_limits import limits_at
from tickover_train.calibration.verdicts import raise_limits, read_verdicts
from tickover_train.cleaning.clean import clean, words
from tickover_train.commands.files import LOGS, warn, write
from tickover_train.config import CalibrationConfig
from tickover_train.data import expand, load_trips
from tickover_train.evaluation.rungs import recalls
from tickover_train.pages.words import influence_words, ladder_words, realised_words
from tickover_train.trips import Trip


@click.command()
@click.argument("model", type=FILE)
@click.option(
    "--clean",
    "first",
    type=FILE,
    multiple=True,
    metavar=LOGS,
    help="Trips without known faults: logs or folders of logs. Without them, the limits that MODEL holds for "
    "--false-alarms are taken.",
)
@click.argument("more", type=FILE, nargs=-1, metavar="")
@click.option(
    "--false-alarms",
    metavar="N/DURATION",
    help="False episodes allowed, such as 1/h, 1/10h or 1/week. Default: the rarest that the trips support.",
)
@click.option(
    "--verdicts",
    type=FILE,
    metavar="FILE.jsonl",
    help="Raise the limits of the charts that false alarms came from: what people said (`tickover state --verdicts` "
    "writes it). With --clean, what that costs in recall is said.",
)
@click.option("--force", is_flag=True, help="Write the file though many charts are off, or all of a signal.")
@click.option("--rescale", "rescaled", is_flag=True, help="Set centre and scale of inputs and residuals, too.")
@click.option(
    "--map", "mapping_file", type=FILE, help="Mapping of columns to signals. Default: the one in the model, or by name."
)
@bus_options
@click.option("--out", type=WRITABLE, required=True, help="The model file to write.")
def retune(
    model: Path,
    first: tuple[Path, ...],
    more: tuple[Path, ...],
    false_alarms: str | None,
    verdicts: Path | None,
    force: bool,
    rescaled: bool,
    mapping_file: Path | None,
    out: Path,
    **bus: Any,
) -> None:
    """Set new limits for MODEL from clean trips of another truck or season; the network stays as it is.

    The limits keep the budget of false episodes on trips that had no part in them. --rescale is for a truck whose
    signals lie elsewhere or span more; it needs more trips. Without --clean, MODEL moves to another budget of its own
    ladder (tickover show lists it). With --verdicts limits of charts that raised false alarms go up, at most to twice.
    """
    budget = parse_budget(false_alarms) if false_alarms else None
    data = read_model(model)
    try:
        old = Retuned(data)
    except ModelError as error:
        raise ModelError(f"{model}: {error}") from error
    if verdicts:
        if rescaled or budget:
            raise click.UsageError("expected --verdicts without --rescale and --false-alarms")
        logs = expand([*first, *more]) if first or more else []
        mapping = mapping_for(old.manifest, mapping_file, **bus)
        by_verdicts(model, old, verdicts, load_trips(logs, mapping, Counter(), warn) if logs else [], out, force)
        return
    if not (first or more):
        if budget is None or rescaled:
            raise click.UsageError(f"expected clean trips (--clean), or another budget (--false-alarms {FORMS})")
        move(model, old, budget, out, force)
        return
    mapping = mapping_for(old.manifest, mapping_file, **bus)
    loaded = load_trips(expand([*first, *more]), mapping, Counter(), warn)
    cleaned = clean(loaded, old.manifest.names, old.manifest.tick_period_s)
    trips = cleaned.trips
    for line in words(cleaned.findings):
        click.echo(f"left out: {line}", err=True)
    if rescaled:
        rescale(old, trips)
    climbed = limits_for(old, trips, budget)
    limits = climbed.limits
    refuse_mute(old, limits.limits, out, force, "give more trips without faults, or allow more false alarms")
    ladder = ladder_of(old, climbed, trips)
    write(out, old.finish(limits.limits, limits.budget, ladder=ladder))
    click.echo(summary(limits.budget, out))
    for line in [
        *ladder_words(climbed.why, ladder, limits.budget),
        *influence_words(limits.influence),
        *off_lines(old.manifest.charts, limits.limits),
    ]:
        click.echo(line)


def move(model: Path, old: Retuned, budget: Budget, out: Path, force: bool) -> None:
    """Write the model with the limits that it holds for another budget."""
    try:
        rung = rung_for(old.manifest.ladder, budget)
    except ModelError as error:
        raise ModelError(f"{model}: {error}") from error
    limits = limits_array(rung.limits)
    refuse_mute(old, limits, out, force, "allow more false alarms")
    write(out, old.finish(limits, rung.budget))
    click.echo(f"{out}: limits for {budget_words(rung.budget)}, as {model} holds them: {rung_words(rung)}")
    for line in off_lines(old.manifest.charts, limits):
        click.echo(line)


def by_verdicts(model: Path, old: Retuned, verdicts: Path, trips: Sequence[Trip], out: Path, force: bool) -> None:
    """Write the model with the limits raised that false alarms came from; the ladder stays, so that
    ``retune --false-alarms`` undoes it."""
    charts = old.manifest.charts
    said, others = read_verdicts(verdicts, open_bytes(read_model(model)).digest)
    limits, raised = raise_limits(charts, said)
    if others:
        click.echo(f"{verdicts}: {many(others, 'verdict')} on alerts of other models: left out", err=True)
    if not raised:
        raise ModelError(
            f"{out}: not written: expected a false alarm of {model} whose limit can be raised, got none in "
            f"{many(len(said), 'verdict')}"
        )
    refuse_mute(old, limits, out, force, "take some verdicts back")
    before = limits_array(tuple(chart.limit for chart in charts))
    budget = old.manifest.false_alarms
    write(out, old.finish(limits, budget))
    click.echo(f"{out}: {len(raised)} of {len(charts)} limits raised")
    for one in raised:
        click.echo(f"  {one.chart}: {one.factor:.2f} times, for {many(one.episodes, 'false alarm')}")
    if trips:
        judged = (Detector(open_bytes(old.unlimited())), [trip.values for trip in trips])
        was, now = recalls([judged], [before, limits])
        for kind in was:
            click.echo(f"  recall of {kind}: {was[kind]:.2f} before, {now[kind]:.2f} now")
    else:
        click.echo("  what that costs in recall: give trips without known faults (--clean)")
    undo = f"tickover retune {out} --false-alarms {budget_words(budget)}" if old.manifest.ladder else f"use {model}"
    click.echo(f"  to undo it: {undo}")


def refuse_mute(model: Retuned, limits: FloatArray, out: Path, force: bool, remedy: str) -> None:
    """ModelError when the model could not alarm, unless ``force``."""
    why = why_mute(model.manifest.charts, limits)
    if why and not force:
        raise ModelError(
            f"{out}: not written: {why}; {WHY_OFF}: {remedy} (--false-alarms); --force writes it all the same"
        )


def limits_for(model: Retuned, trips: Sequence[Trip], budget: Budget | None) -> Climb:
    """Limits by cross-validation over the trips, run through the graph itself, for every budget."""
    # Slow means begin far from another truck or season. The trips are driven once before (settled), so that limits are
    # those of a vehicle whose means have arrived: the days until then are few, the days after are not.
    charts = chart_trips(Detector(open_bytes(model.unlimited())), trips, settled=True)
    manifest = model.manifest
    floor = CalibrationConfig().floor
    parts = np.array([chart.share for chart in manifest.charts], np.float32)
    period_s, trained = manifest.tick_period_s, partial(limits_at, manifest)
    return climb(charts, budget, manifest.episodes, model.bounds, period_s, floor, parts, trained)


def ladder_of(model: Retuned, climbed: Climb, trips: Sequence[Trip]) -> tuple[Rung, ...]:
    """The ladder for the manifest, with what its limits detect in the trips."""
    judged = (Detector(open_bytes(model.unlimited())), [trip.values for trip in trips])
    found = recalls([judged], [rung.limits for rung in climbed.rungs])
    return tuple(
        Rung(budget=rung.budget, limits=limits_tuple(rung.limits), recall=recall)
        for rung, recall in zip(climbed.rungs, found, strict=True)
    )


def summary(budget: Budget, out: Path) -> str:
    """The budget, and the realised rates with their intervals."""
    return f"{out}: limits for {budget.per_hour:.3g} false alarms an hour: {realised_words(budget)}"

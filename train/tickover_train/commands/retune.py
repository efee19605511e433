"""``tickover retune``: the same network with limits for another truck or season, without torch."""

from collections import Counter
from pathlib import Path
from typing import Any

import click

from tickover.commands.ui.options import FILE, WRITABLE, bus_options, mapping_for
from tickover.core.manifest import Budget
from tickover.errors import ModelError
from tickover.model.detector import Detector
from tickover.model.session import open_bytes, read_model
from tickover_export.charts_off import WHY_OFF, off_lines, why_mute
from tickover_export.retune import Retuned
from tickover_train.calibration.limits import Limits, calibrate
from tickover_train.calibration.rescale import rescale
from tickover_train.calibration.scoring import chart_trips
from tickover_train.cleaning.clean import clean, words
from tickover_train.commands.files import LOGS, warn, write
from tickover_train.config import CalibrationConfig, parse_budget
from tickover_train.data import Trip, expand, load_trips
from tickover_train.pages.words import influence_words, realised_words


@click.command()
@click.argument("model", type=FILE)
@click.option(
    "--clean",
    "first",
    type=FILE,
    multiple=True,
    required=True,
    metavar=LOGS,
    help="Trips without known faults: logs or folders of logs.",
)
@click.argument("more", type=FILE, nargs=-1, metavar="")
@click.option(
    "--false-alarms",
    default="1/1h",
    show_default=True,
    metavar="N/DURATION",
    help="False episodes allowed, such as 2/8h.",
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
    false_alarms: str,
    force: bool,
    rescaled: bool,
    mapping_file: Path | None,
    out: Path,
    **bus: Any,
) -> None:
    """Set new limits for MODEL from clean trips of another truck or season; the network stays as it is.

    The limits keep the budget of false episodes on trips that had no part in them. --rescale is for a truck whose
    signals lie elsewhere or span more; it needs more trips.
    """
    budget = parse_budget(false_alarms)
    data = read_model(model)
    try:
        old = Retuned(data)
    except ModelError as error:
        raise ModelError(f"{model}: {error}") from error
    mapping = mapping_for(old.manifest, mapping_file, **bus)
    loaded = load_trips(expand([*first, *more]), mapping, Counter(), warn)
    cleaned = clean(loaded, old.manifest.names, old.manifest.tick_period_s)
    trips = cleaned.trips
    for line in words(cleaned.findings):
        click.echo(f"left out: {line}", err=True)
    if rescaled:
        rescale(old, trips)
    limits = limits_for(old, trips, budget)
    why = why_mute(old.manifest.charts, limits.limits)
    if why and not force:
        raise ModelError(
            f"{out}: not written: {why}; {WHY_OFF}: give more trips without faults, or allow more false alarms "
            "(--false-alarms); --force writes it all the same"
        )
    write(out, old.finish(limits.limits, limits.budget))
    click.echo(summary(limits.budget, out))
    for line in [*influence_words(limits.influence), *off_lines(old.manifest.charts, limits.limits)]:
        click.echo(line)


def limits_for(model: Retuned, trips: list[Trip], budget: Budget) -> Limits:
    """Limits by cross-validation over the trips, run through the graph itself."""
    # Slow means begin far from another truck or season. The trips are driven once before (settled), so that limits are
    # those of a vehicle whose means have arrived: the days until then are few, the days after are not.
    charts = chart_trips(Detector(open_bytes(model.unlimited())), trips, settled=True)
    manifest = model.manifest
    floor = CalibrationConfig().floor
    return calibrate(charts, budget, manifest.episodes, model.bounds, manifest.tick_period_s, floor)


def summary(budget: Budget, out: Path) -> str:
    """The budget, and the realised rates with their intervals."""
    return f"{out}: limits for {budget.per_hour:.3g} false alarms an hour: {realised_words(budget)}"

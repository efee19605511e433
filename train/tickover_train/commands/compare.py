"""``tickover compare``: cells and architectures side by side on the same trips."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tickover.commands.ui.files import FILE, WRITABLE
from tickover.commands.ui.terminal import Progress
from tickover.core.manifest import ARCHITECTURES, CELLS
from tickover.logs.mapping import Mapping
from tickover.logs.reading import load_mapping
from tickover_train.commands.files import LOGS, chosen_mapping, warn, write
from tickover_train.config import TrainConfig, load_config
from tickover_train.data import expand, load_trips
from tickover_train.pages.comparison import render
from tickover_train.pages.words import number, percent

if TYPE_CHECKING:
    from tickover_train.comparison import Comparison, Entry
    from tickover_train.evaluation.judge import Verdict

EPOCHS = 8
"""Enough to compare; ``tickover train`` goes further."""


@click.command()
@click.argument("logs", type=FILE, nargs=-1, required=True, metavar=LOGS)
@click.option("--config", "config_file", type=FILE, help="Training configuration (TOML) that all of them use.")
@click.option("--map", "mapping_file", type=FILE, help="Mapping file. Default: as inspect proposes.")
@click.option("--cell", "cells", multiple=True, type=click.Choice(CELLS), help="Train only this cell (repeatable).")
@click.option(
    "--arch",
    "archs",
    multiple=True,
    type=click.Choice(ARCHITECTURES),
    help="Train only this architecture (repeatable).",
)
@click.option("--epochs", type=click.IntRange(1), default=EPOCHS, show_default=True, help="Epochs at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides weights, splits and faults.")
@click.option("--json", "json_file", type=WRITABLE, help="Write all figures as JSON.")
@click.option("--page", type=WRITABLE, help="Write the figures as an HTML page.")
def compare(
    logs: tuple[Path, ...],
    config_file: Path | None,
    mapping_file: Path | None,
    cells: tuple[str, ...],
    archs: tuple[str, ...],
    epochs: int,
    seed: int,
    json_file: Path | None,
    page: Path | None,
) -> None:
    """Train every cell in every architecture on three quarters of the trips, and evaluate them on the rest.

    With one seed and few epochs, differences of a few percent mean nothing. Use `tickover train` for the model itself.
    """
    from tickover_train.comparison import compare as run

    paths = expand(logs)
    mapping = chosen_mapping(paths, load_mapping(mapping_file, partial=True) if mapping_file else Mapping())
    trips = load_trips(paths, mapping, Counter(), warn)
    pairs = [(c, a) for a in ARCHITECTURES for c in CELLS if c in (cells or CELLS) and a in (archs or ARCHITECTURES)]
    config = small(load_config(config_file), epochs, seed)
    progress = Progress(logged=True)
    found = run(config, mapping, trips, pairs, progress.tell)
    progress.clear()
    click.echo(table(found))
    if json_file:
        write(json_file, msgspec.json.format(msgspec.json.encode(found)))
    if page:
        write(page, render(found, len(trips), epochs, seed).encode())
        click.echo(f"page: {page}")


def small(config: TrainConfig, epochs: int, seed: int) -> TrainConfig:
    """The configuration with few epochs and two folds."""
    return msgspec.structs.replace(
        config,
        seed=seed,
        fit=msgspec.structs.replace(config.fit, epochs=epochs),
        calibration=msgspec.structs.replace(config.calibration, folds=2),
    )


def table(found: "Comparison") -> str:
    """The entries as text, in the order in which they ran, then the baseline and the floors."""
    lines = [
        f"{'':<20}{'at limit':>10}{'at rate':>9}{'false alarms/h':>16}{'in alarm':>10}{'VUS-PR':>8}{'memory':>9}"
        f"{'weights':>9}{'tick':>9}{'training':>10}"
    ]
    for one in found.entries:
        lines.append(
            f"{one.cell + ' ' + one.arch:<20}{_shares(one)}"
            f"{one.horizon_s:>7.0f} s{one.parameters:>9}{one.tick_us:>6.0f} us{one.train_s:>8.0f} s"
        )
    lines += [f"{one.name:<20}{_shares(one)}" for one in found.beside]
    remarks = [
        f"recall on {found.hours:.1f} h that no network was trained on; at limit: with the limits that training set,",
        "at rate: at the level that leaves the budgeted rate of false alarms on those trips",
    ]
    return "\n".join([*lines, "", *remarks])


def _shares(one: "Entry | Verdict") -> str:
    return (
        f"{percent(one.recall_at_limit):>10}{percent(one.recall_at_rate):>9}{number(one.false_alarms.per_hour):>16}"
        f"{percent(one.in_alarm):>10}{number(one.vus_pr):>8}"
    )

"""``tickover inspect``: what is in a log (on stderr) and the mapping it would take (TOML, on stdout)."""

from pathlib import Path
from typing import Any

import click
import msgspec

from tickover.commands.ui.bus_tables import bus_lines, plain
from tickover.commands.ui.files import FILE
from tickover.commands.ui.options import given_mapping, log_options
from tickover.commands.ui.terminal import Progress
from tickover.commands.ui.words import aligned, many
from tickover.logs.bus_proposal import nothing_to_learn
from tickover.logs.inspection import Findings, look
from tickover.logs.mapping import Mapping
from tickover.logs.profile import SignalStatistics

HEADINGS = ("signal", "unit", "missing", "low", "median", "high", "plausible", "outside", "new value", "outliers")


@click.command()
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=FILE)
@click.option(
    "--map",
    "map_file",
    type=FILE,
    metavar="FILE",
    help="Start from this mapping instead of guessing one; one without signals is completed.",
)
@log_options
@click.option("--json", "as_json", is_flag=True, help="Write findings and mapping as one JSON object to stdout.")
def inspect(logs: tuple[Path, ...], map_file: Path | None, as_json: bool, **options: Any) -> None:
    """Show what the LOGs hold and propose a mapping: columns, units, plausible ranges, tick period.

    A LOG is a .csv, .tsv, .txt, .jsonl, .ndjson or .parquet file, or a recording of a CAN bus: .log, .candump, .asc,
    .trc, .blf, .mf4. A text file may be compressed (.gz).

    The findings go to standard error and the mapping to standard output: `tickover inspect trip.csv > map.toml`
    saves it, and the option --map of the other commands reads it.
    """
    given = given_mapping(map_file, **options)
    progress = Progress(logged=False)

    def tell(frames: int, name: str) -> None:
        if progress.is_due():
            progress.tell(f"{name}: {frames:,} frames, {frames / progress.elapsed_s:,.0f}/s")

    mapping, findings = look(logs, given, tell=tell)
    progress.clear()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(plain(mapping, findings))).decode())
        return
    for line in describe(mapping, findings):
        click.echo(line, err=True)
    if mapping.signals:
        click.echo(mapping.to_toml(), nl=False)
    elif findings.bus:
        click.echo(f"no mapping: {nothing_to_learn(str(logs[0]), findings.bus)}", err=True)


def describe(mapping: Mapping, findings: Findings) -> list[str]:
    """The findings as lines of text."""
    if findings.bus:
        return [*bus_lines(mapping, findings.bus, findings), "", *(f"- {note}" for note in findings.notes)]
    without_column = "a fixed rate" if findings.time_kind == "rate" else "the log's own"
    time = f"column '{findings.time_column}', {findings.time_kind}" if findings.time_column else without_column
    return [
        f"{many(findings.rows, 'row')}, {many(findings.bad_rows, 'bad row')}, {findings.seconds / 3600:.2f} h, "
        f"usually a row every {findings.row_period_s:.3g} s",
        f"time: {time}",
        "",
        *aligned([HEADINGS, *(_row(mapping, name, seen) for name, seen in findings.signals.items())]),
        "",
        *(f"- {note}" for note in findings.notes),
    ]


def _row(mapping: Mapping, name: str, seen: SignalStatistics) -> tuple[str, ...]:
    column = mapping.signals.get(name)
    return (
        name,
        column.unit if column else "",
        f"{seen.missing:.1%}",
        f"{seen.low:.4g}",
        f"{seen.median:.4g}",
        f"{seen.high:.4g}",
        f"{column.low:g} .. {column.high:g}" if column else "left out",
        str(seen.outside),
        f"{seen.refresh_s:.2g} s",
        str(seen.outliers),
    )

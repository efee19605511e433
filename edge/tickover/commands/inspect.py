"""``tickover inspect``: what is in a log (on stderr) and the mapping it would take (TOML, on stdout)."""

from pathlib import Path

import click

from tickover.commands.ui.options import FILE
from tickover.commands.ui.words import aligned, many
from tickover.logs.inspection import Findings, propose_mapping
from tickover.logs.mapping import Mapping
from tickover.logs.profile import SignalStatistics
from tickover.logs.reading import load_mapping

HEADINGS = ("signal", "unit", "missing", "low", "median", "high", "plausible", "outside", "new value", "outliers")


@click.command()
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=FILE)
@click.option("--map", "map_file", type=FILE, metavar="FILE", help="Start from this mapping instead of guessing one.")
def inspect(logs: tuple[Path, ...], map_file: Path | None) -> None:
    """Show what the LOGs hold and propose a mapping: columns, units, plausible ranges, tick period.

    A LOG is a .csv, .tsv, .txt, .jsonl, .ndjson or .parquet file; a text file may be compressed (.gz).

    The findings go to standard error and the mapping to standard output: `tickover inspect trip.csv > map.toml`
    saves it, and the option --map of the other commands reads it.
    """
    mapping, findings = propose_mapping(logs, load_mapping(map_file) if map_file else None)
    for line in describe(mapping, findings):
        click.echo(line, err=True)
    click.echo(mapping.to_toml(), nl=False)


def describe(mapping: Mapping, findings: Findings) -> list[str]:
    """The findings as lines of text."""
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

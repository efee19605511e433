"""``tickover doctor``: try everything that the daemon will need, and say what to fix."""

import sys
from collections import Counter
from pathlib import Path
from typing import Final

import click

from tickover.commands.ui.options import FILE
from tickover.daemon.config import load_config
from tickover.doctor import State, examine

COLOURS: Final = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}
NAME_WIDTH: Final = 16


@click.command()
@click.option("--config", "file", type=FILE, metavar="FILE", required=True, help="The daemon's configuration.")
def doctor(file: Path) -> None:
    """Try what the daemon will need, on this device and at the broker, and say what to fix.

    Run it as the daemon's user (sudo -u tickover). It takes some seconds, uses client ids of its own beside a running
    daemon, and publishes under <base>/v1/<node>/doctor only. Exit code 1 when anything fails.
    """
    counts: Counter[State] = Counter()
    for check in examine(load_config(file)):
        counts[check.state] += 1
        click.echo(f"{click.style(f'{check.state:<5}', COLOURS[check.state])} {check.name:<{NAME_WIDTH}} {check.seen}")
        if check.fix:
            click.echo(f"{'':5} {'':{NAME_WIDTH}} -> {check.fix}")
    click.echo(", ".join(f"{counts[state]} {state}" for state in State))
    if counts[State.FAIL]:
        sys.exit(1)

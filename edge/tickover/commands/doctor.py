"""``tickover doctor``: check everything that the daemon needs, and say what to fix."""

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
@click.option(
    "--config", "file", type=FILE, metavar="FILE", required=True, help="Configuration file of the daemon (TOML)."
)
def doctor(file: Path) -> None:
    """Check what the daemon needs on this device and at the broker, and say what to fix.

    Run it as the daemon's user (sudo -u tickover). It takes a few seconds. It may run beside the daemon: it uses other
    client ids and publishes under <base>/v1/<node>/doctor only. Exit code 1 when a check fails.
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

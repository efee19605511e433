"""``tickover doctor``: check everything that the daemon needs, and say what to fix."""

import sys
from collections import Counter
from pathlib import Path
from typing import Final

import click
from msgspec.structs import replace

from tickover.commands.ui.files import FILE
from tickover.daemon.config import Config, load_config
from tickover.doctor import State, examine

COLOURS: Final = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}
NAME_WIDTH: Final = 16


@click.command()
@click.option(
    "--config", "file", type=FILE, metavar="FILE", required=True, help="Configuration file of the daemon (TOML)."
)
@click.option("--cert", "certificate", type=FILE, help="Client certificate of doctor's own (PEM).")
@click.option("--key", type=FILE, help="Private key of --cert (PEM).")
def doctor(file: Path, certificate: Path | None, key: Path | None) -> None:
    """Check what the daemon needs on this device and at the broker, and say what to fix.

    Run it as the daemon's user (sudo -u tickover). It takes a few seconds. It may run beside the daemon: it uses other
    client ids and publishes under <base>/v1/<node>/doctor only. A broker that takes the certificate's name for the
    client id, as deploy/mosquitto does, needs --cert and --key for that. Exit code 1 when a check fails.
    """
    if bool(certificate) != bool(key):
        raise click.UsageError("expected --cert and --key together, got one of them")
    config = load_config(file)
    if certificate:
        config = _with_certificate(config, str(certificate), str(key))
    counts: Counter[State] = Counter()
    for check in examine(config, own=bool(certificate)):
        counts[check.state] += 1
        click.echo(f"{click.style(f'{check.state:<5}', COLOURS[check.state])} {check.name:<{NAME_WIDTH}} {check.seen}")
        if check.fix:
            click.echo(f"{'':5} {'':{NAME_WIDTH}} -> {check.fix}")
    click.echo(", ".join(f"{counts[state]} {state}" for state in State))
    if counts[State.FAIL]:
        sys.exit(1)


def _with_certificate(config: Config, certificate: str, key: str) -> Config:
    """The configuration with doctor's own certificate in place of the daemon's."""
    if config.broker.tls is None:
        raise click.UsageError("--cert: expected a configuration with [broker.tls], got one without")
    tls = replace(config.broker.tls, certificate=certificate, key=key)
    return replace(config, broker=replace(config.broker, tls=tls))

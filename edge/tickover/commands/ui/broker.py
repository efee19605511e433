"""The options that all commands with a broker share, and how such a command is stopped."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from tickover.commands.ui.options import FILE, READABLE
from tickover.daemon.config import load_config
from tickover.transports.mqtt.connection import (
    PORT,
    TLS_PORT,
    Connection,
    configured,
)
from tickover.transports.mqtt.settings import ENV_PASSWORD

SIGNALS_TOPIC: Final = "trucks/{vehicle}/signals"
"""Default topic of a truck's readings; the sample configuration subscribes to it."""
BASE_TOPIC: Final = "tickover"
"""Default first level of the daemon's own topics."""
ADDRESS: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\s:\[\]/]+)(:(?P<port>[0-9]{1,5}))?")

OPTIONS: Final = (
    click.option("--broker", metavar="HOST[:PORT]", help="Broker to connect to. Default port: 1883, with TLS 8883."),
    click.option("--config", type=FILE, metavar="FILE", help="Use the broker of this daemon configuration instead."),
    click.option(
        "--ca", type=READABLE, help="Certificate authority (PEM) that signed the broker's certificate; turns on TLS."
    ),
    click.option("--cert", "certificate", type=READABLE, help="Client certificate (PEM); turns on TLS."),
    click.option("--key", type=READABLE, help="Private key of the client certificate (PEM)."),
    click.option("--username", help=f"User name. The password comes from --password-file or ${ENV_PASSWORD}."),
    click.option("--password-file", type=READABLE, help="File that holds the password."),
    click.option("--plaintext", is_flag=True, help="Allow a broker on another machine without TLS."),
)


def broker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; ``connection_of`` makes a connection of them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def connection_of(
    *,
    broker: str | None,
    config: Path | None,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    username: str | None,
    password_file: Path | None,
    plaintext: bool,
) -> Connection:
    """The connection that the options describe; UsageError names the option that is wrong."""
    if (broker is None) == (config is None):
        raise click.UsageError(
            f"expected either --broker HOST:PORT or --config FILE, got {'both' if broker else 'neither'}"
        )
    if config is not None:
        return configured(load_config(config).broker)
    if key and not certificate:
        raise click.UsageError("--key: expected --cert with it, got --key alone")
    host, port = split_address(str(broker), TLS_PORT if ca or certificate else PORT)
    tls = port == TLS_PORT or ca is not None or certificate is not None
    password = password_file.read_text().strip() if password_file else os.environ.get(ENV_PASSWORD)
    return Connection(
        host=host,
        port=port,
        username=username,
        password=password if username else None,
        tls=tls,
        ca=ca,
        certificate=certificate,
        key=key,
        plaintext=plaintext,
    )


def split_address(text: str, port: int) -> tuple[str, int]:
    """Host and port of ``HOST``, ``HOST:PORT``, ``[IPV6]`` or ``[IPV6]:PORT``; ``port`` when none is named."""
    match = ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"] or port) < 65536:
        raise click.UsageError(f"--broker: expected HOST, HOST:PORT or [IPV6]:PORT, got {text!r}")
    return match["host"].strip("[]"), int(match["port"] or port)


def stop_like_ctrl_c() -> None:
    """Let SIGTERM end the command as Ctrl-C does, so that files are closed and counts are printed."""

    def stop(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)

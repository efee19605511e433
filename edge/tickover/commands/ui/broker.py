"""The options that all commands with a broker share, and how such a command is stopped."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, get_args

import click
from msgspec.structs import replace

from tickover.commands.ui.files import FILE, READABLE
from tickover.daemon.config import load_config
from tickover.transports.mqtt.address import PORT, TLS_PORT, WEBSOCKET_PATH, Address, read_address
from tickover.transports.mqtt.connection import Connection, configured
from tickover.transports.mqtt.settings import ENV_PASSWORD, Protocol

SIGNALS_TOPIC: Final = "trucks/{vehicle}/signals"
"""Default topic of a truck's readings; the sample configuration subscribes to it."""
BASE_TOPIC: Final = "tickover"
"""Default first level of the daemon's own topics."""

OPTIONS: Final = (
    click.option(
        "--broker",
        metavar="HOST[:PORT]",
        help="Broker to connect to, or a URL: mqtt://, mqtts://, ws://, wss://. Default port: 1883, with TLS 8883.",
    ),
    click.option("--config", type=FILE, metavar="FILE", help="Use the broker of this daemon configuration instead."),
    click.option(
        "--ca", type=READABLE, help="Certificate authority (PEM) that signed the broker's certificate; turns on TLS."
    ),
    click.option("--cert", "certificate", type=READABLE, help="Client certificate (PEM); turns on TLS."),
    click.option("--key", type=READABLE, help="Private key of the client certificate (PEM)."),
    click.option("--username", help=f"User name. The password comes from --password-file or ${ENV_PASSWORD}."),
    click.option("--password-file", type=READABLE, help="File that holds the password."),
    click.option(
        "--protocol",
        type=click.Choice(get_args(Protocol)),
        help="Version of MQTT. Default: auto (5, and 3.1.1 with a broker that does not speak it), or as in --config.",
    ),
    click.option("--plaintext", is_flag=True, help="Allow a broker on another machine without TLS."),
)


def broker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; ``connection_of`` makes a connection of them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


base_option: Final = click.option(
    "--base", metavar="TOPIC", help=f"First level of the daemon's topics. Default: {BASE_TOPIC}, or as in --config."
)


def base_of(base: str | None, config: Path | None) -> str:
    """The first level of the daemon's topics: what was asked for, else as configured, else the default."""
    return base or (load_config(config).out.base if config else BASE_TOPIC)


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
    protocol: Protocol | None = None,
) -> Connection:
    """The connection that the options describe; UsageError names the option that is wrong."""
    if (broker is None) == (config is None):
        raise click.UsageError(
            f"expected either --broker HOST:PORT or --config FILE, got {'both' if broker else 'neither'}"
        )
    if config is not None:
        connection = configured(load_config(config).broker)
        return replace(connection, protocol=protocol) if protocol else connection
    if key and not certificate:
        raise click.UsageError("--key: expected --cert with it, got --key alone")
    address = _address(str(broker))
    tls = bool(ca or certificate or address.port == TLS_PORT or (address.kind and address.kind.tls))
    password = password_file.read_text().strip() if password_file else os.environ.get(ENV_PASSWORD)
    return Connection(
        host=address.host,
        port=address.port or (address.kind.port if address.kind else TLS_PORT if tls else PORT),
        username=username,
        password=password if username else None,
        tls=tls,
        ca=ca,
        certificate=certificate,
        key=key,
        plaintext=plaintext,
        protocol=protocol or "auto",
        transport="websockets" if address.kind and address.kind.websockets else "tcp",
        path=address.path or WEBSOCKET_PATH,
    )


def _address(text: str) -> Address:
    try:
        return read_address(text)
    except ValueError as error:
        raise click.UsageError(f"--broker: {error}") from None


def stop_like_ctrl_c() -> None:
    """Let SIGTERM end the command as Ctrl-C does, so that files are closed and counts are printed."""

    def stop(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)

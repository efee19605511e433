"""``tickover web``: the page of a fleet."""

import contextlib
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from tickover.commands.ui.broker import base_of, base_option, broker_options, connection_of, stop_like_ctrl_c
from tickover.commands.ui.files import FILE, READABLE
from tickover.errors import ConfigError
from tickover.storage.files import read_text
from tickover.transports.mqtt.client import MqttClient

PORT: Final = 8080
SESSION_S: Final = 7 * 86_400
"""How long the broker keeps alerts for a page that is not running."""
SILENT_S: Final = 120.0
LONGEST_TOKEN: Final = 4096
SHORTEST_TOKEN: Final = 16
IN_FLIGHT: Final = 500
HEADER: Final = 4096
"""Room for topic and properties of the largest message that is read."""


@click.command()
@broker_options
@base_option
@click.option("--port", type=click.IntRange(1, 65_535), default=PORT, show_default=True, help="Port of the page.")
@click.option(
    "--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address of the page; 0.0.0.0: all."
)
@click.option(
    "--state",
    type=FILE,
    metavar="FOLDER",
    help="Where the history is kept. Default: a folder for each broker under ~/.local/state/tickover/web.",
)
@click.option(
    "--silent-after",
    type=click.FloatRange(1, 86_400),
    default=SILENT_S,
    show_default=True,
    metavar="SECONDS",
    help="A truck without new readings for this long is shown as silent.",
)
@click.option("--hooks", type=FILE, metavar="FILE", help="Hand alerts on as this file (TOML) says: docs/web.md.")
@click.option("--token-file", type=READABLE, help="File with the token that the page asks for.")
@click.option("--tls-cert", type=READABLE, help="The page's own certificate (PEM): https.")
@click.option("--tls-key", type=READABLE, help="Its private key (PEM).")
@click.option("--client-ca", type=READABLE, help="Ask browsers for a certificate that this authority (PEM) signed.")
@click.option("--plaintext-web", is_flag=True, help="Allow a page for other machines without TLS.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="Answer to this host name too (a proxy's).")
def web(
    base: str | None,
    port: int,
    listen: str,
    state: Path | None,
    silent_after: float,
    hooks: Path | None,
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    plaintext_web: bool,
    names: tuple[str, ...],
    **broker: Any,
) -> None:
    """Serve the page of a fleet: every truck, its episodes, and what people say of them; until Ctrl-C.

    It subscribes to what daemons publish and keeps a bounded history. Alerts that are published while it is not running
    are kept by the broker for a week.
    """
    connection = connection_of(**broker)
    base = base_of(base, broker["config"])
    token = _token(token_file) if token_file else ""
    # What was asked for is checked before the extra is: a wrong file is told wherever the command runs.
    from tickover.storage.history import History
    from tickover.web.desk import Desk
    from tickover.web.fleet import Fleet
    from tickover.web.hooks.config import load_hooks
    from tickover.web.hooks.home_assistant import HomeAssistant
    from tickover.web.hooks.registry import HOME_ASSISTANT, deliveries
    from tickover.web.listener import Listener
    from tickover.web.messages import LARGEST
    from tickover.web.server import Front, serve

    front = Front(listen, port, token, tls_cert, tls_key, client_ca, plaintext_web, names)
    front.check()
    configs = load_hooks(hooks) if hooks else ()
    folder = state or _folder(connection.address)
    history = History(folder)
    try:
        outlets = deliveries(configs, history)
        desk = Desk(history, base, Fleet(silent_after), outlets)
        name = _client_id(history)

        def connect() -> MqttClient:
            return MqttClient(
                connection,
                client_id=name,
                session_s=SESSION_S,
                acknowledge=False,
                receive_maximum=IN_FLIGHT,
                max_packet=LARGEST + HEADER,
            )

        stop_like_ctrl_c()
        listener = Listener(desk, connect, connection.address)
        homes = [HomeAssistant(one, desk, listener.publish) for one in configs if one.kind == HOME_ASSISTANT]
        with running([*outlets, *homes]):
            serve(desk, listener, front, lambda: _say(front, connection.address, folder))
    finally:
        history.close()


@contextlib.contextmanager
def running(parts: Sequence[Any]) -> Iterator[None]:
    """Start them, and stop them in the end."""
    for part in parts:
        part.start()
    try:
        yield
    finally:
        for part in parts:
            part.stop()


def _say(front: Any, broker: str, folder: Path) -> None:
    click.echo(f"{front.url}  (broker {broker}, history in {folder}, Ctrl-C to stop)")
    sys.stdout.flush()


def _token(path: Path) -> str:
    """The token in a file; ConfigError when it is short enough to guess."""
    try:
        token = read_text(path, LONGEST_TOKEN).strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--token-file: {path} cannot be read: {error}") from error
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"--token-file: {path}: expected at least {SHORTEST_TOKEN} characters, got {len(token)}; make one: "
            f"openssl rand -hex 24 > {path}"
        )
    return token


def _folder(address: str) -> Path:
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "tickover" / "web" / re.sub(r"[^A-Za-z0-9.-]", "_", address)


def _client_id(history: Any) -> str:
    """This history's own name at the broker, under which the broker keeps what it has not read yet."""
    name = str(history.meta("client_id"))
    if not name:
        name = f"tickover-web-{secrets.token_hex(4)}"
        history.set_meta("client_id", name)
    return name

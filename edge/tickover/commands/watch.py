"""``tickover watch``: the alerts of one truck or a fleet as they arrive."""

import contextlib
import os
import sys
import time
from typing import Any, Final

import click

from tickover.commands.ui.broker import (
    base_of,
    base_option,
    broker_options,
    connection_of,
    stop_like_ctrl_c,
)
from tickover.host.clock import now_us
from tickover.jobs.fleet_view import Board
from tickover.transports.mqtt.client import MqttClient
from tickover.web.fleet import Fleet
from tickover.web.messages import LARGEST, LeftOutError, alert_of, is_notice, place_of
from tickover.web.truck import urgency

RIVAL: Final = (
    "another client with the same certificate, user or client id is connected: they cut each other off; end the other, "
    "or give each person a certificate of their own"
)
WAIT_S: Final = 0.25
"""How long to wait for a message before the view is drawn again."""
RENEW_S: Final = 0.25
"""With many messages: how often the view is drawn again."""
TOPICS: Final = ("alert/+", "alarm/+", "status")
OF_TRUCKS: Final = ("health", "score")
"""What the list of trucks is made of, in a terminal."""


@click.command()
@broker_options
@click.option("--vehicle", default="+", metavar="NAME", help="Show only this truck. Default: all.")
@base_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines, also in a terminal.")
def watch(vehicle: str, base: str | None, as_json: bool, **broker: Any) -> None:
    """Show the alerts of one truck or a fleet as they arrive, until Ctrl-C.

    In a terminal: open episodes and trucks (state, age of the last reading, lag), the worst first, and recent alerts
    (needs tickover[watch]). In a pipe: JSON Lines, each new alert and notice once, as it was published.
    """
    base = base_of(base, broker["config"])
    board = Board(base)
    stop_like_ctrl_c()
    connection = connection_of(**broker)
    view = None if as_json or not sys.stdout.isatty() else _Screen(board, connection.address, base)
    with MqttClient(connection, max_packet=2 * LARGEST) as client:
        for topic in (*TOPICS, *(OF_TRUCKS if view else ())):
            client.subscribe(f"{base}/v1/{vehicle}/{topic}")
        try:
            if view:
                view.run(client)
            else:
                _print_lines(client, board)
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:
            # The reader is gone: Python flushes standard output at exit, which would fail once more with a traceback.
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    _say_counts(board)


def _print_lines(client: MqttClient, board: Board) -> None:
    """Each new alert or notice as it was published, one per line (JSON has line breaks between tokens only)."""
    said = False
    while True:
        if client.rivalled and not said:
            said = True
            click.echo(RIVAL, err=True)
        message = client.receive(WAIT_S)
        if message is not None and board.take(message.topic, message.payload):
            sys.stdout.buffer.write(message.payload.replace(b"\n", b" ") + b"\n")
            sys.stdout.buffer.flush()


class _Screen:
    """The live view; made before connecting, so that a missing package is reported first."""

    def __init__(self, board: Board, where: str, base: str) -> None:
        from rich.console import Console
        from rich.live import Live

        from tickover.commands.ui.fleet_table import render

        self._board, self._trucks = board, Fleet()
        self._where, self._levels = where, len(base.split("/")) + 1
        self._was_away = True
        self._console = Console()
        self._render = render
        self._live = Live(console=self._console, auto_refresh=False, screen=True)

    def run(self, client: MqttClient) -> None:
        """Until it is interrupted; the last view stays in the terminal."""
        renewed = 0.0
        try:
            with self._live:
                while True:
                    message = client.receive(WAIT_S)
                    if message is not None:
                        self._take(message.topic, message.payload, client.connected)
                    now = time.monotonic()
                    if message is None or now - renewed >= RENEW_S:
                        renewed = now
                        if client.rivalled and RIVAL not in self._where:
                            self._where += f" ({RIVAL})"
                        self._live.update(self._view(client.connected), refresh=True)
        finally:
            self._console.print(self._view(client.connected))

    def _take(self, topic: str, payload: bytes, connected: bool) -> None:
        self._board.take(topic, payload)
        with contextlib.suppress(LeftOutError):  # the board counts what is no alert
            place = place_of(topic, self._levels)
            if place.kind == "alert" and not is_notice(payload):
                self._trucks.alert(alert_of(place.vehicle, payload, 0)[0])
            elif place.kind == "alarm" and not payload:
                self._trucks.cleared(place)
            elif place.kind == "alarm" and not is_notice(payload):
                self._trucks.alert(alert_of(place.vehicle, payload, 0)[0])
            else:
                self._trucks.take(place, payload, now_us())

    def _view(self, connected: bool) -> Any:
        now = now_us()
        if not connected:
            self._was_away = True
        elif self._was_away:
            self._was_away = False
            self._trucks.connected(now)
        if connected:
            self._trucks.sweep(now)
        trucks = sorted(self._trucks.trucks.values(), key=urgency)
        return self._render(self._board, self._where, connected, self._console.height, trucks, now)


def _say_counts(board: Board) -> None:
    for name in ("duplicates", "not_an_alert", "not_shown"):
        if board.counts[name]:
            click.echo(f"{name.replace('_', ' ')}: {board.counts[name]:,}", err=True)

"""MQTT in WebSockets, by the daemon's link and by the client of the commands, against a real Mosquitto."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import MOSQUITTO, Broker, free_port
from edge.transports.mqtt.test_link import Tap, payloads, send
from peers import tickover
from tickover.transports.base import Connected
from tickover.transports.mqtt.settings import Broker as Settings


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Broker, int]]:
    """A broker with a plain port, and the port where it speaks WebSockets."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    port = free_port()
    with Broker(tmp_path / "broker", f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets") as one:
        yield one, port


def test_the_link_receives_and_publishes(both: tuple[Broker, int]) -> None:
    broker, port = both
    tap = Tap(Settings(client_id="daemon", port=port, transport="websockets")).ready()
    send(broker, 300)
    tap.until(lambda: len(payloads(tap)) == 300, "all messages")
    assert payloads(tap) == list(range(300))
    assert tap.of(Connected)[0].note == ""
    tap.link.stop(2)


def test_a_command_takes_the_url(both: tuple[Broker, int]) -> None:
    _, port = both
    done = tickover("simulate", "--broker", f"ws://127.0.0.1:{port}/mqtt", "--count", "20", "--speed", "100")
    assert done.returncode == 0, done.stderr
    assert "20 messages acknowledged" in done.stderr

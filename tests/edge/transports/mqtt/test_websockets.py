"""MQTT in WebSockets, by the daemon's link and by the client of the commands, against a real Mosquitto."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import MOSQUITTO, Broker, free_port
from edge.transports.mqtt.test_link import Tap, payloads, send
from paths import ROOT
from peers import tickover
from tickover.transports.base import Connected
from tickover.transports.mqtt.settings import Broker as Settings
from tickover.transports.mqtt.settings import Tls

CERTS = ROOT / "deploy" / "mosquitto" / "make-certs.sh"


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


@pytest.fixture
def with_tls(tmp_path: Path) -> Iterator[tuple[Broker, int, Path]]:
    """A broker, the port where it speaks WebSockets over TLS, and its authority's certificate."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    port, certs = free_port(), tmp_path / "broker" / "certs"
    subprocess.run([CERTS, certs, "broker", "localhost"], check=True, capture_output=True)
    keys = f"cafile {certs}/ca.crt\ncertfile {certs}/broker.crt\nkeyfile {certs}/broker.key"
    with Broker(tmp_path / "broker", f"allow_anonymous true\nlistener {port}\nprotocol websockets\n{keys}") as one:
        yield one, port, certs / "ca.crt"


def test_by_tls_the_link_and_a_command_receive_and_publish(with_tls: tuple[Broker, int, Path]) -> None:
    broker, port, ca = with_tls
    tls = Tls(ca=str(ca))
    tap = Tap(Settings(client_id="daemon", host="localhost", port=port, transport="websockets", tls=tls)).ready()
    send(broker, 300)
    tap.until(lambda: len(payloads(tap)) == 300, "all messages")
    assert payloads(tap) == list(range(300))
    tap.link.stop(2)
    url = f"wss://localhost:{port}/mqtt"
    done = tickover("simulate", "--broker", url, "--ca", str(ca), "--count", "20", "--speed", "100")
    assert (done.returncode, "20 messages acknowledged" in done.stderr) == (0, True), done.stderr
    stranger = tickover("simulate", "--broker", url, "--count", "1")
    assert stranger.returncode == 1
    assert "certificate" in stranger.stderr

"""Which version of MQTT is tried next, by what the broker did before."""

import socket
import threading
from collections.abc import Callable

import pytest

from broker import Broker as Mosquitto
from edge.transports.mqtt.test_link import Tap, settings_of
from tickover.transports.base import Connected, Disconnected
from tickover.transports.mqtt.settings import Broker
from tickover.transports.mqtt.versions import Failure, Versions

WELCOME_THREE = b"\x20\x02\x00\x00"


def test_a_broker_that_does_not_know_the_version_gets_the_other_from_then_on() -> None:
    versions = Versions("auto")
    assert versions.speaks == "5"
    assert versions.failed(Failure.UNSUPPORTED)
    versions.accepted()
    versions.ended()
    assert (versions.speaks, versions.is_fallback) == ("3.1.1", True)


def test_a_broker_that_says_nothing_is_asked_for_5_again_on_the_next_connection() -> None:
    versions = Versions("auto")
    assert versions.failed(Failure.SILENT)
    versions.accepted()
    assert versions.speaks == "3.1.1"
    versions.ended()
    assert versions.speaks == "5"


def test_neither_version_answered_begins_again_with_5() -> None:
    versions = Versions("auto")
    assert versions.failed(Failure.SILENT)
    assert not versions.failed(Failure.SILENT)
    assert versions.speaks == "5"


def test_a_broker_that_has_accepted_5_is_never_asked_for_less() -> None:
    versions = Versions("auto")
    versions.accepted()
    versions.ended()
    assert not versions.failed(Failure.SILENT)
    assert versions.speaks == "5"
    assert versions.failed(Failure.UNSUPPORTED), "unless it says so: another broker took its place"


@pytest.mark.parametrize("wanted", ["5", "3.1.1"])
@pytest.mark.parametrize("failure", [*Failure])
def test_a_version_that_is_set_stays(wanted: str, failure: Failure) -> None:
    versions = Versions(wanted)
    assert not versions.failed(failure)
    assert (versions.speaks, versions.is_fallback) == (wanted, False)


def test_what_is_not_the_versions_fault_changes_nothing() -> None:
    versions = Versions("auto")
    assert not versions.failed(Failure.OTHER)
    assert versions.speaks == "5"


def hang_up(peer: socket.socket) -> None:
    peer.close()


def refuse(peer: socket.socket) -> None:
    peer.sendall(b"\x20\x02\x00\x01")
    peer.close()


def refuse_in_five(peer: socket.socket) -> None:
    peer.sendall(b"\x20\x03\x00\x84\x00")
    peer.close()


def say_nothing(peer: socket.socket) -> None:
    silent.append(peer)


silent: list[socket.socket] = []


@pytest.mark.parametrize("answer", [hang_up, refuse, refuse_in_five, say_nothing])
def test_the_link_connects_by_the_version_that_the_broker_speaks(answer: Callable[[socket.socket], None]) -> None:
    asked: list[int] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            peer, _ = server.accept()
            packet = peer.recv(4096)
            if not packet:
                continue
            asked.append(packet[8])
            if packet[8] == 5:
                answer(peer)
            else:
                peer.sendall(WELCOME_THREE)
                silent.append(peer)

    threading.Thread(target=serve, daemon=True).start()
    tap = Tap(Broker(client_id="d", port=server.getsockname()[1], keepalive_s=2), filters=())
    tap.until(lambda: bool(tap.of(Connected)), "connected", seconds=15)
    assert asked == [5, 4]
    assert not tap.of(Disconnected)
    assert "broker.protocol" in tap.of(Connected)[0].note
    tap.link.stop(2)
    server.close()


def test_a_broker_of_5_is_spoken_to_in_5(broker: Mosquitto) -> None:
    tap = Tap(settings_of(broker)).ready()
    assert tap.of(Connected)[0].note == ""
    assert "p5" in broker.log
    tap.link.stop(2)


def test_another_broker_is_used_when_the_first_cannot_be_reached(broker: Mosquitto) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings = Broker(client_id="d", port=closed.getsockname()[1], fallback=(f"127.0.0.1:{broker.port}",))
        tap = Tap(settings).ready()
    assert tap.of(Connected)[0].address == f"127.0.0.1:{broker.port}"
    assert [event.address for event in tap.of(Disconnected)] == [f"127.0.0.1:{settings.port}"]
    tap.link.stop(2)


def test_the_first_broker_is_tried_first_after_each_connection(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("two")
    with Mosquitto(folder / "one") as one, Mosquitto(folder / "two") as two:
        one.stop()
        tap = Tap(settings_of(one, fallback=(f"127.0.0.1:{two.port}",))).ready()
        one.start()
        two.stop()
        tap.until(lambda: len(tap.of(Connected)) == 2, "connected again")
        assert [event.address for event in tap.of(Connected)] == [two.address, one.address]
        tap.link.stop(2)

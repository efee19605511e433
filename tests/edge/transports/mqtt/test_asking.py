"""A link that was cut off asks the broker who is online under its name, by a connection of its own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from broker import MOSQUITTO, Broker, Listener, broker, free_port, wait_until
from edge.transports.mqtt.test_link import Tap, payloads, settings_of
from tickover.transports.base import Connected, Disconnected, Double, Received, Session, Subscribed
from tickover.transports.mqtt.asking import Answer, ask
from tickover.transports.mqtt.connection import configured
from tickover.transports.mqtt.link import Link
from tickover.transports.mqtt.settings import ENV_PASSWORD, ENV_USERNAME
from tickover.transports.mqtt.settings import Broker as Settings

__all__ = ["broker"]
DOUBLE = Double("status", lambda body: body == b"other", b"leaving")


def thief(mosquitto: Broker) -> paho.Client:
    """A client with the link's id."""
    version = CallbackAPIVersion.VERSION2
    client = paho.Client(version, client_id="daemon", protocol=paho.MQTTv5, reconnect_on_failure=False)
    client.connect("127.0.0.1", mosquitto.port, clean_start=False)
    client.loop_start()
    wait_until(client.is_connected, 5, "another client has the id")
    return client


class Asking(Tap):
    """A tap whose link knows what a double says."""

    def __init__(self, settings: Settings) -> None:
        self.link, self.events = Link(settings), []
        self.link.start(Session(("in/#",), ("status",), double=DOUBLE))


@pytest.fixture
def asking(broker: Broker) -> Iterator[Asking]:
    tap = Asking(settings_of(broker, taken_over_wait_s=60.0))
    tap.until(lambda: bool(tap.of(Subscribed)), "subscribed")
    yield tap
    tap.link.stop(2)


def test_a_link_that_was_cut_leaves_the_field_to_who_is_online(broker: Broker, asking: Asking) -> None:
    listener = Listener(broker, "status")
    other = thief(broker)
    other.publish("status", b"other", qos=1, retain=True).wait_for_publish(5)
    asking.until(lambda: any(event.taken_over for event in asking.of(Disconnected)), "it stays away")
    wait_until(lambda: b"leaving" in listener.of("status"), 5, "the other is told")
    assert other.is_connected(), "asking cuts nobody off"
    other.loop_stop()
    listener.close()


def test_a_link_that_was_cut_comes_back_where_nobody_is_online(broker: Broker, asking: Asking) -> None:
    other = thief(broker)
    other.publish("status", b"nobody", qos=1, retain=True).wait_for_publish(5)
    other.disconnect()
    other.loop_stop()
    asking.until(lambda: len(asking.of(Connected)) == 2, "connected again")
    assert [event.alone for event in asking.of(Connected)] == [False, True]
    assert not any(event.taken_over for event in asking.of(Disconnected))


def test_where_there_is_no_broker_nobody_says(tmp_path: Path) -> None:
    settings = Settings(client_id="daemon", port=free_port())
    assert ask(settings, configured(settings), DOUBLE) is Answer.NONE


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt install mosquitto)")
def test_a_broker_that_binds_ids_to_users_loses_nothing_by_the_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question then comes in the session of the link itself: what waits in it stays."""
    passwords = tmp_path / "passwords"
    for place, name in enumerate(("daemon", "truck")):
        new = ["-c"] if place == 0 else []
        subprocess.run(["mosquitto_passwd", *new, "-b", passwords, name, "secret"], check=True, capture_output=True)
    monkeypatch.setenv(ENV_USERNAME, "daemon")
    monkeypatch.setenv(ENV_PASSWORD, "secret")
    rules = f"allow_anonymous false\npassword_file {passwords}\nuse_username_as_clientid true"
    with Broker(tmp_path / "broker", rules) as bound:
        settings = settings_of(bound)
        Tap(settings).ready().link.stop(2)
        truck = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        truck.username_pw_set("truck", "secret")
        truck.connect("127.0.0.1", bound.port)
        truck.loop_start()
        for number in range(50):
            truck.publish(f"in/{number}", str(number), qos=1).wait_for_publish(5)
        assert ask(settings, configured(settings), DOUBLE) is Answer.BOUND
        tap = Tap(settings).ready()
        tap.until(lambda: len(payloads(tap)) == 50, "all that waited")
        tap.link.stop(2)
        truck.disconnect()
        truck.loop_stop()


def test_what_is_wanted_early_comes_before_what_waits_and_again_in_its_turn(broker: Broker) -> None:
    link = Link(settings_of(broker))
    link.start(Session(("in/#",), early=("in/question/+",)))
    sender = broker.client()
    wait_until(lambda: any(isinstance(event, Subscribed) for event in link.receive(0.1, 10)), 10, "subscribed")
    for number in range(300):
        sender.publish(f"in/{number}", b"reading", qos=1)
    sender.publish("in/question/a", b"?", qos=1).wait_for_publish(5)
    wait_until(lambda: link._events.waiting == 301, 10, "all of it lies in the queue")
    told = [event.topic for event in link.receive(1.0, 1000) if isinstance(event, Received)]
    assert told == ["in/question/a", *(f"in/{number}" for number in range(300)), "in/question/a"]
    link.stop(2)
    sender.disconnect()
    sender.loop_stop()

"""Shelving, out of service and reset leave a trace: who, what, until when, and what was not told meanwhile."""

import json
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker import Broker, broker, wait_until
from daemon_process import Daemon, Truck, Watcher, drive
from tickover.daemon.silencing import UNKNOWN, asker
from tickover.transports.mqtt.packets import whole_publishes
from tickover.transports.mqtt.sender import sender_of

__all__ = ["broker"]


def ask(client: paho.Client, command: str, target: str = "t1", who: str = "", **request: object) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    if who:
        properties.UserProperty = [("client-id", who)]
    topic = f"tickover/v1/{target}/cmd/{command}/request"
    client.publish(topic, json.dumps({"id": "req-9", **request}), qos=1, properties=properties).wait_for_publish(5)


def told(watcher: Watcher, kind: str, target: str = "t1") -> list[tuple[bool, str]]:
    data = [json.loads(body)["data"] for body in watcher.of(f"{target}/alert/{kind}")]
    return [(one["active"], one["text"]) for one in data]


def test_who_silenced_what_and_what_was_not_told(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker.port)
    with Watcher(broker) as watcher, daemon, Truck(broker) as truck:
        truck.send(drive(10))
        wait_until(lambda: watcher.answer("status")["result"]["rows"] > 0, 10, "the truck is known")
        client = broker.client("console")
        ask(client, "shelve", who="alice", for_s=3600)
        wait_until(lambda: len(told(watcher, "shelved")) == 1, 10, "a notice")
        active, text = told(watcher, "shelved")[0]
        assert active
        for word in ("t1: shelved", "until 20", "client-id=alice", "request req-9"):
            assert word in text
            assert word in daemon.text()
        truck.send(drive(120)[10:])
        wait_until(lambda: watcher.answer("status")["result"]["muted"] > 0, 10, "an alert is swallowed")
        time.sleep(1)  # the last of them
        swallowed = watcher.answer("status")["result"]["muted"]
        daemon.kill()
        daemon.start()
        ask(client, "shelve", for_s=0)
        wait_until(lambda: len(told(watcher, "shelved")) == 2, 10, "the end is told")
        active, text = told(watcher, "shelved")[1]
        assert not active
        assert f"{swallowed} alerts were not published" in text
        assert UNKNOWN in text
        wait_until(lambda: watcher.of("t1/alarm/shelved")[-1:] == [b""], 5, "its alarm cleared")
        ask(client, "reset", who="bob")
        wait_until(lambda: len(told(watcher, "reset")) == 1, 10, "the reset is told")
        assert "client-id=bob" in told(watcher, "reset")[0][1]
        ask(client, "out_of_service", for_s=1)
        wait_until(lambda: [a for a, _ in told(watcher, "out_of_service")] == [True, False], 10, "its time is over")
        client.disconnect()


def test_every_vehicle_at_once_needs_a_key(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker.port)
    with Watcher(broker) as watcher, daemon, Truck(broker) as truck:
        truck.send(drive(5))
        wait_until(lambda: watcher.answer("status")["result"]["rows"] > 0, 10, "the truck is known")
        for target in ("*", "gateway"):
            for command in ("shelve", "out_of_service", "mute", "workshop", "reset"):
                answer = watcher.answer(command, target, for_s=60)
                assert "vehicles.commands_for_all" in answer["error"]
        assert watcher.answer("status")["result"]["modes"] == {}
        daemon.stop()
        daemon.write_config(vehicles={"commands_for_all": True})
        daemon.start()
        assert watcher.answer("shelve", "*", for_s=60)["ok"]
        wait_until(
            lambda: any("every vehicle" in text for _, text in told(watcher, "shelved", "gateway")),
            10,
            "told under the node",
        )


def test_commands_for_strangers_write_nothing(broker: Broker, tmp_path: Path) -> None:
    with Watcher(broker) as watcher, Daemon(tmp_path, broker.port):
        before = watcher.answer("status")["result"]["commits"]
        for number in range(50):
            watcher.answer("shelve", f"stranger-{number}", for_s=60)
        assert watcher.answer("status")["result"]["modes"] == {}
        assert not watcher.of("alert/shelved")
        assert before


@pytest.mark.parametrize(
    ("payload", "number"),
    [(b"", ""), (b"{", ""), (b"[]", ""), (b'{"id": 7}', "7"), (b'{"id": "a\\nb"}', "a?b"), (b'{"id": null}', "")],
)
def test_the_id_of_a_request(payload: bytes, number: str) -> None:
    assert asker("", payload).request == number


def test_a_long_name_is_cut() -> None:
    assert len(str(asker("x" * 10_000, b'{"id": "%s"}' % (b"y" * 10_000)))) < 500


@pytest.mark.parametrize("packed", [b"", b"\x00", b"\x03\x26\x00\x05", b"\x26" * 40, b"\x02\x01\x26"])
def test_damaged_properties_name_nobody(packed: bytes) -> None:
    assert sender_of(packed) == ""


def test_properties_are_read_from_the_packet() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("client-id", "alice"), ("username", "a")]
    packed = properties.pack()
    body = b"\x00\x01t\x00\x07" + packed + b"{}"
    by_place: dict[int, bytes] = {}
    found, end = whole_publishes(b"\x32" + bytes([len(body)]) + body, 0, True, by_place)
    assert end == len(body) + 2
    assert (found[0].payload, sender_of(by_place[0])) == (b"{}", "client-id=alice, username=a")

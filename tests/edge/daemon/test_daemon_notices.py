"""What the daemon says of itself and of its inputs when something is wrong, and that it says when it is over."""

import json
from pathlib import Path

import pytest

from broker import MOSQUITTO, Broker, wait_until
from daemon_process import START, Daemon, Row, Truck, Watcher, drive, replayed

PLUGIN = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)
"""Mosquitto's own list of who may do what refuses subscriptions; an ``acl_file`` grants them all."""
NO_INPUTS = {
    "defaultACLAccess": dict.fromkeys(("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), True),
    "groups": [{"groupname": "anybody", "roles": [{"rolename": "deaf"}]}],
    "anonymousGroup": "anybody",
    "roles": [{"rolename": "deaf", "acls": [{"acltype": "subscribePattern", "topic": "truck/#", "allow": False}]}],
}
FAST: dict[str, object] = {"receive_maximum": 2000}
HEALTH: dict[str, dict[str, object]] = {"out": {"health_s": 0.5}}


def row(second: float) -> Row:
    return (START + second, {"coolant": 27.0, "rpm": 49.0, "speed": 39.0})


def test_many_late_readings_raise_and_clear_the_data_quality_alarm(
    broker: Broker, truck: Truck, watcher: Watcher, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker.port, **HEALTH):
        truck.send(row(second) for second in range(40))
        assert not watcher.notices("data_quality")
        truck.send(row(34 + second / 100) for second in range(100))
        wait_until(lambda: watcher.notices("data_quality") == [True], 5, "raised")
        truck.send(row(second) for second in range(40, 60))
        wait_until(lambda: watcher.notices("data_quality") == [True, False], 5, "cleared")
        wait_until(lambda: watcher.of("/alarm/data_quality")[-1:] == [b""], 5, "its alarm cleared")
        assert watcher.answer("status")["result"]["dropped"]["late"] >= 100


def test_vehicles_beyond_the_most_are_counted_and_the_others_go_on(
    broker: Broker, watcher: Watcher, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker.port, vehicles={"max": 2}):
        for name in ("t1", "t2", "t3"):
            sender = Truck(broker, name)
            sender.send(row(second) for second in range(10))
            sender.close()
        health = watcher.answer("status")["result"]
        assert (health["vehicles"], health["dropped"]["too_many_vehicles"]) == (2, 10)


def test_an_outbox_that_overflows_says_so_and_counts_what_it_dropped(
    broker: Broker, watcher: Watcher, tmp_path: Path
) -> None:
    """More critical alerts at once than there is room for: what says so is not dropped for them."""
    rows = drive(60)
    with Daemon(tmp_path, broker.port, outbox={"rows": 10}, broker=FAST, state={"commit_s": 0.5}) as daemon:
        assert daemon.stop() == 0
        for number in range(15):
            sender = Truck(broker, f"t{number}")
            sender.send(rows)
            sender.close()
        daemon.start()
        wait_until(lambda: watcher.notices("outbox_overflow") == [True, False], 10, "told, and told to be over")
        health = watcher.answer("status")["result"]
        assert daemon.stop() == 0
        daemon.start()
        assert watcher.answer("status")["result"]["outbox_dropped"] == health["outbox_dropped"]
    told = {alert.alert_id for alert in watcher.alerts()}
    assert len(told) + health["outbox_dropped"] == 15 * len(replayed(rows))
    last = json.loads(watcher.of("/alert/outbox_overflow")[-1])
    assert last["data"]["text"] == f"{health['outbox_dropped']} messages were dropped in all"


@pytest.mark.skipif(MOSQUITTO is None or PLUGIN is None, reason="Mosquitto comes without its dynamic security here")
def test_a_refused_subscription_raises_an_alarm(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(NO_INPUTS))
    extra = f"allow_anonymous true\nplugin {PLUGIN}\nplugin_opt_config_file {rules}"
    with (
        Broker(tmp_path / "broker", extra) as broker,
        Watcher(broker) as watcher,
        Daemon(tmp_path, broker.port) as daemon,
    ):
        wait_until(lambda: watcher.notices("subscription_refused") == [True], 5, "raised")
        wait_until(lambda: bool(watcher.of("/alarm/subscription_refused")), 5, "it stands")
        told = json.loads(watcher.of("/alarm/subscription_refused")[-1])
        assert told["data"]["text"] == "the broker refused: truck/+/telemetry"
        assert "subscribed topics=tickover/v1/+/cmd/+/request\n" in daemon.text()

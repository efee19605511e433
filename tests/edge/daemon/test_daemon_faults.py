"""The daemon through faults: killed, cut off, on a full or damaged disk, refused, with another model."""

import os
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broker import Broker, Listener, wait_until
from daemon_process import MODEL, OTHER_MODEL, Daemon, Truck, Watcher, alerts_in, as_told, drive, replayed
from small_disk import SmallDisk
from tickover.core.values import EndReason, Phase
from tickover.storage.store import FILE

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("TICKOVER_KILLS", "20"))
"""How often the daemon is killed; set TICKOVER_KILLS for the long run."""


@pytest.fixture
def daemon(tmp_path: Path, broker: Broker) -> Iterator[Daemon]:
    one = Daemon(tmp_path / "daemon", broker.port)
    yield one
    if one.process and not one.over():
        one.kill()


def test_sigkill_at_random_moments_loses_and_changes_no_alert(
    daemon: Daemon,
    broker: Broker,
    watcher: Watcher,
) -> None:
    """Killed from 0.05 to 1.2 s after its start, so that starting, replaying, committing and sending are all hit."""
    chance, rows = random.Random(7), drive(KILLS * 100)
    truck = Truck(broker)
    playing = threading.Thread(target=truck.send, args=(rows, KILLS * 0.9 / len(rows)), daemon=True)
    daemon.start()
    playing.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.3, 1.2))
        daemon.kill()
        daemon.start(ready=False)
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0.05, 0.5))
            daemon.kill()
            daemon.start(ready=False)
    playing.join(60)
    watcher.expect(as_told(replayed(rows)), seconds=60)
    assert "Traceback" not in daemon.text()
    assert daemon.stop() == 0
    truck.close()


def test_broker_restarts_lose_no_alert(daemon: Daemon, broker: Broker, watcher: Watcher) -> None:
    rows = drive(1500)
    daemon.start()
    truck = Truck(broker)
    truck.client.reconnect_delay_set(1, 1)
    for part in range(5):
        truck.send(rows[part * 300 : (part + 1) * 300])
        broker.stop()
        broker.start()
        wait_until(truck.client.is_connected, 10, "the truck is back")
    watcher.expect(as_told(replayed(rows)), seconds=40)
    truck.close()


def test_alerts_wait_while_the_broker_is_away(daemon: Daemon, broker: Broker, watcher: Watcher) -> None:
    """The broker dies while inputs are taken and alerts sent; the daemon restarts without it."""
    rows = drive(400)
    truck = Truck(broker)
    daemon.start().kill()
    truck.send(rows)
    daemon.start(ready=False)
    wait_until(lambda: daemon.text().count("started models=") == 2, 10, "started")
    broker.stop()
    time.sleep(0.5)
    assert daemon.stop() == 0, "SIGTERM works without a broker"
    daemon.start(ready=False)
    broker.start()
    watcher.expect(as_told(replayed(rows)), seconds=30)
    truck.close()


def test_another_model_ends_open_episodes_and_starts_fresh(
    daemon: Daemon,
    broker: Broker,
    watcher: Watcher,
) -> None:
    daemon.start()
    truck = Truck(broker)
    truck.send(drive(50))
    wait_until(lambda: len(watcher.alerts()) == 3, 10, "an open episode")
    wait_until(lambda: len(watcher.of("/alarm/anomaly")) >= 1, 10, "an alarm")
    daemon.kill()
    daemon.write_config(OTHER_MODEL)
    daemon.start()
    wait_until(lambda: [one.phase for one in watcher.alerts()[-1:]] == [Phase.END], 10, "an end")
    end = watcher.alerts()[-1]
    assert end.reason is EndReason.MODEL_CHANGED
    assert end.episode_id == watcher.alerts()[0].episode_id
    wait_until(lambda: watcher.of("/alarm/anomaly")[-1:] == [b""], 5, "cleared")
    assert list(daemon.state.glob(f"{FILE}.model-*"))
    assert watcher.notices("model_changed") == [True]
    truck.close()


def test_a_damaged_store_is_put_aside_said_aloud_and_detection_goes_on(
    daemon: Daemon,
    broker: Broker,
    watcher: Watcher,
) -> None:
    daemon.start()
    truck = Truck(broker)
    truck.send(drive(60))
    wait_until(lambda: len(watcher.alerts()) >= 3, 10, "alerts")
    assert daemon.stop() == 0
    path = daemon.state / FILE
    content = bytearray(path.read_bytes())
    for at in range(100, len(content), 97):
        content[at] ^= 0x55
    path.write_bytes(content)
    daemon.start()
    wait_until(lambda: watcher.notices("store_damaged") == [True], 10, "said")
    assert (daemon.state / f"{FILE}.damaged-0").exists()
    before = len(watcher.alerts())
    truck.send([(stamp + 1000, shown) for stamp, shown in drive(60)])
    wait_until(lambda: len(watcher.alerts()) > before, 10, "an alert")
    truck.close()


@pytest.mark.parametrize("crash", [False, True])
def test_a_reset_outlives_checkpoint_and_restart(daemon: Daemon, broker: Broker, watcher: Watcher, crash: bool) -> None:
    rows = drive(200)
    with Truck(broker) as truck:
        daemon.start()
        truck.send(rows[:50])
        wait_until(lambda: bool(watcher.alerts()), 10, "an open episode")
        assert daemon.stop() == 0
        daemon.start()
        assert watcher.answer("reset", "t1")["ok"]
        wait_until(lambda: [one.phase for one in watcher.alerts()[-1:]] == [Phase.END], 10, "an end")
        if crash:
            daemon.kill()
            daemon.start()
        before = {alert.alert_id: alert for alert in watcher.alerts()}
        truck.send(rows[50:])
        watcher.expect(before | as_told(replayed(rows[50:])))


def destroy(store: Path) -> None:
    """Nothing of it, nor of its log, can be read."""
    for path in (store, store.with_name(f"{FILE}-wal")):
        content = bytearray(path.read_bytes())
        for at in range(0, len(content), 97):
            content[at] ^= 0x55
        path.write_bytes(content)


def remove(store: Path) -> None:
    """A new disk, say."""
    shutil.rmtree(store.parent)


def damage_the_journal(store: Path) -> None:
    """What is known of the vehicles is gone; outbox and alarms can be read."""
    with closing(sqlite3.connect(store)) as db, db:
        assert db.execute("UPDATE journal SET crc = crc + 1").rowcount


@pytest.mark.parametrize("damage", [destroy, remove, damage_the_journal])
def test_alarms_of_episodes_that_nobody_remembers_are_cleared(
    daemon: Daemon, broker: Broker, watcher: Watcher, damage: Callable[[Path], None]
) -> None:
    """Those of the daemon's own vehicles and of itself; never another's."""
    others = {f"tickover/v1/{of}" for of in ("t1/alarm/other", "t2/alarm/anomaly", "gateway-2/alarm/durability")}
    own = {f"tickover/v1/{of}" for of in ("t1/alarm/anomaly", "t1/alarm/stale_signal", "gateway/alarm/durability")}
    for topic in others | own:
        watcher.client.publish(topic, b"on", qos=1, retain=True)
    with Truck(broker) as truck:
        daemon.start()
        truck.send(drive(50))
        wait_until(lambda: bool(alerts_in(watcher.of("t1/alarm/anomaly")[1:])), 10, "an alarm")
        daemon.kill()
        damage(daemon.state / FILE)
        before = len(watcher.messages)
        daemon.start()
        rows = [(stamp + 1000, shown) for stamp, shown in drive(30)]
        truck.send(rows)
        wait_until(lambda: {topic for topic, body in watcher.messages[before:] if not body} >= own, 10, "cleared")
    wait_until(lambda: watcher.answer("status")["result"]["outbox"] == 0, 10, "all is out")
    late = Listener(broker, "tickover/v1/+/alarm/+")
    time.sleep(0.3)
    late.close()
    assert {topic for topic, _, retained in late.messages if retained} == others
    assert bool(watcher.notices("state_lost")) is (damage is damage_the_journal)


def test_a_lost_store_leaves_no_sensors_alarm_of_a_vehicle_standing(
    daemon: Daemon, broker: Broker, watcher: Watcher
) -> None:
    topics = [f"tickover/v1/t1/alarm/{name}" for name in ("sensor.frozen.rpm", "anomaly-replayed", "anomaly")]
    client = broker.client()
    daemon.start()
    assert daemon.stop() == 0
    for topic in topics:
        client.publish(topic, b"{}", qos=1, retain=True).wait_for_publish(5)
    shutil.rmtree(daemon.state)
    daemon.start()
    with Truck(broker) as truck:
        truck.send(drive(2))
        for topic in topics:
            wait_until(lambda topic=topic: b"" in watcher.of(topic), 10, f"{topic} is cleared")
    client.disconnect()
    client.loop_stop()


def test_modes_and_models_outlive_a_damaged_store(daemon: Daemon, broker: Broker, watcher: Watcher) -> None:
    """Not only the start that finds the damage, also those after it."""
    daemon.start()
    with Truck(broker) as truck:
        truck.send(drive(30))
        wait_until(lambda: watcher.answer("status")["result"]["rows"] > 0, 5, "read")
    assert watcher.answer("mute", "t1", for_s=3600)["ok"]
    daemon.kill()
    damage_the_journal(daemon.state / FILE)
    for model in (MODEL, OTHER_MODEL):
        daemon.write_config(model)
        daemon.start()
        assert list(watcher.answer("status")["result"]["modes"]["mute"]) == ["t1"]
        assert watcher.notices("model_changed") == [True] * (model == OTHER_MODEL)
        daemon.kill()
    assert [path.name for path in daemon.state.glob("*.damaged-?")] == [f"{FILE}.damaged-0"]


def test_one_bad_state_costs_the_vehicles_asleep_nothing(tmp_path: Path, broker: Broker, watcher: Watcher) -> None:
    """One truck sleeps with an episode open and goes on with it; the other, whose row is bad, begins anew."""
    rows = drive(200)
    vehicles = {"sleep_s": 0.3, "silence_s": 0}
    with (
        Daemon(tmp_path / "d", broker.port, vehicles=vehicles) as daemon,
        Truck(broker) as t1,
        Truck(broker, "t2") as t2,
    ):
        t1.send(rows[:45])
        t2.send(rows[:30])
        wait_until(lambda: bool(watcher.alerts()), 10, "an open episode")
        wait_until(lambda: watcher.answer("status")["result"]["vehicles"] == 0, 10, "they sleep")
        daemon.kill()
        with closing(sqlite3.connect(daemon.state / FILE)) as db, db:
            assert db.execute("UPDATE state SET crc = crc + 1 WHERE vehicle = 't2'").rowcount
        daemon.start()
        t1.send(rows[45:])
        t2.send(rows[30:])
        wanted = [*replayed(rows), *replayed(rows[:30], "t2"), *replayed(rows[30:], "t2")]
        watcher.expect(as_told(wanted))
    assert watcher.notices("store_damaged") == [True]
    assert "no usable state of t2:" in daemon.text()


def test_a_full_disk_stops_nothing_and_is_left_without_a_restart(
    tmp_path: Path,
    broker: Broker,
    watcher: Watcher,
    small_disk: SmallDisk,
) -> None:
    state = {"folder": str(small_disk.folder), "retry_s": 0.5, "commit_s": 0.2}
    rows = drive(900)
    with Daemon(tmp_path / "d", broker.port, state=state) as daemon, Truck(broker) as truck:
        truck.send(rows[:300])
        small_disk.fill()
        truck.send(rows[300:600], pause=0.005)
        wait_until(lambda: watcher.notices("durability") == [True], 15, "the loss of durability is said")
        small_disk.free()
        wait_until(lambda: watcher.notices("durability") == [True, False], 15, "durable again")
        truck.send(rows[600:700])
        time.sleep(0.5)
        daemon.kill()
        daemon.start()
        truck.send(rows[700:])
        watcher.expect(as_told(replayed(rows)))


def test_a_refused_publish_stays_and_raises_an_alarm(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    allowed = "topic readwrite truck/#\ntopic readwrite tickover/v1/gateway/#\ntopic read tickover/#\n"
    acl.write_text(allowed)
    acl.chmod(0o644)
    rows = drive(200)
    with (
        Broker(tmp_path / "broker", f"allow_anonymous true\nacl_file {acl}") as mosquitto,
        Watcher(mosquitto) as watcher,
        Truck(mosquitto) as truck,
        Daemon(tmp_path / "daemon", mosquitto.port, outbox={"refused_retry_s": 12}),
    ):
        truck.send(rows)
        wait_until(lambda: watcher.notices("publish_refused") == [True], 15, "said")
        wait_until(lambda: watcher.answer("status")["result"]["outbox"] == len(replayed(rows)), 10, "they stay")
        acl.write_text(allowed + "topic readwrite tickover/#\n")
        mosquitto.restart()
        watcher.expect(as_told(replayed(rows)), seconds=30)
        wait_until(lambda: watcher.notices("publish_refused") == [True, False], 15, "over")

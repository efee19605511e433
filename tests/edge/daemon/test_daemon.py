"""The daemon as a process, against a real Mosquitto: what it promises in ordinary times."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker, free_port, wait_until
from daemon_process import (
    MODEL,
    SIGNALS,
    START,
    Daemon,
    Row,
    Truck,
    Watcher,
    as_told,
    drive,
    replayed,
)
from tickover.core.policy import EpisodeOverrides
from tickover.core.values import EndReason, Phase


@pytest.fixture
def run(tmp_path: Path, broker: Broker) -> Iterator:
    """Starts daemons and ends them."""
    started: list[Daemon] = []

    def start(name: str = "daemon", **tables: dict[str, object]) -> Daemon:
        daemon = Daemon(tmp_path / name, broker.port, **tables)
        started.append(daemon)
        return daemon.start()

    yield start
    for daemon in started:
        if not daemon.over():
            daemon.kill()


def test_live_alerts_are_those_of_a_replay_and_sigterm_ends_it_with_0(run, truck: Truck, watcher: Watcher) -> None:
    daemon = run()
    rows = drive(1480)
    truck.send(rows)
    watcher.expect(as_told(replayed(rows)))
    wait_until(lambda: bool(watcher.of("gateway/status")), 5, "online, which alerts do not wait for")
    start = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - start < 5
    states = [json.loads(body)["state"] for body in watcher.of("gateway/status")]
    assert states == ["online", "stopped"]
    assert watcher.of("/alarm/anomaly")[-1] == b"", "the alarm is cleared at the end"


def one_signal_each(rows: list[Row]) -> list[Row]:
    return [(stamp, {name: value}) for stamp, shown in rows for name, value in shown.items()]


def test_shuffled_within_the_lateness_and_duplicated_gives_the_same_alerts(run, truck: Truck, watcher: Watcher) -> None:
    run()
    rows, chance = drive(1000, seed=3), random.Random(1)
    pieces = one_signal_each(rows)
    messy = pieces + chance.sample(pieces, len(pieces) // 5)
    messy.sort(key=lambda piece: piece[0] + chance.uniform(0, 0.95))
    assert messy != sorted(messy, key=lambda piece: piece[0])
    truck.send(messy)
    watcher.expect(as_told(replayed(rows)))


def test_two_vehicles_do_not_mix(run, broker: Broker, watcher: Watcher) -> None:
    run()
    fleets = {name: drive(500, seed=place) for place, name in enumerate(("t1", "t2", "t3"))}
    for name, rows in fleets.items():
        one = Truck(broker, name)
        one.send(rows)
        one.close()
    wanted = [alert for name, rows in fleets.items() for alert in replayed(rows, name)]
    watcher.expect(as_told(wanted))


def test_sleeping_vehicles_wake_with_their_state(run, truck: Truck, watcher: Watcher) -> None:
    run(vehicles={"sleep_s": 0.3, "silence_s": 0})
    rows = drive(400)
    for first in range(0, 380, 95):
        truck.send(rows[first : first + 95])
        wait_until(lambda: watcher.answer("status")["result"]["vehicles"] == 0, 10, "asleep")
    truck.send(rows[380:])
    watcher.expect(as_told(replayed(rows)))


def test_readings_outside_the_operating_gate_do_not_count(run, truck: Truck, watcher: Watcher) -> None:
    run(vehicles={"gate": "rpm > 10", "silence_s": 0})
    rows = [(stamp, shown) for stamp, shown in drive(300) if "rpm" in shown]
    off = [(START + 400 + s, {"rpm": 0.0, "coolant": 140.0}) for s in range(60)]
    later = [(stamp + 470, shown) for stamp, shown in rows]
    truck.send(rows + off + later)
    watcher.expect(as_told(replayed(rows + later)))
    assert watcher.answer("status")["result"]["dropped"]["gated"] == 60


def test_a_signal_that_goes_quiet_raises_and_clears_the_staleness_alarm(run, truck: Truck, watcher: Watcher) -> None:
    run(vehicles={"stale_s": 20, "silence_s": 0})
    whole = {"coolant": 27.0, "rpm": 49.0, "speed": 39.0}
    truck.send([(START + s, whole) for s in range(5)])
    truck.send([(START + s, {"rpm": 49.0, "speed": 39.0}) for s in range(5, 40)])
    wait_until(lambda: watcher.notices("stale_signal") == [True], 10, "stale")
    wait_until(lambda: b"coolant" in b"".join(watcher.of("t1/alarm/stale_signal")[-1:]), 5, "its alarm")
    truck.send([(START + 41, whole)])
    wait_until(lambda: watcher.notices("stale_signal") == [True, False], 10, "heard again")
    wait_until(lambda: watcher.of("t1/alarm/stale_signal")[-1:] == [b""], 5, "cleared")


def test_silence_lets_event_time_go_on_and_ends_an_episode_without_data(run, truck: Truck, watcher: Watcher) -> None:
    run(broker={"keepalive_s": 2}, vehicles={"silence_s": 1}, episodes={"no_data_s": 2})
    truck.send(drive(46))
    wait_until(lambda: any(a.phase is Phase.END for a in watcher.alerts()), 20, "an end")
    assert watcher.alerts()[-1].reason is EndReason.NO_DATA
    wait_until(lambda: watcher.of("/alarm/anomaly")[-1:] == [b""], 5, "its alarm cleared")


def test_mute_is_durable_and_expires_and_workshop_leaves_readings_out(run, truck: Truck, watcher: Watcher) -> None:
    daemon = run(vehicles={"commands_for_all": True})
    truck.send([(START - 5, {"rpm": 49.0})])
    wait_until(lambda: watcher.answer("mute", "t1", for_s=3600)["ok"], 10, "the truck is known")
    daemon.kill()
    daemon.start()
    rows = drive(200)
    truck.send(rows)
    wait_until(lambda: watcher.answer("status")["result"]["muted"] > 0, 10, "muted alerts")
    assert watcher.alerts() == []
    assert watcher.answer("mute", "t1", for_s=0)["ok"]
    assert watcher.answer("workshop", for_s=3600)["ok"]
    truck.send([(stamp + 1000, shown) for stamp, shown in rows])
    wait_until(lambda: watcher.answer("status")["result"]["dropped"].get("workshop", 0) == len(rows), 10, "left out")
    assert watcher.alerts() == []


def test_reset_ends_the_episode_and_commands_answer(run, truck: Truck, watcher: Watcher) -> None:
    run()
    truck.send(drive(50))
    wait_until(lambda: len(watcher.alerts()) >= 1, 10, "an alert")
    shown = watcher.answer("snapshot", "t1")["result"]["t1"]["anomaly"]
    assert shown["open"]
    assert set(shown["signals"]) == set(SIGNALS)
    assert watcher.answer("reset", "t1")["ok"]
    wait_until(lambda: [one.phase for one in watcher.alerts()[-1:]] == [Phase.END], 10, "an end")
    assert watcher.alerts()[-1].reason is EndReason.RESET
    assert "'nosuch'" in watcher.answer("reset", "nosuch")["error"]
    assert watcher.answer("snapshot", "t1")["result"] == {"t1": {}}, "forgotten, not a stranger"
    assert "unknown command" in watcher.answer("fly")["error"]
    assert "expected for_s" in watcher.answer("mute", for_s="long")["error"]


def test_bad_payloads_are_counted_acknowledged_and_survived(run, truck: Truck, watcher: Watcher) -> None:
    run()
    for body in (b"", b"[" * 60_000, b"\xff", b'{"t": "x"}', b'{"t": 1e99, "rpm": 1}'):
        truck.client.publish(truck.topic, body, qos=1)
    truck.client.publish(truck.topic, b'{"t": 1600000000, "rpm": 1e99}', qos=1)
    truck.client.publish("truck/$bad/telemetry", b'{"t": 1600000000, "rpm": 1}', qos=1)
    rows = drive(200)
    truck.send(rows)
    watcher.expect(as_told(replayed(rows)))
    dropped = watcher.answer("status")["result"]["dropped"]
    assert dropped["bad_json"] == 2
    assert dropped["bad_time"] == 2
    assert (dropped["too_deep"], dropped["not_finite"], dropped["bad_vehicle"]) == (1, 1, 1)


def test_a_clock_that_leaps_does_not_blind_the_truck(run, truck: Truck, watcher: Watcher) -> None:
    run(vehicles={"clock": "unsynced", "silence_s": 0})
    rows, years = drive(160), 10 * 365 * 86_400
    truck.send([(s, {"rpm": 49.0}) for s in range(20)])
    truck.send(rows[:20])
    truck.send([(START + years + s, {"rpm": 49.0}) for s in range(20)])
    truck.send(rows[20:])
    wait_until(lambda: len(watcher.alerts()) >= 4, 10, "the real readings are scored")
    assert watcher.answer("status")["result"]["dropped"]["clock_back"] == 1


def test_readings_ahead_of_a_synced_clock_are_refused(run, truck: Truck, watcher: Watcher) -> None:
    run(vehicles={"clock": "synced", "silence_s": 0})
    rows = drive(200)
    truck.send([(time.time() + 3600, {"rpm": 1.0})])
    truck.send(rows)
    watcher.expect(as_told(replayed(rows)))
    assert watcher.answer("status")["result"]["dropped"]["too_far_ahead"] == 1


def test_a_wrong_configuration_is_refused_before_connecting(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, free_port(), state={"comit_s": 5})
    daemon.start(ready=False)
    wait_until(daemon.over, 10, "refused")
    assert daemon.process
    assert daemon.process.returncode == 78
    assert "unknown key 'state.comit_s'; did you mean 'commit_s'?" in daemon.text()


@pytest.mark.parametrize("share", [None, 0.5])
def test_a_model_that_is_not_there_whole_ends_it_so_that_systemd_tries_again(
    broker: Broker, tmp_path: Path, share: float | None
) -> None:
    """It may be on its way; with 78 the truck would stay without a detector until somebody comes."""
    whole, model = MODEL.read_bytes(), tmp_path / "model.onnx"
    if share is not None:
        model.write_bytes(whole[: int(len(whole) * share)])
    daemon = Daemon(tmp_path, broker.port, model=model)
    daemon.start(ready=False)
    wait_until(daemon.over, 10, "refused")
    assert daemon.process
    assert daemon.process.returncode == 1
    assert str(model) in daemon.text()
    model.write_bytes(whole)
    with daemon.start():
        assert daemon.stop() == 0


def test_sighup_reloads_and_a_wrong_file_changes_nothing(run, truck: Truck, watcher: Watcher) -> None:
    daemon = run()
    rows = drive(300)
    truck.send(rows[:100])
    daemon.write_config(vehicles={"silense_s": 0})
    daemon.hang_up()
    wait_until(lambda: "reload refused" in daemon.text(), 10, "refused")
    daemon.write_config(episodes={"update_every_s": 10})
    daemon.hang_up()
    wait_until(lambda: daemon.text().count("subscribed topics=") == 2, 15, "subscribed again")
    truck.send(rows[100:])
    before = replayed(rows)
    after = replayed(rows, policy=EpisodeOverrides(update_every_s=10))
    assert len(after) > len(before)
    wait_until(lambda: len({a.alert_id for a in watcher.alerts()}) > len(before), 10, "more updates than before")


def test_sighup_with_a_state_folder_that_cannot_be_used_changes_nothing(
    run, truck: Truck, watcher: Watcher, tmp_path: Path
) -> None:
    daemon, other = run(), run("other", broker={"client_id": "other"})
    (tmp_path / "file").write_text("")
    for number, folder in enumerate((tmp_path / "file" / "state", other.state), 1):
        daemon.write_config(state={"folder": str(folder)})
        daemon.hang_up()
        wait_until(lambda n=number: daemon.text().count("reload refused") == n or daemon.over(), 10, "refused")
    rows = drive(60)
    truck.send(rows)
    watcher.expect(as_told(replayed(rows)))


def test_a_second_daemon_on_the_same_state_folder_is_refused(run, tmp_path: Path) -> None:
    first = run()
    second = Daemon(tmp_path / "daemon", first.port)
    second.log = tmp_path / "second-log"
    second.start(ready=False)
    wait_until(second.over, 10, "refused")
    assert "in use by another daemon" in second.text()


@pytest.mark.slow
def test_a_second_daemon_with_the_same_client_id_gets_the_field(run, truck: Truck, watcher: Watcher) -> None:
    wait = {"taken_over_wait_s": 3.0, "keepalive_s": 2}  # the keepalive bounds how long the second may be away
    first = run(broker=wait)
    wait_until(lambda: bool(watcher.of("gateway/status")), 10, "online")
    second = run(name="second", broker=wait)
    wait_until(lambda: "another client uses this client ID" in first.text(), 10, "recognised")
    rows = drive(200)
    truck.send(rows)
    watcher.expect(as_told(replayed(rows)))
    assert "another client uses" not in second.text()
    state = lambda: json.loads(watcher.of("gateway/status")[-1])["state"]  # noqa: E731
    wait_until(lambda: state() == "online", 10, "the second is online again")
    wait_until(lambda: bool(watcher.notices("taken_over")), 10, "the one that stays says it too")
    told = (
        "another client with this client ID was disconnected and will reconnect; "
        "give each daemon its own broker.client_id (client_id gateway)"
    )
    wait_until(lambda: told in second.text(), 10, "the one that stays says it too")
    time.sleep(9)  # the first one comes back three times
    first.kill()
    wait_until(lambda: watcher.notices("taken_over")[-1:] == [False], 20, "no double comes any more")
    assert watcher.notices("taken_over").count(False) == 1, "not before"


def test_the_will_says_offline_when_the_daemon_is_killed(run, watcher: Watcher) -> None:
    run().kill()
    wait_until(lambda: b"offline" in b"".join(watcher.of("gateway/status")[-1:]), 5, "offline")


def test_health_info_and_scores_are_published(run, truck: Truck, watcher: Watcher) -> None:
    run(out={"health_s": 0.5, "score_s": 0.5})
    truck.send(drive(60))
    wait_until(lambda: any(json.loads(b)["ticks"] > 50 for b in watcher.of("gateway/health")), 10, "health")
    report = json.loads(watcher.of("gateway/health")[-1])
    assert report["durable"]
    assert report["memory_mb"] > 1
    wait_until(lambda: bool(watcher.of("gateway/info")), 10, "info")
    assert json.loads(watcher.of("gateway/info")[0])["models"][0]["signals"] == list(SIGNALS)
    wait_until(lambda: any(json.loads(b) for b in watcher.of("t1/score")), 10, "a score")


def metrics(port: int) -> str:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def test_prometheus_text_on_loopback_goes_on_after_a_reload(run, truck: Truck, watcher: Watcher) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    daemon = run(out={"health_s": 0.5, "metrics_port": port})
    wait_until(lambda: len(watcher.of("gateway/health")) > 1, 10, "health")
    text = metrics(port)
    assert "tickover_durable 1.0" in text
    assert "tickover_memory_mb" in text
    daemon.hang_up()
    wait_until(lambda: daemon.text().count("subscribed topics=") == 2, 15, "subscribed again")
    truck.send(drive(20))
    wait_until(lambda: "tickover_vehicles 1.0" in metrics(port), 10, "the figures of the new daemon")

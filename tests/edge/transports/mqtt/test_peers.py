"""Every command with every broker of `peers.BROKERS`: it works, or says what to set."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import MOSQUITTO, Broker, Listener, wait_until
from daemon_process import Daemon, Truck, Watcher, as_told, drive, replayed
from doctor_process import doctor, plain
from peers import BROKERS, running, tickover

ROWS = 40
ONLY_THREE = ("aedes", "amqtt", "rabbitmq")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[*BROKERS])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Broker]]:
    if request.param == "mosquitto" and MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    with running(request.param, tmp_path_factory.mktemp(request.param)) as one:
        yield request.param, one


def test_the_daemon_alerts_and_warns_once(peer: tuple[str, Broker], tmp_path: Path) -> None:
    name, broker = peer
    rows = drive(120)
    with Watcher(broker) as watcher, Daemon(tmp_path, broker.port) as daemon, Truck(broker) as truck:
        truck.send(rows)
        watcher.expect(as_told(replayed(rows)))
        daemon.stop()
        said = daemon.text()
    assert said.count("does not speak MQTT 5") == (name in ONLY_THREE)
    assert ('broker.protocol = "3.1.1"' in said) is (name in ONLY_THREE)
    assert "no connection" not in said


def test_doctor_passes_and_names_the_version(peer: tuple[str, Broker], tmp_path: Path) -> None:
    name, broker = peer
    code, states, said = doctor(plain(broker, tmp_path))
    assert states["permission"] == "ok", said
    assert states["broker"] == ("warn" if name in ONLY_THREE else "ok"), said
    assert (code, states["queue"]) == ((1, "fail") if name == "amqtt" else (0, "ok")), said
    if name == "amqtt":
        assert "the broker kept nothing" in said


def test_what_is_simulated_is_recorded_and_watched(peer: tuple[str, Broker], tmp_path: Path) -> None:
    _, broker = peer
    out = tmp_path / "trips"
    record = start("record", "--broker", broker.address, "--out", str(out))
    watch = start("watch", "--broker", broker.address, "--json")
    try:
        probe = broker.client("probe")
        body = json.dumps({"time": 1_772_000_000.0, "coolant_temp": 80.0})
        wait_until(
            lambda: probe.publish("trucks/probe/signals", body, qos=1) and list(out.glob("probe/*")),
            30,
            "the recorder has subscribed",
        )
        probe.disconnect()
        sent = tickover("simulate", "--broker", broker.address, "--count", str(ROWS), "--speed", "100")
        wait_until(lambda: list(out.glob("truck-1/*")), 20, "a file of the truck")
    finally:
        for process in (record, watch):
            process.send_signal(signal.SIGTERM)
        said = [process.communicate(timeout=30)[1] for process in (record, watch)]
    assert (sent.returncode, record.returncode, watch.returncode) == (0, 0, 0), (sent.stderr, said)
    assert f"{ROWS} messages acknowledged" in sent.stderr


def test_a_played_log_arrives_whole_and_in_order(peer: tuple[str, Broker], tmp_path: Path) -> None:
    _, broker = peer
    log = tmp_path / "trip.csv"
    log.write_text("time,rpm\n" + "".join(f"{1_772_000_000 + row},{800 + row}\n" for row in range(ROWS)))
    listener = Listener(broker, "trucks/+/signals")
    played = tickover("play", str(log), "--broker", broker.address, "--speed", "max")
    assert played.returncode == 0, played.stderr
    wait_until(lambda: len(listener.messages) >= ROWS, 20, "all rows")
    assert [json.loads(body)["rpm"] for body in listener.of("trucks")] == [800 + row for row in range(ROWS)]
    listener.close()


def start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tickover", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

"""``tickover play`` and ``simulate`` as processes against a real Mosquitto."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import paths
from broker import Broker, broker
from tickover.core.values import SECOND, Readings
from tickover.jobs.play import Pace, messages
from tickover.transports.mqtt.client import Message, MqttClient
from tickover.transports.mqtt.connection import Connection

__all__ = ["broker"]
MAPPING = "[time]\ncolumn = 't_s'\nkind = 'seconds'\n[signals.rpm]\n[signals.oil]\n"
START = 1_700_000_000
ROWS = 300


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log in seconds from its start: two signals, one of them with holes."""
    path = tmp_path / "trip.csv"
    rows = [f"{row},{800 + row},{'' if row % 3 else row / 8}" for row in range(ROWS)]
    path.write_text("\n".join(["t_s,rpm,oil", *rows]) + "\n")
    (tmp_path / "map.toml").write_text(MAPPING)
    return path


def tickover(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tickover", *args], capture_output=True, text=True, timeout=60)


def here(broker: Broker) -> Connection:
    return Connection(host=broker.host, port=broker.port)


def take(client: MqttClient, number: int) -> list[Message]:
    """That many messages, in order of arrival."""
    taken: list[Message] = []
    deadline = time.monotonic() + 20
    while len(taken) < number and time.monotonic() < deadline:
        message = client.receive(0.2)
        taken += [message] if message else []
    return taken


def test_a_played_log_arrives_whole_in_order_and_at_the_start_asked_for(broker: Broker, log: Path) -> None:
    with MqttClient(here(broker)) as client:
        client.subscribe("trucks/+/signals")
        done = tickover(
            *("play", str(log), "--broker", broker.address, "--map", str(log.with_name("map.toml"))),
            *("--speed", "max", "--vehicle", "van-7", "--start", str(START)),
        )
        arrived = take(client, ROWS)
    assert done.returncode == 0, done.stderr
    assert "played: 300 messages acknowledged" in done.stderr
    assert {message.topic for message in arrived} == {"trucks/van-7/signals"}
    rows = [json.loads(message.payload) for message in arrived]
    assert [row["time"] for row in rows] == [START + second for second in range(ROWS)]
    assert rows[0] == {"time": START, "rpm": 800.0, "oil": 0.0}
    assert rows[1] == {"time": START + 1, "rpm": 801.0}


def test_a_log_is_played_as_a_model_reads_it(broker: Broker, tmp_path: Path) -> None:
    log = tmp_path / "trip.csv"
    log.write_text("time,rpm,odd,coolant,speed\n" + "".join(f"{START + row},{800 + row},7,80,50\n" for row in range(5)))
    with MqttClient(here(broker)) as client:
        client.subscribe("trucks/+/signals")
        model = str(paths.MODELS / "gru_autoencoder.onnx")
        done = tickover("play", str(log), "--broker", broker.address, "--model", model, "--speed", "max")
        arrived = take(client, 5)
    assert done.returncode == 0, done.stderr
    assert json.loads(arrived[0].payload) == {"time": START, "coolant": 80.0, "rpm": 800.0, "speed": 50.0}


def test_play_says_when_nobody_listens_and_ends_cleanly_on_a_signal(broker: Broker, log: Path) -> None:
    command = ["play", str(log), "--broker", broker.address, "--map", str(log.with_name("map.toml")), "--speed", "20"]
    with MqttClient(here(broker)) as client:
        client.subscribe("trucks/+/signals")
        player = subprocess.Popen([sys.executable, "-m", "tickover", *command], stderr=subprocess.PIPE, text=True)
        assert take(client, 1)
    time.sleep(0.5)
    player.send_signal(signal.SIGINT)
    _, said = player.communicate(timeout=15)
    assert player.returncode == 130
    assert "stopped: " in said
    assert "had no subscriber" in said
    assert "Traceback" not in said


def test_a_broker_that_is_not_there_is_said_in_one_line(log: Path) -> None:
    done = tickover("play", str(log), "--broker", "127.0.0.1:1", "--map", str(log.with_name("map.toml")))
    assert done.returncode == 1
    assert done.stderr == "tickover: broker 127.0.0.1:1: nobody listens there; is the broker running?\n"


def test_plaintext_leaves_this_machine_only_when_told_to(log: Path) -> None:
    done = tickover("play", str(log), "--broker", "192.0.2.1", "--map", str(log.with_name("map.toml")))
    assert done.returncode == 1
    assert "expected TLS for a host that is not loopback" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--vehicle", "a/b"], "expected a vehicle's name without / + and #, got 'a/b'"),
        (["--topic", "trucks/+/{vehicle}"], "neither + nor #, got 'trucks/+/{vehicle}'"),
        (["--topic", "trucks/signals"], "expected {vehicle} in it"),
    ],
)
def test_a_topic_that_nobody_could_read_is_refused(broker: Broker, log: Path, options: list[str], said: str) -> None:
    done = tickover("play", str(log), "--broker", broker.address, "--map", str(log.with_name("map.toml")), *options)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_restart_in_the_middle_loses_nothing(broker: Broker) -> None:
    """Unacknowledged messages are sent again; the reader's session keeps what it had not got."""
    number = 4000
    command = ["simulate", "--broker", broker.address, "--speed", "400", "--count", str(number), "--vehicles", "4"]
    with MqttClient(here(broker), client_id="reader", session_s=60) as client:
        client.subscribe("trucks/+/signals")
        simulator = subprocess.Popen([sys.executable, "-m", "tickover", *command], stderr=subprocess.PIPE, text=True)
        first = take(client, 500)
        broker.restart()
        payloads = {(message.topic, message.payload) for message in first}
        deadline = time.monotonic() + 30
        while len(payloads) < number and time.monotonic() < deadline:
            message = client.receive(0.2)
            if message:
                payloads.add((message.topic, message.payload))
        _, said = simulator.communicate(timeout=20)
    assert simulator.returncode == 0, said
    assert f"simulated: {number:,} messages acknowledged" in said
    assert "connected again 1 time\n" in said
    assert len(payloads) == number


def test_equal_seeds_give_equal_trucks(broker: Broker) -> None:
    runs = []
    for _ in range(2):
        with MqttClient(here(broker)) as client:
            client.subscribe("trucks/+/signals")
            tickover(
                *("simulate", "--broker", broker.address, "--speed", "max", "--count", "60", "--vehicles", "3"),
                *("--seed", "5", "--faults"),
            )
            runs.append([(message.topic, message.payload) for message in take(client, 60)])
    assert len(runs[0]) == 60
    assert runs[0] == runs[1]
    assert {topic for topic, _ in runs[0]} == {f"trucks/truck-{number}/signals" for number in (1, 2, 3)}


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=50), st.sampled_from([0.5, 1.0, 10.0]))
def test_the_pace_is_the_logs_but_for_long_gaps(steps: list[int], speed: float) -> None:
    now = 100.0
    longest_s = 2.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    pace = Pace(speed, longest_s, clock=lambda: now, sleep=sleep)
    moment = 0
    expected = 100.0
    pace.wait(moment)
    for step in steps:
        moment += step * 1000
        expected += min(step / 1000 / speed, longest_s)
        pace.wait(moment)
        assert now == pytest.approx(expected)


@given(st.integers(0, 4_102_444_800 * SECOND))
def test_a_time_survives_its_message_to_the_microsecond(moment: int) -> None:
    block = Readings("v", ("a", "b"), np.array([moment]), np.array([[1.5, np.nan]]))
    [(_, payload)] = messages(block)
    assert round(json.loads(payload)["time"] * SECOND) == moment

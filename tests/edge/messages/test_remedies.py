"""What an engineer is told who waits for a truck that does not report: the cause and the cure, in one line."""

import json
import logging
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import paths
from broker import Broker, free_port, wait_until
from daemon_process import START, Daemon, Truck, Watcher, drive
from doctor_process import doctor, plain
from fleet_broker import FleetBroker, fleet
from tickover.daemon import startup_hints
from tickover.daemon.startup_hints import FirstReadings
from tickover.messages import remedies
from tickover.transports.mqtt.credentials import troubles
from tickover.transports.mqtt.settings import Broker as Settings
from tickover.transports.mqtt.settings import Tls

__all__ = ["fleet"]
pytestmark = pytest.mark.slow
TOPIC = "truck/t1/telemetry"


def lines(daemon: Daemon, word: str) -> list[str]:
    return [line for line in daemon.text().splitlines() if word in line]


@pytest.mark.parametrize("words", ["nobody listens", "did not answer", "hung up", "not accepted"])
def test_a_reason_that_we_word_ourselves_has_a_remedy(words: str) -> None:
    ours = [path.read_text() for path in (paths.ROOT / "edge" / "tickover" / "transports").rglob("*.py")]
    assert any(words in text for text in ours), "reword messages/remedies with transports"
    assert remedies.for_connection(f"the broker {words} at 3 o'clock")


def test_a_dead_broker(tmp_path: Path) -> None:
    with Daemon(tmp_path, free_port()).start(ready=False) as daemon:
        wait_until(lambda: bool(lines(daemon, "is the broker running, and broker.port right?")), 5, "told")


@pytest.mark.parametrize(
    ("shown", "reason", "cure"),
    [
        ({"t": START, "temp": 1.0}, "no_signals", "rename them under inputs.signals"),
        ({"t": START * 1000, "rpm": 1.0}, "bad_time", "inputs.time_unit"),
        ([1, 2], "not_an_object", "inputs.format"),
    ],
)
def test_a_refused_message_is_shown_with_the_reason_and_the_cure(
    broker: Broker, truck: Truck, tmp_path: Path, shown: object, reason: str, cure: str
) -> None:
    body = json.dumps(shown)
    with Daemon(tmp_path, broker.port) as daemon:
        for _ in range(3):
            truck.client.publish(TOPIC, body, qos=1).wait_for_publish(5)
        wait_until(lambda: bool(lines(daemon, "refused a message")), 5, "told")
        (line,) = lines(daemon, "refused a message")
        assert f"topic={TOPIC} payload={json.dumps(body)}: {reason}: " in line
        assert cure in line


def test_readings_far_from_the_clock_are_told_once_for_each_vehicle(
    broker: Broker, truck: Truck, watcher: Watcher, tmp_path: Path
) -> None:
    now = time.time()
    with Daemon(tmp_path, broker.port) as daemon, Truck(broker, "t2") as other:
        truck.send([(now - 90 * 86_400 + second, {"rpm": 49.0}) for second in range(3)])
        other.send([(now, {"rpm": 49.0})])
        wait_until(lambda: watcher.answer("status")["result"]["rows"] == 4, 5, "taken")
        (line,) = lines(daemon, "behind this clock")
        assert "times are" in line
        assert "vehicle=t1" in line
        assert "unless this is an old log" in line


@pytest.mark.parametrize(("counts", "told"), [({}, 1), ({"bad_json": 1}, 0), ({"rows": 1}, 0)])
def test_nothing_that_comes_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, counts: dict[str, int], told: int
) -> None:
    monkeypatch.setattr(startup_hints, "QUIET_S", 0.0)
    waiting = FirstReadings(["truck/+/telemetry"])
    with caplog.at_level(logging.WARNING):
        waiting.look(Counter())
        assert not caplog.records, "before the subscription"
        for _ in range(3):
            waiting.subscribed()
            waiting.look(Counter(counts))
    assert [record.message for record in caplog.records] == [remedies.on_silence(["truck/+/telemetry"])] * told


def test_a_metrics_port_that_is_taken_stops_nothing(
    broker: Broker, truck: Truck, watcher: Watcher, tmp_path: Path
) -> None:
    pytest.importorskip("prometheus_client")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Daemon(tmp_path, broker.port, out={"metrics_port": port}) as daemon:
            (line,) = lines(daemon, "no metrics: stop what uses the port, or set out.metrics_port")
            assert f'address=127.0.0.1:{port} error="Address already in use"' in line
            truck.send(drive(60))
            wait_until(lambda: bool(watcher.alerts()), 10, "an alert")
        config = plain(broker, tmp_path)
        config.write_text(config.read_text() + f"[out]\nmetrics_port = {port}\n")
        assert doctor(config)[1]["metrics port"] == "fail"
    with Daemon(tmp_path / "again", broker.port, out={"metrics_port": port}):
        assert doctor(config)[1]["metrics port"] == "ok", "the running daemon's own"


def test_our_certificate_that_has_ended_is_told_before_the_broker_hangs_up(fleet: FleetBroker, tmp_path: Path) -> None:
    ended = tmp_path / "ended.crt"
    request = ["openssl", "x509", "-in", fleet.certs / "truck-1.crt", "-signkey", fleet.certs / "truck-1.key"]
    subprocess.run([*request, "-days", "-1", "-out", ended], check=True, capture_output=True)
    tls = {"ca": str(fleet.certs / "ca.crt"), "key": str(fleet.certs / "truck-1.key")}
    assert not list(troubles(Settings(client_id="c", tls=Tls(certificate=str(fleet.certs / "truck-1.crt"), **tls))))
    (line,) = troubles(Settings(client_id="c", tls=Tls(certificate=str(ended), **tls)))
    assert line.startswith(f"certificate {ended}: valid from")
    assert line.endswith("renew it, or set the clock")


def test_a_certificate_of_another_kind_does_not_stop_the_start(tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_text("-----BEGIN TRUSTED CERTIFICATE-----\nMIIB\n-----END TRUSTED CERTIFICATE-----\n")
    (line,) = troubles(Settings(client_id="c", tls=Tls(ca=str(trusted))))
    assert line.startswith(f"certificate {trusted}: cannot tell")


@contextmanager
def publishing(broker: Broker, body: str) -> Iterator[None]:
    """The same again and again, on the topic of `plain`."""
    client, over = broker.client(), threading.Event()

    def publish() -> None:
        while not over.wait(0.2):
            client.publish("trucks/truck-1/signals", body, qos=1)

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    over.set()
    thread.join()
    client.disconnect()
    client.loop_stop()


def test_doctor_says_that_no_name_is_a_models_and_that_times_are_far(broker: Broker, tmp_path: Path) -> None:
    for shown, state, said in (
        ({"time": time.time(), "temp": 1.0}, "fail", "none is a model's; they are: temp"),
        ({"time": time.time(), "rpm": 1.0}, "warn", "2 that the models need were not received: coolant, speed"),
        ({"time": time.time() - 90 * 86_400, "rpm": 1.0}, "warn", "days behind this clock"),
        ({"time": time.time() / 1000, "rpm": 1.0}, "fail", "inputs.time_unit"),
    ):
        config = plain(broker, tmp_path)
        with publishing(broker, json.dumps(shown)):
            _, states, heard = doctor(config)
        assert (states["readings"], said in heard) == (state, True), heard


@pytest.mark.parametrize(("ignition", "state"), [({}, "fail"), ({"ignition": 1}, "ok")])
def test_a_gate_whose_signal_does_not_come_is_told_and_one_beside_the_models_is_well(
    broker: Broker, truck: Truck, tmp_path: Path, ignition: dict[str, int], state: str
) -> None:
    shown = {"coolant": 27.0, "rpm": 49.0, "speed": 39.0, **ignition}
    config = plain(broker, tmp_path)
    config.write_text(config.read_text() + '[vehicles]\ngate = "ignition > 0"\n')
    with publishing(broker, json.dumps({"time": time.time(), **shown})):
        _, states, heard = doctor(config)
    assert states["readings"] == state, heard
    assert ("vehicles.gate got no value of: ignition" in heard) is (state == "fail")
    with Daemon(tmp_path, broker.port, vehicles={"gate": "ignition > 0"}, out={"health_s": 0.5}) as daemon:
        truck.send([(START + second, shown) for second in range(5)])
        told = "gated: dropped by vehicles.gate: no value received yet for one of its signals"
        wait_until(lambda: bool(lines(daemon, told)) or bool(ignition), 5, "told")

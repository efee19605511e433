"""``tickover doctor`` against real brokers: a sound truck passes, and each thing broken is named with its cure."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker import Broker, broker, wait_until
from daemon_process import MODEL
from doctor_process import doctor, plain
from fleet_broker import DEPLOY, FleetBroker, fleet
from tickover.host.certificates import read_certificate, validity
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection

__all__ = ["broker", "fleet"]
pytestmark = pytest.mark.slow
MOSQUITTOS_OWN_LIMITS = "allow_anonymous true\nmax_queued_messages 1000\nmax_inflight_messages 20"


def test_a_truck_of_the_shipped_files_passes(fleet: FleetBroker, tmp_path: Path) -> None:
    config = fleet.device_config(tmp_path, DEPLOY / "demo" / "truck.onnx")
    config.write_text(config.read_text().replace('# clock = "auto"', 'clock = "synced"'))
    before = fleet.log.count("New client connected")
    simulator = subprocess.Popen(
        [sys.executable, "-m", "tickover", "simulate", *fleet.options("truck-1-signals"), "--period", "0.2"],
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: fleet.log.count("New client connected") > before, 20, "the simulator is connected")
        code, states, said = doctor(config, *fleet.own("truck-1-doctor"))
    finally:
        simulator.terminate()
        simulator.communicate(timeout=20)
    assert code == 0, said
    passed = {name for name, state in states.items() if state == "ok"}
    assert passed >= {
        *("python", "onnxruntime", "model anomaly", "clock", "disk sync"),
        *("TLS authority", "TLS certificate", "TLS broker", "broker", "permission", "readings", "queue", "window"),
    }
    assert "kept all of 2,000 messages" in said


def test_another_trucks_certificate_may_not_publish(fleet: FleetBroker, tmp_path: Path) -> None:
    config = fleet.device_config(tmp_path, MODEL)
    text = config.read_text()
    config.write_text(text.replace("certs/truck-1.", "certs/truck-2."))
    code, states, said = doctor(config)
    assert code == 1
    assert states["permission"] == "fail"
    assert "queue" not in states
    assert "may not publish to tickover/v1/truck-1/doctor: Not authorized" in said


def test_a_daemons_own_certificate_leaves_its_session_alone(fleet: FleetBroker, tmp_path: Path) -> None:
    """The broker takes the certificate's name for the client id: doctor would be the daemon."""
    config, topic = fleet.device_config(tmp_path, MODEL), "trucks/truck-1/signals"
    daemon = Connection(host="localhost", port=fleet.port, tls=True, **fleet.files("truck-1"))
    signals = Connection(host="localhost", port=fleet.port, tls=True, **fleet.files("truck-1-signals"))
    with MqttClient(daemon, client_id="truck-1", session_s=600) as client:
        client.subscribe(topic)
    with MqttClient(signals) as truck:
        for number in range(5):
            truck.publish(topic, b"%d" % number)
        assert truck.drain(5)
    code, states, said = doctor(config)
    assert (code, states["broker"]) == (0, "warn"), said
    assert "--cert and --key" in said
    assert "queue" not in states
    with MqttClient(daemon, client_id="truck-1", session_s=600) as client:
        assert client.session_present
        received = [client.receive(5) for _ in range(5)]
        client.end_session()
    assert all(received), "what waits for the daemon is still there"


def test_a_broker_with_its_own_limits_keeps_only_a_thousand(tmp_path: Path) -> None:
    one = Broker(tmp_path / "broker", MOSQUITTOS_OWN_LIMITS)
    one.config.write_text(re.sub(r"max_\w+ 0\n", "", one.config.read_text()))
    one.start()
    try:
        code, states, said = doctor(plain(one, tmp_path))
    finally:
        one.stop()
    assert code == 1
    assert states["queue"] == "fail"
    assert "kept 1,000 of 2,000 messages" in said
    assert "raise max_queued_messages" in said


@pytest.mark.parametrize(
    ("most", "protocol", "code", "state"),
    [(4, "3.1.1", 1, "fail"), (20, "3.1.1", 0, "warn"), (4, "5", 0, "ok")],
)
def test_a_window_too_small_for_the_daemon_is_told(
    tmp_path: Path, most: int, protocol: str, code: int, state: str
) -> None:
    """A client of MQTT 5 sets Mosquitto's window itself."""
    one = Broker(tmp_path / "broker")
    one.config.write_text(one.config.read_text().replace("max_inflight_messages 0", f"max_inflight_messages {most}"))
    config = plain(one, tmp_path)
    config.write_text(config.read_text().replace("[broker]", f'[broker]\nprotocol = "{protocol}"'))
    with one:
        exit_code, states, said = doctor(config)
    assert (exit_code, states["queue"], states["window"]) == (code, "ok", state), said
    assert ("raise the broker's limit of messages in flight" in said) is (state != "ok")
    assert (f" {most} messages in flight before" in said) is (state != "ok")


def test_what_is_broken_on_the_device_is_said(broker: Broker, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(MODEL.read_bytes()[:-1])
    config = plain(broker, tmp_path, model)
    (tmp_path / "state").write_text("a file where the folder should be")
    broker.stop()
    code, states, said = doctor(config)
    assert code == 1
    assert states["model anomaly"] == states["state folder"] == states["broker"] == "fail"
    assert "nobody listens there" in said
    assert "Traceback" not in said


def test_names_that_no_model_has_are_said(broker: Broker, tmp_path: Path) -> None:
    config = plain(broker, tmp_path)
    config.write_text(config.read_text() + '[vehicles]\ngate = "ignition > 0"\n[sensitivity]\nrmp = 2.0\n')
    _, states, said = doctor(config)
    assert (states["names"], states["gate"]) == ("fail", "warn")
    assert "no model has: rmp" in said
    assert "no model has: ignition" in said


def test_a_bad_configuration_ends_with_78(tmp_path: Path) -> None:
    (tmp_path / "tickover.toml").write_text("[broker]\n")
    assert doctor(tmp_path / "tickover.toml")[0] == 78


@pytest.mark.parametrize("name", ["ca.crt", "broker.crt", "truck-1.crt"])
def test_the_dates_of_a_certificate(fleet: FleetBroker, name: str) -> None:
    begins, ends = validity(read_certificate(fleet.certs / name))
    assert timedelta(0) <= datetime.now(UTC) - begins < timedelta(minutes=10)
    assert ends - begins == timedelta(days=3650 if name == "ca.crt" else 825)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: b"\x30\x82" + data))
@example(b"")
@example(b"\x30\xff" + bytes([255]) * 200)
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        validity(data)


def test_every_prefix_of_a_certificate_is_refused_or_read(fleet: FleetBroker) -> None:
    der = read_certificate(fleet.certs / "ca.crt")
    for length in range(len(der)):
        with pytest.raises(ValueError, match=r"."):
            validity(der[:length])

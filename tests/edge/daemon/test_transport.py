"""A transport that is not MQTT carries the whole daemon; `tickover.transports.base` is all that it implements."""

import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from daemon_process import MODEL, Row, alerts_in, as_told, drive, replayed
from faults.scripted import write_config
from paths import ROOT
from tickover.daemon import committer, loop, presence, recovery, runner
from tickover.daemon.config import load_config
from tickover.daemon.loop import Daemon
from tickover.daemon.recovery import open_fleet
from tickover.daemon.sources import Transport
from tickover.model.detector import Detector
from tickover.transports.base import About, Connected, Event, Published, Received, Session, Subscribed

TOPIC = "in/t1"


class Numbers:
    """Deduplication by a number that each message carries: what is no larger than the largest so far is a repeat."""

    PAGE = "largest"

    def __init__(self) -> None:
        self._largest = 0

    def is_repeat(self, message: Received) -> bool:
        return message.token <= self._largest

    def note(self, message: Received) -> None:
        self._largest = message.token

    def new(self) -> bytes:
        return self._largest.to_bytes(8, "big")

    def pages(self, everything: bool) -> dict[str, bytes]:
        return {self.PAGE: self.new()}

    def restore(self, stored: Callable[[str], bytes | None], journalled: bytes) -> None:
        newest = journalled[-8:] or stored(self.PAGE) or b""
        self._largest = int.from_bytes(newest, "big")

    def forget(self) -> None:
        self._largest = 0


class Bus:
    """What lies outside the daemon: it numbers what is sent, keeps it until it is acknowledged, and repeats it."""

    def __init__(self) -> None:
        self.sent = 0
        self.unacknowledged: dict[int, tuple[str, bytes]] = {}
        self.published: list[tuple[str, bytes, bool]] = []
        self.session: Session | None = None
        self.done: list[str] = []
        """What the daemon did to it, in order: the topics that it published, and ``acknowledged``."""

    def send(self, topic: str, payload: bytes) -> None:
        self.sent += 1
        self.unacknowledged[self.sent] = (topic, payload)

    def of(self, part: str) -> list[bytes]:
        return [body for topic, body, _ in self.published if part in topic]


class MemoryTransport:
    """Source and sink on a bus in memory."""

    about = About("memory", "gateway", away_s=1.0, window=50)
    waiting = 0

    def __init__(self, bus: Bus) -> None:
        self.bus, self.deduplication = bus, Numbers()
        self._handed: set[int] = set()
        self._events: deque[Event] = deque()

    @property
    def beat(self) -> float:
        return time.monotonic()

    heard = beat

    def start(self, session: Session) -> None:
        self.bus.session = session
        self._events += [Connected(resumed=True), Subscribed(())]

    def stop(self, timeout: float) -> None:
        self.bus.session = None

    def receive(self, timeout: float, limit: int, gather: float = 0.0) -> list[Event]:
        new = {number: message for number, message in self.bus.unacknowledged.items() if number not in self._handed}
        self._handed |= new.keys()
        self._events += [Received(*message, time.time_ns() // 1000, number) for number, message in new.items()]
        return [self._events.popleft() for _ in range(min(limit, len(self._events)))]

    def acknowledge(self, tokens: Iterable[object]) -> None:
        self.bus.done.append("acknowledged")
        for number in tokens:
            del self.bus.unacknowledged[number]

    def back_off(self, reason: str) -> None:
        raise AssertionError(reason)

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False) -> None:
        self.bus.published.append((topic, payload, retain))
        self.bus.done.append(topic)
        self._events.append(Published(token, ""))

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.bus.published.append((topic, payload, retain))


@pytest.fixture(autouse=True)
def announced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "LISTEN_S", 0.0)


@contextmanager
def daemon_on(bus: Bus, folder: Path, commit_s: float = 0.02):
    config = load_config(write_config(folder / "config.toml", folder / "state", MODEL, commit_s=commit_s))
    transport = MemoryTransport(bus)
    yield runner.open_daemon(config, open_fleet(config), "one", Transport(transport, transport))


def play(bus: Bus, rows: Iterable[Row]) -> None:
    for stamp, shown in rows:
        bus.send(TOPIC, json.dumps({"t": stamp, **shown}).encode())


def turn_until(daemon: Daemon, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        daemon.turn(0)


def test_readings_in_and_alerts_out(tmp_path: Path) -> None:
    bus, rows = Bus(), drive(290)
    wanted = as_told(replayed(rows))
    with daemon_on(bus, tmp_path) as daemon:
        assert bus.session
        assert "in/+" in bus.session.filters
        assert bus.session.will
        play(bus, rows)
        bus.send("tickover/v1/scripted/cmd/status/request", b'{"id": 1}')
        turn_until(daemon, lambda: {alert.alert_id for alert in alerts_in(bus.of("/alert/"))} >= wanted.keys())
        turn_until(daemon, lambda: not bus.unacknowledged and bool(bus.of("cmd/status/response")))
        daemon.stop(1.0)
    assert all(alert == wanted[alert.alert_id] for alert in alerts_in(bus.of("/alert/")))
    assert json.loads(bus.of("cmd/status/response")[0])["result"]["rows"] == len(rows)
    assert [json.loads(body)["state"] for body in bus.of("scripted/status")] == ["online", "stopped"]
    assert ("tickover/v1/t1/alarm/anomaly", b"", True) in bus.published, "retained topics are marked"


def test_a_value_in_another_unit_is_the_same_reading(tmp_path: Path) -> None:
    """The model's coolant is in degrees Celsius; this truck says Fahrenheit."""
    bus, rows = Bus(), drive(60)
    wanted = {alert.alert_id for alert in replayed(rows)}
    with daemon_on(bus, tmp_path) as daemon:
        assert daemon.engine.opened.manifests["anomaly"].signals[0].unit == "degC"
        for stamp, shown in rows:
            told = {name: f"{v * 1.8 + 32:.9f} °F" if name == "coolant" else v for name, v in shown.items()}
            bus.send(TOPIC, json.dumps({"t": stamp, **told}).encode())
        turn_until(daemon, lambda: not bus.unacknowledged)
        turn_until(daemon, lambda: {alert.alert_id for alert in alerts_in(bus.of("/alert/"))} >= wanted)
        daemon.stop(1.0)
    assert {alert.alert_id for alert in alerts_in(bus.of("/alert/"))} == wanted


def test_what_is_too_much_for_one_turn_waits_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ROWS", 10)
    monkeypatch.setattr(loop, "TURN_S", 0.0)
    bus, rows = Bus(), drive(290)
    wanted, before, most = as_told(replayed(rows)), 0, 0
    with daemon_on(bus, tmp_path) as daemon:
        play(bus, rows)
        while {alert.alert_id for alert in alerts_in(bus.of("/alert/"))} < wanted.keys():
            daemon.turn(0)
            taken = daemon.engine.intake.counts["rows"]
            before, most = taken, max(most, taken - before)
        turn_until(daemon, lambda: not bus.unacknowledged)
        daemon.stop(1.0)
    assert most == loop.ROWS
    assert all(alert == wanted[alert.alert_id] for alert in alerts_in(bus.of("/alert/")))


def test_an_entry_of_the_journal_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "ENTRY_MOST", 500)
    monkeypatch.setattr(recovery, "BYTES_AT_ONCE", 1000)
    bus, rows = Bus(), drive(200)
    wanted = as_told(replayed(rows))
    with daemon_on(bus, tmp_path, commit_s=60) as daemon:
        for first in range(0, len(rows), 20):  # fewer than half the window
            play(bus, rows[first : first + 20])
            daemon.turn(0)
            daemon.turn(0)
            assert not bus.unacknowledged, "20 rows of 32 bytes were reason enough"
        daemon.engine.store.close()
    with daemon_on(bus, tmp_path) as daemon:
        turn_until(daemon, lambda: {alert.alert_id for alert in alerts_in(bus.of("/alert/"))} >= wanted.keys())
        assert daemon.engine.fleet.vehicles == ("t1",)
        daemon.engine.store.close()
    assert all(alert == wanted[alert.alert_id] for alert in alerts_in(bus.of("/alert/")))


def test_nothing_is_acknowledged_before_it_is_committed(tmp_path: Path) -> None:
    bus = Bus()
    with daemon_on(bus, tmp_path, commit_s=60) as daemon:
        play(bus, drive(1))
        turn_until(daemon, lambda: not bus.unacknowledged)  # a vehicle met for the first time is committed at once
        before = daemon.engine.store.seq
        play(bus, drive(6)[1:])
        for _ in range(5):
            daemon.turn(0)
        assert (len(bus.unacknowledged), daemon.engine.store.seq) == (5, before)
        daemon.engine.commit()
        assert (len(bus.unacknowledged), daemon.engine.store.seq) == (0, before + 1)
        daemon.engine.store.close()


def test_an_alert_goes_out_at_once_and_before_acknowledgements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tick is run by the graph more than once: at one that opens an episode that would delay the alert."""
    calls, method = [], Detector.run_batch

    def spy(detector: Detector, states: np.ndarray, rows: np.ndarray) -> object:
        calls.append((states.tobytes(), rows.tobytes()))
        return method(detector, states, rows)

    monkeypatch.setattr(Detector, "run_batch", spy)
    bus, alert = Bus(), "tickover/v1/t1/alert/anomaly"
    with daemon_on(bus, tmp_path) as daemon:
        for row in drive(60):
            play(bus, [row])
            before, published = len(bus.done), bus.done.count(alert)
            daemon.turn(0)
            if bus.done.count(alert) > published:
                done = bus.done[before:]
                assert done.index(alert) < done.index("acknowledged"), "both of this turn's commit"
        daemon.engine.store.close()
    assert bus.done.count(alert) >= 1
    assert len(calls) == len(set(calls)) > 50


@pytest.mark.parametrize("checkpoint", [False, True])
def test_what_was_committed_and_is_repeated_after_a_crash_counts_once(tmp_path: Path, checkpoint: bool) -> None:
    """The peer did not hear the acknowledgements; the transport's own deduplication is as durable as the readings."""
    bus, rows = Bus(), drive(200)
    wanted = as_told(replayed(rows))
    with daemon_on(bus, tmp_path) as daemon:
        play(bus, rows[:120])
        repeated = dict(bus.unacknowledged)
        turn_until(daemon, lambda: not bus.unacknowledged)
        daemon.engine.commit(checkpoint=checkpoint)
        daemon.engine.store.close()
    bus.unacknowledged |= repeated
    play(bus, rows[120:])
    with daemon_on(bus, tmp_path) as daemon:
        turn_until(daemon, lambda: {alert.alert_id for alert in alerts_in(bus.of("/alert/"))} >= wanted.keys())
        turn_until(daemon, lambda: not bus.unacknowledged)
        assert daemon.engine.intake.counts["repeated"] == 120
        assert daemon.engine.intake.counts["rows"] == len(rows) - 120
        daemon.engine.store.close()
    assert all(alert == wanted[alert.alert_id] for alert in alerts_in(bus.of("/alert/")))


def test_the_loop_imports_no_mqtt_client() -> None:
    code = """
import sys
sys.modules["paho"] = None
import tickover.daemon.loop, tickover.daemon.runner
loaded = [name for name in sys.modules if name.startswith("tickover.transports.mqtt.")]
print(*sorted(loaded))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    known = {f"tickover.transports.mqtt.{name}" for name in ("address", "credentials", "settings")}
    assert set(done.stdout.split()) == known

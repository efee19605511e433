"""Daemons that share a fleet, real processes on a real Mosquitto; one is moved with its state while trucks send.

What is moved: the daemon ends (SIGTERM), ``tickover state export`` and ``import`` bring its state into another folder,
and a daemon goes on there under the same client id. Meanwhile the broker keeps what comes. Each alert that a replay of
a truck's readings gives must arrive, and none with another id or content.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np

from broker import Broker
from daemon_process import MODEL, SIGNALS, Daemon, Row, Watcher, drive
from faults.process import environment
from tickover.core.pipeline import Pipeline
from tickover.core.values import Alert, Readings
from tickover.daemon.config import load_config
from tickover.daemon.shards import shard_of
from tickover.messages.alerts import decode_alert, encode_alert
from tickover.model.detector import Detector

MOVED: Final = 1
"""The shard that moves."""
MOVE_AT: Final = 0.4
"""After this share of the messages."""
IN_FLIGHT: Final = 2_000
PATIENCE_S: Final = 120


def run(folder: Path, *, shards: int, vehicles: int, seconds: int, speed: float) -> dict[str, object]:
    """Seconds of driving of each vehicle at 1 Hz, ``speed`` times as fast (0: as fast as they are taken)."""
    fleet = {f"truck-{number}": drive(seconds, seed=number) for number in range(vehicles)}
    wanted = replayed(fleet)
    with Broker(folder / "broker") as broker, Watcher(broker) as watcher:
        daemons = [_daemon(folder / f"daemon-{number}", broker, shards, number).start() for number in range(shards)]
        moved = _daemon(folder / "elsewhere", broker, shards, MOVED)
        took_s = 0.0
        try:
            sender = _Sender(broker, speed)
            messages = _in_order(fleet)
            cut = int(MOVE_AT * len(messages))
            sender.send(messages[:cut])
            began = time.monotonic()
            _move(daemons[MOVED], moved, folder / "shard.tickover", lambda: sender.send(messages[cut : cut + vehicles]))
            took_s = time.monotonic() - began
            sender.send(messages[cut + vehicles :])
            sender.close()
            got = _await(watcher, wanted)
        finally:
            for daemon in (*daemons, moved):
                if daemon.process and not daemon.over():
                    daemon.kill()
    mine = [name for name in fleet if shard_of(name, shards) == MOVED]
    return _figures(got, wanted) | {
        "vehicles": vehicles,
        "shards": shards,
        "vehicles_moved": len(mine),
        "messages": len(messages),
        "move_s": round(took_s, 1),
    }


def replayed(fleet: dict[str, list[Row]]) -> dict[str, Alert]:
    """What the readings give without a daemon, as it looks after a journey through JSON; by id."""
    pipeline = Pipeline(Detector.load(MODEL))
    alerts: dict[str, Alert] = {}
    for name, rows in fleet.items():
        time_ = np.array([round(stamp * 1e6) for stamp, _ in rows], np.int64)
        values = np.array([[shown.get(signal, np.nan) for signal in SIGNALS] for _, shown in rows])
        pipeline.feed(Readings(name, SIGNALS, time_, values))
        found = [alert for output in pipeline.pump() for alert in output.alerts]
        alerts |= {alert.alert_id: decode_alert(encode_alert(alert)) for alert in found}
    return alerts


def _daemon(folder: Path, broker: Broker, shards: int, number: int) -> Daemon:
    return Daemon(folder, broker.port, fleet={"shards": shards, "shard": number})


def _move(old: Daemon, new: Daemon, file: Path, meanwhile) -> None:
    assert old.stop() == 0, old.text()
    _state("export", str(file), str(load_config(old.config).state.folder))
    meanwhile()
    _state("import", str(file), str(load_config(new.config).state.folder))
    new.start()


def _state(*arguments: str) -> None:
    line = [sys.executable, "-m", "tickover", "state", *arguments]
    subprocess.run(line, check=True, env=environment(), capture_output=True, timeout=60)


def _in_order(fleet: dict[str, list[Row]]) -> list[tuple[str, Row]]:
    """All readings, by time, as they come from trucks side by side."""
    rows = [(name, row) for name, rows in fleet.items() for row in rows]
    return sorted(rows, key=lambda one: one[1][0])


class _Sender:
    """Publishes at QoS 1, at a set pace, with a bounded number in flight."""

    def __init__(self, broker: Broker, speed: float) -> None:
        self._client = broker.client()
        self._speed = speed
        self._first: float | None = None
        self._began = 0.0
        self._waiting: list = []

    def send(self, messages: list[tuple[str, Row]]) -> None:
        for name, (stamp, shown) in messages:
            self._wait(stamp)
            body = json.dumps({"t": stamp, **shown})
            self._waiting.append(self._client.publish(f"truck/{name}/telemetry", body, qos=1))
            if len(self._waiting) >= IN_FLIGHT:
                for info in self._waiting:
                    info.wait_for_publish(60)
                self._waiting.clear()

    def close(self) -> None:
        for info in self._waiting:
            info.wait_for_publish(60)
        self._client.disconnect()
        self._client.loop_stop()

    def _wait(self, stamp: float) -> None:
        if not self._speed:
            return
        if self._first is None:
            self._first, self._began = stamp, time.monotonic()
        left = self._began + (stamp - self._first) / self._speed - time.monotonic()
        if left > 0:
            time.sleep(left)


def _await(watcher: Watcher, wanted: dict[str, Alert]) -> list[Alert]:
    """The alerts once all that are wanted came, and a little longer; or what came when patience ends."""
    until = time.monotonic() + PATIENCE_S
    seen = -1
    while time.monotonic() < until:
        alerts = watcher.alerts()
        if {alert.alert_id for alert in alerts} >= wanted.keys() and len(alerts) == seen:
            return alerts
        seen = len(alerts)
        time.sleep(0.5)
    return watcher.alerts()


def _figures(got: list[Alert], wanted: dict[str, Alert]) -> dict[str, object]:
    ids = Counter(alert.alert_id for alert in got)
    lost = len(wanted.keys() - ids.keys())
    new = len(ids.keys() - wanted.keys())
    different = sum(alert.alert_id in wanted and alert != wanted[alert.alert_id] for alert in got)
    return {
        "good": bool(wanted) and not lost and not new and not different,
        "alerts": len(wanted),
        "lost": lost,
        "new_ids": new,
        "different": different,
        "again": sum(ids.values()) - len(ids),
    }

"""8 kB/s down, 4 kB/s up, 3,000 readings queued, an alert in the outbox: it is told at once, and nothing is lost."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from broker import Broker, Listener, broker, wait_until
from daemon_process import Daemon, Truck, Watcher, as_told, drive, replayed
from faults.narrow import NarrowProxy
from faults.proxy import Proxy
from tickover.storage.store import FILE

__all__ = ["broker"]
BEFORE, QUEUED = 200, 3_000
DOWN, UP = 8_000, 4_000
MADE_S = 3.0
"""Long enough for the alerts of the first readings; the store can be read once the daemon has ended."""
WITHIN_S = 3.0
"""From the CONNACK, until the broker has the first alert: what 8 kB/s and 4 kB/s leave of a whole minute."""


def waiting(daemon: Daemon) -> int:
    """Alerts in the outbox."""
    with closing(sqlite3.connect(daemon.state / FILE)) as store:
        sql = "SELECT count(*) FROM outbox WHERE delivered IS NULL AND topic LIKE '%/alert/anomaly'"
        return int(store.execute(sql).fetchone()[0])


def through(daemon: Daemon, port: int) -> None:
    daemon.write_config(broker={"port": port, "receive_maximum": 2000})


@pytest.mark.slow
def test_the_first_alert_does_not_wait_for_the_queued_readings(broker: Broker, tmp_path: Path) -> None:
    rows = drive(BEFORE + QUEUED)
    deaf, narrow = Proxy(broker.port), NarrowProxy(broker.port, DOWN, UP)
    arrived: list[float] = []
    with Watcher(broker) as watcher, Truck(broker) as truck, Daemon(tmp_path, deaf.port) as daemon:
        wait_until(lambda: bool(watcher.of("gateway/status")), 10, "online")
        deaf.mute()  # what the daemon says is lost: its alerts stay in the outbox
        truck.send(rows[:BEFORE])
        time.sleep(MADE_S)
        daemon.kill()
        assert waiting(daemon) > 0
        deaf.close()
        truck.send(rows[BEFORE:])
        alerts = Listener(broker, "tickover/v1/+/alert/anomaly")
        alerts.client.on_message = lambda *_: arrived.append(time.monotonic())
        through(daemon, narrow.port)
        daemon.start(ready=False)
        wait_until(lambda: bool(arrived), 60, "the first alert")
        took = arrived[0] - narrow.first_down[0]
        alerts.close()
        wait_until(lambda: b"online" in b"".join(watcher.of("gateway/status")[-1:]), 10, "the status is told as well")
        wait_until(lambda: bool(watcher.of("gateway/health")), 10, "so is health")
        daemon.kill()
        narrow.close()
        through(daemon, broker.port)
        daemon.start()
        watcher.expect(as_told(replayed(rows)), seconds=60)
        print(f"first alert {took:.2f} s after the CONNACK")
    assert took <= WITHIN_S

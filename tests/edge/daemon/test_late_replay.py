"""``vehicles.late = "replay"`` through a broker: held readings outlive a SIGKILL; what is open ends with the key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker, wait_until
from daemon_process import Daemon, Row, Truck, Watcher, drive
from tickover.core.values import EndReason, Phase
from tickover.daemon.late import REPLAYED

LATE = f"anomaly{REPLAYED}"
ROWS = drive(120)
OLD: list[Row] = [(stamp - 3600, shown) for stamp, shown in ROWS[10:48]]
"""An hour before, with a fault: fewer rows than are taken for a clock that was set back."""


@pytest.fixture
def truck(broker: Broker) -> Iterator[Truck]:
    with Truck(broker) as one:
        yield one


@pytest.fixture
def watcher(broker: Broker) -> Iterator[Watcher]:
    with Watcher(broker) as one:
        yield one


def taken(watcher: Watcher) -> dict:
    return watcher.answer("status")["result"]


def test_held_readings_outlive_a_kill_and_their_alarm_a_change_of_the_key(
    broker: Broker, truck: Truck, watcher: Watcher, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker.port, vehicles={"late": "replay"}) as daemon:
        truck.send(ROWS[:30])
        truck.send(OLD)
        wait_until(lambda: taken(watcher)["rows"] >= 30 + len(OLD), 20, "all are taken")
        assert not [alert for alert in watcher.alerts() if alert.detector == LATE], "they are held"
        daemon.kill()
        daemon.start()
        truck.send(ROWS[30:38])
        wait_until(lambda: bool([a for a in watcher.alerts() if a.detector == LATE]), 20, "the alert of an hour ago")
        dropped = taken(watcher)["dropped"]
        assert dropped.get("replayed") == sum(len(shown) for _, shown in OLD)
        assert not {"late", "clock_back", "repeated"} & dropped.keys()
        (first,) = {a.episode_id for a in watcher.alerts() if a.detector == LATE}
        assert not [a for a in watcher.alerts() if a.phase is Phase.END], "the drain may go on"

        assert daemon.stop() == 0
        daemon.write_config(vehicles={"late": "drop"})
        daemon.start()
        ends = lambda: [a for a in watcher.alerts() if a.detector == LATE and a.phase is Phase.END]  # noqa: E731
        wait_until(lambda: bool(ends()), 20, "its end")
        assert {(a.episode_id, a.reason) for a in ends()} == {(first, EndReason.END_OF_LOG)}
        wait_until(lambda: watcher.of(f"t1/alarm/{LATE}")[-1:] == [b""], 10, "its alarm is cleared")
        assert daemon.stop() == 0
        count = len(watcher.alerts())
        daemon.start()
        taken(watcher)
        assert len(watcher.alerts()) == count, "it is told once"

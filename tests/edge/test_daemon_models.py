"""Two detectors on one truck: topics, states and episodes of their own, also over a kill and a restart."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker, wait_until
from daemon_process import MODEL, OTHER_MODEL, Daemon, Truck, Watcher, alerts_in, as_told, drive, replayed
from tickover.records import Alert

DETECTORS = {"anomaly": MODEL, "forecast": OTHER_MODEL}


class TwoModels(Daemon):
    """A daemon with a second model beside the first."""

    def write_config(self, model: Path = MODEL, **tables: dict[str, object]) -> None:
        super().write_config(model, **tables)
        second = f'\n[[models]]\npath = "{OTHER_MODEL}"\ndetector = "forecast"\n'
        self.config.write_text(self.config.read_text() + second)


@pytest.fixture
def daemon(tmp_path: Path, broker: Broker) -> Iterator[Daemon]:
    with TwoModels(tmp_path / "daemon", broker.port) as running:
        yield running


def told(watcher: Watcher, detector: str) -> list[Alert]:
    return alerts_in(watcher.of(f"t1/alert/{detector}"))


def test_two_detectors_keep_topics_and_states_apart_over_a_kill(daemon: Daemon, truck: Truck, watcher: Watcher) -> None:
    rows = drive(500)
    wanted = {name: as_told(replayed(rows, model=model, detector=name)) for name, model in DETECTORS.items()}
    assert all(wanted.values()), "the drive alarms both"
    assert not wanted["anomaly"].keys() & wanted["forecast"].keys()

    truck.send(rows[:45])  # in the middle of the first fault
    wait_until(lambda: all(told(watcher, name) for name in DETECTORS), 10, "both have an open episode")
    daemon.kill()
    truck.send(rows[45:250])
    daemon.start()
    truck.send(rows[250:])

    for name, alerts in wanted.items():
        wait_until(
            lambda name=name, alerts=alerts: {a.alert_id for a in told(watcher, name)} >= alerts.keys(), 20, name
        )
        assert all(alert == alerts[alert.alert_id] for alert in told(watcher, name)), name
    shown = watcher.answer("snapshot", "t1")["result"]["t1"]
    assert shown.keys() == DETECTORS.keys()
    assert shown["anomaly"]["signals"]["rpm"]["expected"] != shown["forecast"]["signals"]["rpm"]["expected"]


def test_each_detector_has_its_alarm_topic_and_its_line_in_info(daemon: Daemon, truck: Truck, watcher: Watcher) -> None:
    truck.send(drive(50))
    for name in DETECTORS:
        wait_until(lambda name=name: bool(watcher.of(f"t1/alarm/{name}")), 10, f"alarm/{name}")
        assert alerts_in(watcher.of(f"t1/alarm/{name}"))[-1].detector == name
    wait_until(lambda: bool(watcher.of("gateway/info")), 10, "info")
    models = json.loads(watcher.of("gateway/info")[-1])["models"]
    assert [model["detector"] for model in models] == list(DETECTORS)
    assert len({model["digest"] for model in models}) == 2

"""Two detectors on one truck: topics, states and episodes of their own, also over a kill and a restart."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker import Broker, wait_until
from daemon_process import MODEL, OTHER_MODEL, Daemon, Truck, Watcher, alerts_in, as_told, drive, replayed
from tickover.core.values import Alert, EndReason, Phase

DETECTORS = {"anomaly": MODEL, "forecast": OTHER_MODEL}
THIRD_MODEL = MODEL.with_name("rnn_seq2seq.onnx")


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


def restart(daemon: Daemon) -> None:
    assert daemon.stop() == 0
    daemon.start()


@pytest.mark.parametrize("take_up", [restart, Daemon.hang_up], ids=["restart", "SIGHUP"])
def test_another_model_for_one_detector_leaves_the_other_alone(
    daemon: Daemon, truck: Truck, watcher: Watcher, take_up: Callable[[Daemon], None]
) -> None:
    rows = drive(400)
    before, after = rows[:45], rows[45:]  # in the middle of the first fault
    truck.send(before)
    wait_until(lambda: all(told(watcher, name) for name in DETECTORS), 10, "both have an open episode")
    daemon.write_config(THIRD_MODEL)
    take_up(daemon)
    wait_until(
        lambda: [one.phase for one in told(watcher, "anomaly")[-1:]] == [Phase.END], 15, "the old model's episode ends"
    )
    end = told(watcher, "anomaly")[-1]
    assert (end.reason, end.episode_id) == (EndReason.MODEL_CHANGED, told(watcher, "anomaly")[0].episode_id)
    wait_until(lambda: watcher.of("t1/alarm/anomaly")[-1:] == [b""], 10, "its alarm is cleared")
    (notice,) = watcher.of("gateway/alert/model_changed")
    assert "another model for anomaly" in json.loads(notice)["data"]["text"]

    truck.send(after)
    fresh = as_told(replayed(after, model=THIRD_MODEL))
    wait_until(lambda: {a.alert_id for a in told(watcher, "anomaly")} >= fresh.keys(), 20, "the new model's alerts")
    assert all(alert == fresh[alert.alert_id] for alert in told(watcher, "anomaly") if alert.time > end.time)
    whole = as_told(replayed(rows, model=OTHER_MODEL, detector="forecast"))
    wait_until(lambda: {a.alert_id for a in told(watcher, "forecast")} >= whole.keys(), 20, "the other's alerts")
    assert all(alert == whole[alert.alert_id] for alert in told(watcher, "forecast"))


def test_each_detector_has_its_alarm_topic_and_its_line_in_info(daemon: Daemon, truck: Truck, watcher: Watcher) -> None:
    truck.send(drive(48))  # the fault lasts: an alarm that is cleared in the same commit is not published
    for name in DETECTORS:
        # A vehicle that is met for the first time has its alarms cleared first.
        wait_until(lambda name=name: bool(alerts_in(watcher.of(f"t1/alarm/{name}"))), 10, f"alarm/{name}")
        assert alerts_in(watcher.of(f"t1/alarm/{name}"))[-1].detector == name
    wait_until(lambda: bool(watcher.of("gateway/info")), 10, "info")
    models = json.loads(watcher.of("gateway/info")[-1])["models"]
    assert [model["detector"] for model in models] == list(DETECTORS)
    assert len({model["digest"] for model in models}) == 2

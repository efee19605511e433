"""A person's verdict on an alert: durable, traced, undoable; unknown ids are refused and nothing is written."""

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from broker import Broker, broker, wait_until
from daemon_process import START, Daemon, Truck, Watcher, drive
from tickover.core.manifest import Budget
from tickover.core.promise import Promise
from tickover.daemon.health import Metrics
from tickover.daemon.promises import MOST, promise_of, promises
from tickover.daemon.verdicts import MOST as MOST_VERDICTS
from tickover.daemon.verdicts import appended
from tickover.messages.bodies import VerdictRecord

__all__ = ["broker"]

SECONDS = 130  # with one fault


def export(daemon: Daemon) -> list[dict[str, Any]]:
    file = daemon.folder / "verdicts.jsonl"
    command = [sys.executable, "-m", "tickover", "state", str(daemon.state), "--verdicts", str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_verdict_is_durable_traced_and_can_be_taken_back(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker.port)
    with Watcher(broker) as watcher, daemon, Truck(broker) as truck:
        truck.send(drive(SECONDS))
        wait_until(lambda: len(watcher.of("t1/alert/anomaly")) >= 2, 10, "an episode ends")
        first = json.loads(watcher.of("t1/alert/anomaly")[0])
        alert, episode = first["id"], first["data"]["episode_id"]
        kept = daemon.state / "tickover.sqlite"

        before = kept.read_bytes()
        for wrong in ({"alert": "nothing"}, {"alert": episode[:-1] + "z"}, {"verdict": "perhaps"}, {"note": "\x07"}):
            answer = watcher.answer("verdict", "t1", **{"alert": alert, "verdict": "false"} | wrong)
            assert not answer["ok"]
            assert "expected" in answer["error"] or "remembered" in answer["error"]
        assert not watcher.answer("verdict", "t2", alert=alert, verdict="false")["ok"]
        assert "one vehicle" in watcher.answer("verdict", "gateway", alert=alert, verdict="false")["error"]
        assert watcher.of("t1/alert/verdict") == []
        assert kept.read_bytes() == before
        assert export(daemon) == []

        result = watcher.answer("verdict", "t1", alert=alert, verdict="real", note="belt torn")["result"]
        assert (result["episode"], result["verdict"], result["before"]) == (episode, "real", "none")
        assert result["promise"]["episodes"] == 0
        daemon.kill()
        daemon.start()
        again = watcher.answer("verdict", "t1", alert=alert, verdict="real")["result"]
        assert again["before"] == "real"
        assert len(set(watcher.of("t1/alert/verdict"))) == 1  # what is said again is not told again
        (line,) = export(daemon)
        VerdictRecord(**line)
        assert START < line["at"] / 1e6 < START + SECONDS
        assert (line["episode"], line["verdict"], line["note"], line["vehicle"]) == (episode, "real", "belt torn", "t1")

        result = watcher.answer("verdict", "t1", alert=episode, verdict="none")["result"]
        assert (result["before"], result["promise"]["episodes"]) == ("real", 1)
        assert [line["verdict"] for line in export(daemon)] == ["real", "none"]
        told = json.loads(watcher.of("t1/alert/verdict")[0])["data"]["text"]
        assert f"episode {episode} of anomaly" in told
        assert "judged real by" in told
        (meter,) = watcher.answer("status")["result"]["promises"]["t1"]
        assert meter["detector"] == "anomaly"
        assert meter["episodes"] == 1


def test_the_oldest_verdicts_are_forgotten() -> None:
    def line(episode: int) -> VerdictRecord:
        return VerdictRecord(
            time="2026-01-01T00:00:00Z",
            at=0,
            vehicle="t1",
            episode=str(episode),
            detector="anomaly",
            model="ab",
            start="2026-01-01T00:00:00Z",
            end=None,
            peak=1.5,
            charts=("iat.slow",),
            verdict="false",
            before="none",
        )

    lines: bytes | None = None
    for number in range(MOST_VERDICTS + 3):
        lines = appended(lines, line(number))
    kept = [json.loads(one)["episode"] for one in (lines or b"").splitlines()]
    assert kept == [str(number) for number in range(3, MOST_VERDICTS + 3)]


def test_a_report_shows_the_vehicles_furthest_over_their_budget() -> None:
    class Many:
        vehicles = tuple(f"t{number}" for number in range(100))

        def promises(self, vehicle: str) -> dict[str, Promise]:
            promise = Promise(Budget(episodes=1, per_s=3600), 1_000_000)
            for _ in range(int(vehicle[1:])):
                promise.opened("iat.slow")
            return {"anomaly": promise}

        def with_episodes(self) -> set[str]:
            return {*self.vehicles} - {"t0"}

        def raised(self, vehicle: str, detector: str) -> dict[str, float]:
            return {"iat.slow": 1.21}

    few = Many()
    few.vehicles = few.vehicles[:10]
    assert [*promises(few)["promises"]] == [f"t{number}" for number in range(10)]  # type: ignore[arg-type]
    report = promises(Many())  # type: ignore[arg-type]
    assert report["promises_broken"] == 100 - 7  # seven in the first hour prove it
    assert set(report["promises"]) == {f"t{number}" for number in range(100 - MOST, 100)}
    (meter,) = report["promises"]["t99"]
    assert meter["blame"] == {"iat.slow": 99}
    assert meter["raised"] == {"iat.slow": 1.21}


def test_a_meter_has_episodes_until_all_are_found_false() -> None:
    promise = Promise(Budget(episodes=1, per_s=3600), 1_000_000)
    assert not promise.has_episodes
    promise.opened("iat.slow")
    assert promise.has_episodes
    promise.count(promise.number, "iat.slow", -1)
    assert not promise.has_episodes
    assert promise.episodes == 0


def test_prometheus_shows_the_meters_of_those_reported_and_no_others() -> None:
    pytest.importorskip("prometheus_client")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    metrics = Metrics(port)
    promise = Promise(Budget(episodes=1, per_s=3600), 1_000_000)
    promise.opened("iat.slow")

    def page() -> str:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).read().decode()

    try:
        metrics.show({"promises_broken": 0, "promises": {"t1": [promise_of("anomaly", promise.read())]}})
        assert 'tickover_promise_episodes{detector="anomaly",vehicle="t1"} 1.0' in page()
        metrics.show({"promises_broken": 0, "promises": {}})
        assert "t1" not in page()
        assert "tickover_promises_broken 0.0" in page()
    finally:
        metrics.close()

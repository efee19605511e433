"""Counts of dropped readings never fall, so that no later drop is hidden: in health, Prometheus, log and notice."""

import json
import logging
from pathlib import Path

import pytest

from broker import free_port
from daemon_process import MODEL, START, Row
from faults.scripted import ScriptedLink, message, started, turn_until_idle, write_config
from tickover.daemon.loop import Daemon

LATE_1, LATE_2 = 90, 15
"""Late readings (three in a row) of the first vehicle and of the second."""


def rows(first: int, last: int) -> list[Row]:
    return [(START + second, {"coolant": 27.0, "rpm": 49.0, "speed": 39.0}) for second in range(first, last)]


def late(readings: int, after: int) -> list[Row]:
    return [(START + after - 5 + (n + 1) / 1000, rows(0, 1)[0][1]) for n in range(readings // 3)]


class Driven:
    """A daemon that is told when each second passes."""

    def __init__(self, daemon: Daemon, link: ScriptedLink) -> None:
        self.daemon, self.link, self.sent = daemon, link, 0

    def send(self, vehicle: str, rows: list[Row]) -> None:
        for row in rows:
            self.sent += 1
            self.link.inbox.append(message(row, self.sent, topic=f"in/{vehicle}"))
        turn_until_idle(self.daemon, self.link)

    def sleep(self, vehicle: str) -> None:
        self.daemon.engine.sleep(vehicle)
        self.daemon.engine.commit()
        assert vehicle not in self.daemon.engine.fleet

    def late(self) -> int:
        """As a health report says."""
        self.daemon.health.publish()
        turn_until_idle(self.daemon, self.link)
        return int(json.loads(self.link.of("/health")[-1])["dropped"].get("late", 0))

    def notices(self) -> list[bool]:
        turn_until_idle(self.daemon, self.link)
        return [json.loads(body)["data"]["active"] for body in self.link.of("/alert/data_quality")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path / "config.toml", tmp_path / "state", MODEL)
    return tmp_path


def test_drops_after_a_sleep_raise_the_notice(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Between two reports one vehicle goes to sleep, with 90 late readings, and another has 15."""
    with started(folder / "config.toml") as pair, caplog.at_level(logging.WARNING):
        one = Driven(*pair)
        one.send("t1", rows(0, 40) + late(LATE_1, 40))
        assert one.late() == LATE_1
        one.send("t1", rows(40, 50))
        assert one.late() == LATE_1
        assert one.notices() == [True, False]
        caplog.clear()
        one.sleep("t1")
        one.send("t2", rows(0, 40) + late(LATE_2, 40))
        assert one.late() == LATE_1 + LATE_2
        assert [record.message for record in caplog.records if "left out" in record.message] == ["left out: late=15"]
        one.send("t2", rows(40, 41) + late(LATE_2, 41))
        assert one.late() == LATE_1 + 2 * LATE_2
        assert one.notices() == [True, False, True], "15 of 6 rows"


def test_health_says_which_signal_was_left_out_and_why(folder: Path) -> None:
    with started(folder / "config.toml") as pair:
        one = Driven(*pair)
        bad = {"coolant": float("nan"), "rpm": 1e9, "speed": 39.0, "oil": 1.0}
        one.send("t1", [*rows(0, 40), (START + 40, bad), (START + 41, bad), *rows(42, 50)])
        one.daemon.health.publish()
        turn_until_idle(one.daemon, one.link)
        report = json.loads(one.link.of("/health")[-1])
        assert report["dropped_by_signal"] == {
            "coolant": {"not_finite": 2},
            "oil": {"unknown_signal": 2},
            "rpm": {"out_of_range": 2},
        }
        assert {reason: report["dropped"][reason] for reason in ("not_finite", "unknown_signal", "out_of_range")} == {
            "not_finite": 2,
            "unknown_signal": 2,
            "out_of_range": 2,
        }
    with started(folder / "config.toml") as pair:
        assert pair[0].health.report()["dropped_by_signal"] == {}, "the journal's readings were counted before"


@pytest.mark.parametrize("command", ["reset", "out_of_service"])
def test_counts_outlive_a_command(folder: Path, command: str) -> None:
    with started(folder / "config.toml") as pair:
        one = Driven(*pair)
        one.send("t1", rows(0, 40) + late(LATE_1, 40))
        topic = f"tickover/v1/t1/cmd/{command}/request"
        one.link.inbox.append(message((0, {}), 60_000)._replace(topic=topic, payload=b'{"for_s": 60}'))
        turn_until_idle(*pair)
        assert json.loads(one.link.of(f"{command}/response")[-1])["ok"]
        assert one.late() == LATE_1


def test_a_restart_counts_from_0_although_it_runs_the_journal_again(folder: Path) -> None:
    with started(folder / "config.toml") as pair:
        one = Driven(*pair)
        one.send("t1", rows(0, 40) + late(LATE_1, 40))
        assert one.late() == LATE_1
    with started(folder / "config.toml") as pair:
        one = Driven(*pair)
        assert "t1" in one.daemon.engine.fleet
        one.send("t1", rows(40, 41))
        assert one.late() == 0
        assert True not in one.notices()


def test_prometheus_shows_no_fall(folder: Path) -> None:
    pytest.importorskip("prometheus_client")
    from urllib.request import urlopen

    port = free_port()
    config = folder / "config.toml"
    config.write_text(f"{config.read_text()}\n[out]\nmetrics_port = {port}\n")
    with started(config) as pair:
        one = Driven(*pair)
        one.send("t1", rows(0, 40) + late(LATE_1, 40))
        one.sleep("t1")
        one.send("t2", rows(0, 40) + late(LATE_2, 40))
        one.late()
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert f'tickover_dropped{{reason="late"}} {float(LATE_1 + LATE_2)}' in answer.read().decode()
        one.daemon.health.close()

"""What goes up in a day is counted, and stays within the allowance by leaving out what matters least."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

from broker import Broker, wait_until
from daemon_process import MODEL, Daemon, Truck, Watcher, drive, replayed
from tickover.core.values import SECOND, Phase, Severity
from tickover.daemon.uplink import DAY, Uplink, Use

ALERT = replayed(drive(200), model=MODEL)[0]
HOUR = 3600 * SECOND


class Clock:
    def __init__(self) -> None:
        self.now = 20_000 * DAY + HOUR

    def __call__(self) -> int:
        return self.now


def uplink(clock: Clock, allowance: int = 1000, vehicles: int = 1, saved: bytes | None = None) -> Uplink:
    return Uplink(allowance, lambda: vehicles, clock, saved)


def update(severity: Severity = Severity.WARNING, phase: Phase = Phase.UPDATE):
    return dataclasses.replace(ALERT, phase=phase, severity=severity)


def spent(one: Uplink, size: int) -> None:
    topic = "b/v1/t/alert/anomaly"
    one.sent(topic, size - len(topic))


def test_bytes_are_counted_by_what_they_are_for() -> None:
    one = uplink(Clock())
    for topic in ("b/v1/t/alert/anomaly", "b/v1/t/alarm/anomaly", "b/v1/n/health", "b/v1/t/score", "b/v1/n/status"):
        one.sent(topic, 100)
    assert one.report()["up_today"] == {"alert": 120, "alarm": 120, "health": 113, "score": 112, "other": 113}


@pytest.mark.parametrize(
    ("used", "score", "health", "updates"),
    [
        (0, True, 30, True),
        (499, True, 30, True),
        (500, False, 30, True),
        (750, False, 2, True),
        (1000, False, 0, False),
    ],
)
def test_scores_give_way_first_then_health_then_updates(used: int, score: bool, health: int, updates: bool) -> None:
    one = uplink(Clock())
    if used:
        spent(one, used)
    assert one.allows(Use.SCORE) is score
    assert sum(one.allows(Use.HEALTH) for _ in range(30)) == health
    assert one.leaves_out(update()) is not updates
    assert not one.leaves_out(update(Severity.CRITICAL))
    assert not one.leaves_out(update(phase=Phase.START))
    assert not one.leaves_out(update(phase=Phase.END))
    assert bool(one.trouble) is not score
    assert one.report()["left_out_today"].get("health", 0) == 30 - health


def test_each_vehicle_brings_its_own_allowance_and_none_means_no_limit() -> None:
    one = uplink(Clock(), vehicles=10)
    spent(one, 4999)
    assert one.allows(Use.SCORE)
    endless = uplink(Clock(), allowance=0)
    spent(endless, 10**12)
    assert endless.allows(Use.SCORE)
    assert endless.trouble == ""


def test_a_day_ends_at_midnight_and_outlives_a_restart() -> None:
    clock = Clock()
    one = uplink(clock)
    spent(one, 2000)
    again = uplink(clock, saved=one.encode())
    assert again.share == 2.0
    clock.now += 22 * HOUR
    assert again.share == 2.0
    clock.now += HOUR
    assert again.share == 0.0
    assert again.allows(Use.SCORE)


ALLOWANCE = 30_000


def test_a_daemon_keeps_to_it_at_the_broker_and_says_so(tmp_path: Path, broker: Broker, truck: Truck) -> None:
    """Scores and health as often as can be; every start and end of an episode arrives all the same."""
    rows = drive(900)
    out = {"bytes_per_day": ALLOWANCE, "score_s": 0.01, "health_s": 0.1}
    watcher = Watcher(broker, "tickover/#")
    with Daemon(tmp_path / "one", broker.port, state={"commit_s": 0.2}, out=out) as daemon:
        for first in range(0, len(rows), 100):
            truck.send(rows[first : first + 100])
        expected = replayed(rows)
        wanted = {alert.alert_id for alert in expected if alert.phase is not Phase.UPDATE}
        wait_until(lambda: wanted <= {alert.alert_id for alert in watcher.alerts()}, 30, "all starts and ends")
        wait_until(lambda: "out.bytes_per_day" in daemon.text(), 10, "what is left out is told")
        assert daemon.stop() == 0
    sent = Counter[str]()
    for topic, body in watcher.messages:
        sent[topic.rsplit("/", 1)[-1] if "/al" not in topic else "alerts"] += len(topic) + len(body)
    assert sent["score"] <= ALLOWANCE * 0.6
    assert sent["score"] + sent["health"] <= ALLOWANCE
    notices = [json.loads(body) for topic, body in watcher.messages if topic.endswith("alert/data_allowance")]
    assert notices
    assert "scores" in notices[0]["data"]["text"]

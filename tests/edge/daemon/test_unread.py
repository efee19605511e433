"""What is subscribed and never read, or received and refused as a whole, is said within a minute, and once."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker import Broker, wait_until
from daemon_process import START, Daemon, Truck, Watcher
from tickover.daemon import runner, startup_hints, unread
from tickover.daemon.config import Vehicles, load_config
from tickover.daemon.intake import Intake
from tickover.daemon.loop import Daemon as Loop
from tickover.daemon.recovery import open_fleet
from tickover.daemon.startup_hints import FirstReadings
from tickover.daemon.unread import AGAIN_S, MOST_SAID, MOST_TOPICS, WAIT_S
from tickover.payloads.base import Input
from tickover.transports.base import Received

COLUMNS = ("coolant", "rpm", "speed")
GOOD = {"t": START, "rpm": 1.0}


class Heard:
    """An intake, and what would be said of it as time goes on."""

    def __init__(self, *inputs: Input) -> None:
        self.intake = Intake(inputs, COLUMNS, Vehicles(), lambda _: False)
        self.now = 1000.0
        assert self.said(0) == []

    def take(self, topic: str, payload: object) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.intake.take(Received(topic, body, START * 10**6, None), synced=False)

    def said(self, after: float = WAIT_S) -> list[str]:
        self.now += after
        return list(self.intake.unread.look(self.now))


@pytest.fixture
def heard() -> Heard:
    return Heard(Input(topic="truck/{vehicle}", time="t"), Input(topic="other/{vehicle}", time="t"))


def test_a_topic_that_is_refused_is_named_with_sample_reason_and_key(heard: Heard) -> None:
    heard.take("truck/good", GOOD)
    heard.take("other/x", GOOD)
    for _ in range(7):
        heard.take("truck/bad", {"t": START * 1000, "rpm": 1.0})
    assert heard.said(1) == [], "a first message may be odd"
    (line,) = heard.said()
    assert line.startswith("received and not read: 7 messages on truck/bad, the last topic=truck/bad payload=")
    assert 'bad_time: 1700000000000 in s is beyond the year 9999; set inputs.time_unit = "ms"' in line
    assert heard.said() == [], "not each minute again"
    heard.take("truck/bad", b"")
    assert len(heard.said(AGAIN_S)) == 1


def test_a_topic_that_is_read_again_is_forgotten(heard: Heard) -> None:
    heard.take("truck/t1", GOOD)
    heard.take("other/t1", GOOD)
    heard.take("truck/t1", b"odd")
    heard.said(1)
    heard.take("truck/t1", GOOD)
    assert heard.said() == []


def test_an_input_without_any_message_is_named_once_others_have_some(heard: Heard) -> None:
    heard.take("truck/t1", GOOD)
    (line,) = heard.said()
    assert line.startswith("no message received on other/+;")
    assert heard.said() == []


def test_an_input_whose_messages_hold_no_reading_is_named_once() -> None:
    heard = Heard(Input(topic="m/{vehicle}/{signal+}", format="value"))
    for name in ("a/b", "c", "d/e/f"):
        heard.take(f"m/t1/{name}", b"5")
    assert heard.said(1) == []
    (line,) = heard.said()
    assert "3 messages on m/+/#" in line
    assert "unknown_signal" in line
    assert "inputs.signals" in line
    heard.take("m/t1/rpm", b"5")
    heard.take("m/t1/driver", b"Bob")
    assert heard.said(AGAIN_S) == [], "signals that no model needs are no trouble where others are read"


def test_sparkplug_of_kinds_without_readings_is_named() -> None:
    heard = Heard(Input(topic="spBv1.0/{group}/{kind}/{vehicle}", format="sparkplug_b", rebirth_s=0))
    heard.take("spBv1.0/g/NCMD/t1", b"")
    heard.said(1)
    (line,) = heard.said()
    assert "holds no reading" in line


def test_many_topics_are_named_in_part_and_remembered_in_part(heard: Heard) -> None:
    heard.take("truck/good", GOOD)
    heard.take("other/good", GOOD)
    for number in range(2 * MOST_TOPICS):
        heard.take(f"truck/t{number}", b"odd")
    heard.said(1)
    lines = heard.said()
    assert len(lines) == MOST_SAID + 1
    assert lines[-1] == f"received and not read: {MOST_TOPICS - MOST_SAID} more topics"


def test_signals_that_are_never_read_are_named_with_the_likely_renaming(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(startup_hints, "SIGNALS_S", 0.0)
    hints = FirstReadings(["t/+"], None, lambda _: ["coolant", "speed"], lambda: ["Engine/Coolant", "driver"])
    hints.subscribed()
    hints.met("t1", 10**15, 10**15)
    hints.met("t2", 10**15, 10**15)
    with caplog.at_level(logging.WARNING):
        hints.look({"rows": 2})
        hints.look({"rows": 2})
    (line,) = [record.message for record in caplog.records]
    assert line.startswith("signals never read: coolant, speed vehicle=t1; names that no model has: Engine/Coolant")
    assert 'signals = { "Engine/Coolant" = "coolant" }' in line


def test_a_notice_stands_while_something_is_not_read_and_its_text_stays(heard: Heard) -> None:
    notice = lambda: heard.intake.unread.notice(heard.now)  # noqa: E731
    heard.take("truck/t1", b"odd")
    heard.said(1)
    assert notice() == ""
    heard.said()
    first = notice()
    assert first.startswith("received and not read: truck/+ (bad_json")
    assert "other/+" in first, "of which nothing came at all"
    heard.take("truck/t1", b'{"t": "noon"}')
    heard.said(1)
    assert notice() == first
    for topic in ("truck/t1", "other/t1"):
        heard.take(topic, GOOD)
    assert notice() == ""


def test_a_real_daemon_publishes_it_and_takes_it_back(
    broker: Broker, truck: Truck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, so that it need not wait for half a minute."""
    monkeypatch.setattr(unread, "WAIT_S", 0.5)
    monkeypatch.setattr(startup_hints, "SIGNALS_S", 0.5)
    with Watcher(broker) as watcher, running_here(tmp_path, broker) as daemon:
        turn_until(daemon, lambda: watcher.notices("unread")[-1:] == [True])  # nothing came at all
        truck.client.publish(truck.topic, b"odd", qos=1).wait_for_publish(5)
        turn_until(daemon, lambda: b"bad_json" in watcher.of("gateway/alert/unread")[-1])
        truck.client.publish(truck.topic, json.dumps({"t": START, "rpm": 1}), qos=1).wait_for_publish(5)
        turn_until(daemon, lambda: watcher.notices("unread")[-1:] == [False])
        turn_until(daemon, lambda: watcher.of("gateway/alarm/unread")[-1] == b"")  # published after the alert


@contextmanager
def running_here(folder: Path, broker: Broker) -> Iterator[Loop]:
    config = load_config(Daemon(folder, broker.port).config)
    daemon = runner.open_daemon(config, open_fleet(config), "here")
    yield daemon
    daemon.stop(1.0)


def turn_until(daemon: Loop, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        daemon.turn()


def test_a_real_daemon_says_it(broker: Broker, truck: Truck, tmp_path: Path) -> None:
    """Within a minute; the test does not wait for so long."""
    with Daemon(tmp_path, broker.port) as daemon:
        truck.client.publish(truck.topic, json.dumps({"time": START, "data": {"rpm": 1}}), qos=1).wait_for_publish(5)
        wait_until(lambda: "refused a message" in daemon.text(), 5, "told at once")
        assert "bad_time: nothing at 't'; set inputs.time = \"time\"" in daemon.text()


def test_half_a_minute_and_the_look_each_second_are_within_a_minute() -> None:
    assert unread.WAIT_S + startup_hints.QUIET_S < 60
    assert startup_hints.SIGNALS_S < 60

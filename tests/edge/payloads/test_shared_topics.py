"""Shared subscriptions, ``$share/GROUP/TOPIC``: messages come under the topic; a vehicle cannot be shared."""

import json
from pathlib import Path

import pytest

from broker import Broker, broker, wait_until
from daemon_process import Daemon, Truck, Watcher, as_told, drive, replayed
from tickover.payloads.base import Input
from tickover.payloads.topic_template import TopicTemplate

__all__ = ["broker"]


def test_the_prefix_is_for_the_subscription_alone() -> None:
    template = TopicTemplate("$share/depot/site/{signal}")
    assert template.filter == "$share/depot/site/+"
    assert template.match("site/rpm") == {"signal": "rpm"}
    assert template.match("$share/depot/site/rpm") is None


@pytest.mark.parametrize("topic", ["$share/g/trucks/{vehicle}/signals", "$share/g/{vehicle}"])
def test_a_topic_that_names_the_vehicle_is_refused_with_the_reason(topic: str) -> None:
    problem = Input(topic=topic).problem()
    assert problem
    assert problem.startswith("topic: ")
    assert "no daemon would see the whole of a vehicle" in problem
    assert "topics of its own" in problem


@pytest.mark.parametrize("topic", ["$share", "$share/g", "$share/g/", "$share//t", "$share/+/t", "$share/{vehicle}/t"])
def test_what_is_no_shared_topic_is_refused(topic: str) -> None:
    problem = Input(topic=topic, vehicle="t1").problem()
    assert problem
    assert "expected" in problem


def test_a_name_that_only_begins_so_is_a_name() -> None:
    assert TopicTemplate("$shared/a").match("$shared/a") == {}


def test_the_daemon_reads_what_a_shared_subscription_brings(broker: Broker, tmp_path: Path) -> None:
    rows = drive(120)
    daemon = Daemon(tmp_path, broker.port)
    text = daemon.config.read_text().replace(
        'topic = "truck/{vehicle}/telemetry"', 'topic = "$share/g/truck/t1/telemetry"\nvehicle = "t1"'
    )
    daemon.config.write_text(text)
    with Watcher(broker) as watcher, daemon, Truck(broker) as truck:
        truck.send(rows)
        watcher.expect(as_told(replayed(rows)))
        wait_until(lambda: bool(watcher.of("gateway/info")), 5, "online")
        assert "unknown_topic" not in json.dumps(watcher.answer("status")["result"]["dropped"])

"""``tickover watch``: what is open, what happened, once each, whatever is published."""

import json
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import Broker, broker, wait_until
from tickover.core.values import (
    SECOND,
    Alert,
    Contribution,
    EndReason,
    FreezeFrame,
    Phase,
    Severity,
)
from tickover.jobs.fleet_view import Board, status_word
from tickover.messages.alerts import encode_alert
from tickover.messages.notices import Kind, Notice, encode_notice
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection
from tickover.web.fleet import Fleet
from tickover.web.messages import Place
from tickover.web.truck import urgency

__all__ = ["broker"]
T0 = 1_772_431_200 * SECOND


def alert(vehicle: str, phase: Phase, second: int, *, peak: float = 2.0, episode: int = 0) -> Alert:
    """An alert of a vehicle's numbered episode."""
    episode_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{vehicle}/{episode}")
    time = T0 + second * SECOND
    blamed = Contribution("coolant_temp", "C", "coolant_temp.slow", peak, 1.0, "high", 118.25, 92.0, spn=110)
    return Alert(
        alert_id=str(uuid.uuid5(episode_id, f"{phase}{second}")),
        episode_id=str(episode_id),
        vehicle=vehicle,
        detector="anomaly",
        model_digest="ab" * 32,
        phase=phase,
        sequence=second,
        severity=Severity.MAJOR if peak >= 2 else Severity.WARNING,
        reason=EndReason.RECOVERED if phase is Phase.END else None,
        start=T0,
        time=time,
        end=time if phase is Phase.END else None,
        score=peak,
        peak=peak,
        signals=(blamed,),
        freeze_frame=FreezeFrame(("coolant_temp",), (time,), (peak,), ((118.25,),), ((92.0,),)),
        missing=0.0,
    )


def take(board: Board, one: Alert, kind: str = "alert") -> bool:
    return board.take(f"base/v1/{one.vehicle}/{kind}/anomaly", encode_alert(one))


def test_an_episode_is_open_from_its_start_to_its_end() -> None:
    board = Board("base")
    assert take(board, alert("a", Phase.START, 0))
    assert take(board, alert("b", Phase.START, 0, peak=1.2))
    assert take(board, alert("a", Phase.UPDATE, 300, peak=3.0))
    assert [(one.vehicle, one.peak) for one in board.worst_first()] == [("a", 3.0), ("b", 1.2)]
    assert take(board, alert("a", Phase.END, 400))
    assert [one.vehicle for one in board.worst_first()] == ["b"]
    assert [one.phase for one in board.recent] == [Phase.END, Phase.UPDATE, Phase.START, Phase.START]


def test_a_message_that_comes_twice_counts_once() -> None:
    board = Board("base")
    assert take(board, alert("a", Phase.START, 0))
    assert not take(board, alert("a", Phase.START, 0))
    assert board.counts == {"alerts": 1, "duplicates": 1}


def test_a_retained_alarm_shows_what_is_open_and_an_empty_one_clears_it() -> None:
    board = Board("site/north")
    board.take("site/north/v1/a/alarm/anomaly", encode_alert(alert("a", Phase.UPDATE, 5)))
    assert [one.vehicle for one in board.worst_first()] == ["a"]
    assert not board.recent
    board.take("site/north/v1/a/alarm/anomaly", b"")
    assert not board.open


def test_a_notice_stands_until_it_is_over() -> None:
    board = Board("base")
    notice = encode_notice(Notice("a", Kind.STALE_SIGNAL, True, T0, "oil_temp has been silent for 60 s"))
    assert board.take("base/v1/a/alert/stale_signal", notice)
    assert not board.take("base/v1/a/alarm/stale_signal", notice)
    assert board.notices == board.remarks == {("a", "stale_signal"): "oil_temp has been silent for 60 s"}
    over = Notice("a", Kind.STALE_SIGNAL, False, T0 + 1, "")
    assert board.take("base/v1/a/alert/stale_signal", encode_notice(over))
    assert not board.notices
    assert not board.remarks


def test_a_notice_that_an_earlier_release_left_at_the_broker_is_shown() -> None:
    board = Board("base")
    old = (
        b'{"specversion":"1.0","id":"b62656ca-e288-5ad4-85e7-8d1ed6f003ca","source":"tickover/van 7%",'
        b'"type":"tickover.notice.v1","time":"2026-03-02T06:00:00Z","datacontenttype":"application/json",'
        b'"data":{"kind":"stale_signal","active":true,"text":"oil_temp has been silent for 60 s"}}'
    )
    board.take("base/v1/van 7%/alarm/stale_signal", old)
    assert board.notices == {("van 7%", "stale_signal"): "oil_temp has been silent for 60 s"}
    assert board.take("base/v1/van 7%/alert/stale_signal", old)
    assert not board.take("base/v1/van 7%/alert/stale_signal", old)
    assert board.counts == {"notices": 1, "duplicates": 1}


def test_what_happened_once_is_shown_until_newer_things_happen() -> None:
    board = Board("base")
    for number in range(5):
        happened = Notice(f"truck-{number}", Kind.MODEL_CHANGED, True, T0, "another model")
        assert board.take(f"base/v1/truck-{number}/alert/model_changed", encode_notice(happened))
    assert [vehicle for vehicle, _ in board.remarks] == ["truck-2", "truck-3", "truck-4"]


@given(st.text(max_size=20), st.sampled_from(["alert", "alarm", "status", "x"]), st.binary(max_size=200))
def test_nothing_published_ends_the_watch(vehicle: str, kind: str, payload: bytes) -> None:
    board = Board("base")
    board.take(f"base/v1/{vehicle}/{kind}/anomaly", payload)
    board.take(vehicle, payload)
    assert not board.recent


@pytest.mark.parametrize("payload", [b"online", b'"online"', b'{"state": "online", "instance": "x"}'])
def test_status_words(payload: bytes) -> None:
    assert status_word(payload) == "online"


def test_the_view_shows_episodes_notices_and_vehicles_and_obeys_no_escape_sequence() -> None:
    pytest.importorskip("rich")
    from rich.console import Console

    from tickover.commands.ui.fleet_table import render

    board = Board("base")
    take(board, alert("van[red]\x1b[31m", Phase.START, 0, peak=2.5))
    take(board, alert("b", Phase.START, 10))
    take(board, replace(alert("b", Phase.END, 600), severity=Severity.CRITICAL))
    board.take("base/v1/b/status", b"offline")
    board.take("base/v1/b/alert/durability", encode_notice(Notice("b", Kind.DURABILITY, True, T0, "disk full")))
    console = Console(width=120, height=30, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(render(board, "broker:1883", True, 30))
    text = captured.get()
    assert "\x1b" not in text
    for expected in (
        "van[red]\ufffd[31m  major     03-02 06:00:00  0:00  2.5    2.5   coolant_temp 118.2 C (92)",
        "recovered after 10:00",
        "b: durability: disk full",
        "broker:1883: connected  1 offline  3 alerts",
    ):
        assert expected in text, text


def test_the_view_lists_trucks_the_silent_first_with_the_age_of_the_last_reading() -> None:
    pytest.importorskip("rich")
    from rich.console import Console

    from tickover.commands.ui.fleet_table import render

    fleet = Fleet(120)
    for name in ("quiet", "fine"):
        fleet.take(Place(name, "score", ""), b'{"anomaly": 0.25}', T0)
    fleet.take(Place("fine", "health", ""), b'{"rows": 9, "rows_per_s": 1.0, "lag_s": 1.5}', T0 + 150 * SECOND)
    fleet.sweep(T0 + 150 * SECOND)
    trucks = sorted(fleet.trucks.values(), key=urgency)
    console = Console(width=120, height=40, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(render(Board("base"), "broker:1883", True, 40, trucks, T0 + 150 * SECOND))
    lines = [line.strip("\u2502 ") for line in captured.get().splitlines()]
    (first,) = [place for place, line in enumerate(lines) if line.startswith("quiet")]
    assert "silent since 03-02 06:00:00" in lines[first]
    assert "2:30 ago" in lines[first]
    assert lines[first + 1].startswith("fine")
    assert "2 s" in lines[first + 1]


def test_in_a_pipe_each_new_alert_is_one_line_of_json(broker: Broker, tmp_path: Path) -> None:
    out = tmp_path / "alerts.jsonl"
    with out.open("wb") as file:
        command = [sys.executable, "-m", "tickover", "watch", "--broker", broker.address, "--vehicle", "a"]
        watcher = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE)
    with MqttClient(Connection(host=broker.host, port=broker.port)) as client:
        wait_until(lambda: heard(client), 20, "the watcher has subscribed")
        published = [encode_alert(alert("a", phase, second)) for second, phase in enumerate(Phase)]
        for payload in [*published, published[0], b"nonsense"]:
            client.publish("tickover/v1/a/alert/anomaly", payload)
        client.publish("tickover/v1/other/alert/anomaly", encode_alert(alert("other", Phase.START, 0)))
        indented = json.dumps(json.loads(encode_alert(alert("a", Phase.START, 9))), indent=1).encode()
        client.publish("tickover/v1/a/alert/anomaly", indented)
        assert client.drain(10)
    wait_until(lambda: out.read_bytes().count(b"\n") >= 4, 10, "all lines are written")
    watcher.terminate()
    _, said = watcher.communicate(timeout=10)
    assert watcher.returncode == 0
    assert out.read_bytes().splitlines()[:3] == published
    assert [json.loads(line)["data"]["sequence"] for line in out.read_bytes().splitlines()] == [0, 1, 2, 9]
    assert said.decode().splitlines() == ["duplicates: 1", "not an alert: 1"]


def heard(client: MqttClient) -> bool:
    """Whether a message to the watcher's topic finds a subscriber."""
    before = client.counts["unheard"]
    client.publish("tickover/v1/a/status", b"online")
    assert client.drain(5)
    return client.counts["unheard"] == before


def test_two_that_share_a_client_id_are_told(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with brokers that bind the client id to the certificate."""
    monkeypatch.setattr("tickover.transports.mqtt.client.SHORT_S", 60.0)
    where = Connection(host=broker.host, port=broker.port)
    with MqttClient(where, client_id="people") as one:
        assert not one.rivalled
        with MqttClient(where, client_id="people") as two:
            wait_until(lambda: one.rivalled or two.rivalled, 30, "it is seen")


def test_a_broker_that_restarts_is_no_rival(broker: Broker) -> None:
    with MqttClient(Connection(host=broker.host, port=broker.port), client_id="people") as one:
        broker.restart()
        wait_until(lambda: one.counts["reconnected"] == 1, 20, "it is back")
        assert not one.rivalled

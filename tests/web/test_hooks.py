"""Alerts handed on: once by id, none lost, whatever goes down; what each kind sends."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

import web_fleet as fleet
from broker import MOSQUITTO, Broker, Listener, wait_until
from faults import hooks
from receiver import Receiver
from tickover.core.time_format import iso
from tickover.core.values import SECOND, Phase, Severity
from tickover.errors import ConfigError
from tickover.host.clock import now_us
from tickover.storage.history import History
from tickover.web.desk import Desk
from tickover.web.fleet import Fleet
from tickover.web.hooks.alertmanager import alerts_of
from tickover.web.hooks.base import AwayError, RefusedError
from tickover.web.hooks.config import HookConfig, load_hooks
from tickover.web.hooks.delivery import SETTLE_S, Delivery
from tickover.web.hooks.registry import HOOKS, deliveries
from web_process import Publisher, WebProcess


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def test_a_receiver_that_is_down_and_a_page_that_is_killed_lose_nothing(tmp_path: Path) -> None:
    """`tests/bench/faults_hooks.py` has it for ten minutes and twenty kills."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    pytest.importorskip("starlette", reason="the page needs the extra web")
    found = hooks.run(tmp_path, down_s=0.9, kills=1, every_s=0.03, seed=0)
    assert found["good"], found
    assert found["waited_for_the_receiver"] > 20


def test_a_hook_whose_receiver_takes_long_is_off_the_queue_at_once(receiver: Receiver) -> None:
    """What is killed then sends nothing twice to people."""
    history, left = History(None), []

    class Slow:
        def send(self, id: str, body: bytes) -> None:
            left.append(history.depth("x"))
            time.sleep(2 * SETTLE_S)

    for number in range(3):
        history.queue("x", str(number), b"")
    history.commit()
    assert Delivery(hook("webhook", url=receiver.url), Slow(), history)._drain()
    assert left == [3, 2, 1]


GOOD = 'name = "a"\nkind = "webhook"\nurl = "http://x"'


def hook(kind: str, **keys: object) -> HookConfig:
    return HookConfig(name="x", kind=kind, **keys)  # type: ignore[arg-type]


def test_a_webhook_gets_the_cloudevent_as_it_was_published(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    body = fleet.event("a", Phase.START, fleet.T0)
    HOOKS["webhook"](hook("webhook", url=receiver.url, token_file=str(tmp_path / "token"))).send("the-id", body)
    ((path, headers, got),) = receiver.got
    assert (path, got) == ("/hook", body)
    found = {name.lower(): value for name, value in headers.items()}
    assert found["content-type"].startswith("application/cloudevents+json")
    assert (found["idempotency-key"], found["authorization"]) == ("the-id", "Bearer secret")


@pytest.mark.parametrize(
    ("code", "error"),
    [(500, AwayError), (401, AwayError), (429, AwayError), (302, AwayError), (400, RefusedError)],
)
def test_what_a_receiver_answers_decides_whether_the_alert_waits(receiver: Receiver, code: int, error: type) -> None:
    receiver.code = code
    with pytest.raises(error, match=f"HTTP {code}"):
        HOOKS["webhook"](hook("webhook", url=receiver.url)).send("x", b"{}")


def test_a_message_that_is_refused_for_good_is_counted_and_does_not_stop_the_others(receiver: Receiver) -> None:
    sent: list[str] = []

    class Picky:
        def send(self, id: str, body: bytes) -> None:
            if body == b"bad":
                raise RefusedError("HTTP 400")
            sent.append(id)

    history = History(None)
    for number, body in enumerate((b"good", b"bad", b"good")):
        history.queue("x", str(number), body)
    history.commit()
    delivery = Delivery(hook("webhook", url=receiver.url), Picky(), history)
    while delivery.report()["waiting"]:
        delivery._drain()
    assert sent == ["0", "2"]
    assert (delivery.report()["sent"], delivery.report()["refused"]) == (2, 1)


def test_an_episode_is_an_alert_of_alertmanager_until_it_ends() -> None:
    start = fleet.alert("a", Phase.START, fleet.T0, peak=1.5)
    risen = fleet.alert("a", Phase.UPDATE, fleet.T0 + SECOND, peak=5.0, sequence=1)
    over = fleet.alert("a", Phase.END, fleet.T0 + 60 * SECOND, peak=5.0, sequence=2)
    now = fleet.T0 + 3600 * SECOND
    (first,) = alerts_of(start, "https://fleet.example/", now)
    assert first["labels"] == {
        "alertname": "tickover", "vehicle": "a", "detector": "anomaly", "severity": "warning",
        "episode": start.episode_id,
    }  # fmt: skip
    assert first["generatorURL"] == f"https://fleet.example/?episode={start.episode_id}"
    assert first["annotations"]["summary"] == "a: coolant_temp high (warning)"
    assert (first["startsAt"], first["endsAt"]) == ("2026-03-02T06:00:00.000000Z", "2026-03-02T10:00:00.000000Z")
    fires = [one["labels"]["severity"] for one in alerts_of(risen, "", now) if one["endsAt"] > iso(now)]
    assert fires == ["critical"]
    assert {one["endsAt"] for one in alerts_of(over, "", now)} == {"2026-03-02T06:01:00.000000Z"}
    assert first["labels"] in [one["labels"] for one in alerts_of(over, "", now)], "what fired is resolved"
    early = fleet.T0 - 30 * SECOND  # the truck's clock is ahead: an end in the future would resolve nothing
    assert all(one["startsAt"] < one["endsAt"] <= iso(early) for one in alerts_of(over, "", early))


def test_people_are_told_of_the_start_of_a_rise_and_of_the_end_and_not_of_what_is_muted(receiver: Receiver) -> None:
    history = History(None)
    told: list[str] = []

    class Pager:
        def send(self, id: str, body: bytes) -> None:
            told.append(json.loads(body)["data"]["phase"] + " " + json.loads(body)["data"]["severity"])

    delivery = Delivery(hook("apprise", urls=("json://x",), severity=Severity.MAJOR), Pager(), history)
    desk = Desk(history, "tickover", Fleet(), [delivery], clock=lambda: fleet.T0)
    course = [
        (Phase.START, 1.5),
        (Phase.UPDATE, 2.5),
        (Phase.UPDATE, 2.6),
        (Phase.UPDATE, 4.5),
        (Phase.UPDATE, 4.6),
        (Phase.END, 4.6),
    ]
    for vehicle in "ab":
        for number, (phase, peak) in enumerate(course):
            body = fleet.event(vehicle, phase, fleet.T0 + number * SECOND, peak=peak, sequence=number)
            desk.take(f"tickover/v1/{vehicle}/alert/anomaly", body)
            if vehicle == "b" and number == 0:
                episode = next(one["id"] for one in desk.recent() if one["vehicle"] == "b")
                desk.mark(episode, {"what": "mute", "value": "kind", "for_s": 60, "reason": "known"})
    desk.settle()
    delivery._drain()
    assert told == ["update major", "update critical", "end critical"]
    assert delivery.report()["muted"] == 3


def test_a_truck_that_stops_reporting_and_reports_again_is_handed_on_where_that_is_asked_for(
    receiver: Receiver,
) -> None:
    pytest.importorskip("apprise", reason="needs the extra notify")
    history, time = History(None), [fleet.T0]
    urls = (f"json://127.0.0.1:{receiver.port}/x",)
    configs = [
        hook("webhook", url=receiver.url, trucks=True),
        HookConfig(name="am", kind="alertmanager", url=receiver.url, trucks=True, page="https://f.example"),
        HookConfig(name="pager", kind="apprise", urls=urls, trucks=True),
        HookConfig(name="deaf", kind="webhook", url=receiver.url),
    ]
    outlets = deliveries(tuple(configs), history)
    desk = Desk(history, "tickover", Fleet(120), outlets, clock=lambda: time[0])
    desk.connected("broker")
    desk.take("tickover/v1/old/status", fleet.status("offline"))  # left long ago: no news
    for seconds, score in ((0, 0.1), (130, None), (10, 0.2)):
        time[0] += seconds * SECOND
        if score is not None:
            desk.take("tickover/v1/a/score", fleet.score(score))
        desk.settle()
    for outlet in outlets:
        assert outlet._drain()
    bodies = [json.loads(body) for _, _, body in receiver.got]
    events, alerts, notes = bodies[:2], [one for (one,) in bodies[2:4]], bodies[4:]
    assert [one["data"] for one in events] == [
        {"vehicle": "a", "state": "silent", "since": "2026-03-02T06:00:00.000000Z"},
        {"vehicle": "a", "state": "online", "since": "2026-03-02T06:02:20.000000Z"},
    ]
    for event in events:
        JSONFormat().read(CloudEvent, json.dumps(event))
    assert {one["labels"]["alertname"] for one in alerts} == {"TruckDoesNotReport"}
    assert alerts[0]["labels"] == alerts[1]["labels"]
    assert alerts[0]["endsAt"] > iso(now_us()) >= alerts[1]["endsAt"]
    assert [one["title"] for one in notes] == [
        "a is silent since 2026-03-02T06:00:00Z", "a is online again since 2026-03-02T06:02:20Z",
    ]  # fmt: skip


def test_apprise_hands_on_to_what_its_urls_name(receiver: Receiver) -> None:
    pytest.importorskip("apprise", reason="needs the extra notify")
    pager = HOOKS["apprise"](hook("apprise", urls=(f"json://127.0.0.1:{receiver.port}/x",), page="https://f.example"))
    pager.send("id", fleet.event("a", Phase.START, fleet.T0))
    ((_, _, body),) = receiver.got
    assert json.loads(body)["title"] == "a: coolant_temp high (major)"
    assert "coolant_temp: 121.25 C, expected 92" in json.loads(body)["message"]
    assert "https://f.example/?episode=" in json.loads(body)["message"]
    receiver.code = 500
    with pytest.raises(AwayError):
        pager.send("id", fleet.event("a", Phase.START, fleet.T0))
    with pytest.raises(ConfigError, match=r"number 1 \(nonsense://…\) is no URL"):
        HOOKS["apprise"](hook("apprise", urls=("nonsense://secret",)))


def test_home_assistant_discovers_each_truck_and_its_state(tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    pytest.importorskip("starlette", reason="the page needs the extra web")
    hooks = tmp_path / "hooks.toml"
    hooks.write_text('[[hooks]]\nname = "home"\nkind = "home_assistant"\n')
    with Broker(tmp_path / "broker") as broker:
        web = WebProcess(broker, tmp_path / "state", "--hooks", str(hooks)).start()
        publisher, home = Publisher(broker), Listener(broker, "homeassistant/#")
        try:
            publisher.send("van 7", "alert/anomaly", fleet.event("van 7", Phase.START, fleet.T0))
            wait_until(lambda: any(b'"ON"' in body for body in home.of("/state")), 10, "a state says that it is on")
            (config, *_) = [json.loads(body) for body in home.of("/problem/config")]
            assert (config["device"]["name"], config["device_class"]) == ("van 7", "problem")
            state = [(topic, json.loads(body)) for topic, body, _ in home.messages if topic == config["state_topic"]]
            assert state[-1][1]["severity"] == "major"
            assert config["value_template"] == "{{ value_json.problem }}"
            assert state[-1][1]["problem"] == "ON"
        finally:
            web.kill()
            publisher.close()
            home.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name = "a"\nkind = "webhook"', "url: expected http:// or https://, got ''"),
        ('name = "a"\nkind = "apprise"', "urls: expected at least one"),
        ('name = "a"\nkind = "pigeon"', "pigeon"),
        (f'{GOOD}\nseverty = "major"', "did you mean 'severity'"),
        (f"{GOOD}\n[[hooks]]\n{GOOD}", "twice"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_answered_with_the_key(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "hooks.toml"
    path.write_text(f"[[hooks]]\n{text}\n")
    with pytest.raises(ConfigError, match=expected) as caught:
        load_hooks(path)
    assert str(path) in str(caught.value)

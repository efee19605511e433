"""What the page knows of a fleet, from messages alone: states, episodes, silence, what people said."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import web_fleet as fleet
from tickover.core.values import SECOND, Phase
from tickover.messages.bodies import VerdictRecord
from tickover.messages.notices import Kind, Notice, encode_notice
from tickover.storage.history import History
from tickover.web.desk import CONFIRM_US, Desk
from tickover.web.fleet import COLUMNS, Fleet
from tickover.web.marks import MarkError

NOW = fleet.T0


class Page:
    """A desk with a clock of its own."""

    def __init__(self, history: History | None = None, most: int = 100) -> None:
        self.time = NOW
        self.history = history or History(None)
        self.desk = Desk(self.history, "tickover", Fleet(120, most), clock=lambda: self.time)
        self.desk.connected("broker:1883")

    def take(self, vehicle: str, what: str, payload: bytes) -> None:
        self.desk.take(f"tickover/v1/{vehicle}/{what}", payload)

    def after(self, seconds: float) -> None:
        self.time += round(seconds * SECOND)
        self.desk.settle()

    def row(self, name: str) -> dict:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in self.desk.fleet_view()["rows"]]
        return next(row for row in rows if row["name"] == name)


def test_a_truck_that_stops_reporting_is_silent_since_its_last_reading() -> None:
    page = Page()
    page.take("a", "status", fleet.status())
    page.take("a", "score", fleet.score(0.2))
    page.after(60)
    page.take("a", "score", fleet.score(0.2))  # the daemon repeats the last score while nothing arrives
    assert page.row("a")["state"] == "online"
    page.after(61)
    assert (page.row("a")["state"], page.row("a")["since"]) == ("silent", NOW // 1000)
    page.take("a", "score", fleet.score(0.3))
    assert page.row("a")["state"] == "online"


def test_a_daemon_without_any_reading_is_silent_too() -> None:
    page = Page()
    for _ in range(4):
        page.take("a", "health", fleet.health(NOW, rows=0, rows_per_s=0.0, last_tick=None, lag_s=None))
        page.after(50)
    assert page.row("a")["state"] == "silent"


def test_silence_while_the_page_does_not_hear_the_broker_is_nobodys() -> None:
    page = Page()
    page.take("a", "score", fleet.score(0.2))
    page.desk.disconnected("gone")
    page.after(3600)
    assert page.row("a")["state"] == "online"
    page.desk.connected("broker:1883")
    page.after(100)
    assert page.row("a")["state"] == "online"
    page.after(100)
    assert page.row("a")["state"] == "silent"


@pytest.mark.parametrize("word", ["stopped", "offline"])
def test_the_daemons_own_word_counts(word: str) -> None:
    page = Page()
    page.take("a", "score", fleet.score(0.2))
    page.take("a", "status", fleet.status(word))
    assert page.row("a")["state"] == word


def test_an_episode_is_open_from_its_start_to_its_end_and_counted_once() -> None:
    page = Page()
    start = fleet.event("a", Phase.START, NOW)
    for _ in range(2):
        page.take("a", "alert/anomaly", start)
        page.take("a", "alarm/anomaly", start)
    assert page.row("a")["open"] == [0, 1, 0]
    page.take("a", "alert/anomaly", fleet.event("a", Phase.UPDATE, NOW + SECOND, peak=5.0, sequence=1))
    assert page.row("a")["open"] == [0, 0, 1]
    page.take("a", "alert/anomaly", fleet.event("a", Phase.END, NOW + 2 * SECOND, peak=5.0, sequence=2))
    assert page.row("a")["open"] == [0, 0, 0]
    (episode,) = page.desk.recent()
    assert (episode["phase"], episode["reason"], episode["alerts"]) == ("end", "recovered", 3)


def test_an_end_that_was_missed_is_seen_by_the_alarm_that_is_gone() -> None:
    page = Page()
    for name in ("a", "b", "c"):
        page.take(name, "alert/anomaly", fleet.event(name, Phase.START, NOW))
    page.take("c", "alarm/anomaly", b"")
    page.desk.disconnected("gone")
    page.desk.connected("broker:1883")
    page.take("a", "alarm/anomaly", fleet.event("a", Phase.START, NOW))
    page.after(CONFIRM_US / SECOND + 1)
    assert [page.row(name)["open"][1] for name in ("a", "b", "c")] == [1, 0, 0]
    assert sorted(one["vehicle"] for one in page.desk.recent() if one["reason"] == "not_seen") == ["b", "c"]


def test_a_restart_knows_trucks_open_episodes_and_what_was_said() -> None:
    page = Page()
    page.take("a", "health", fleet.health(NOW))
    page.take("b", "status", fleet.status("offline"))
    page.take("a", "alert/anomaly", fleet.event("a", Phase.START, NOW))
    (episode,) = page.desk.recent()
    page.desk.mark(episode["id"], {"what": "ack", "value": "yes"})
    page.desk.store_trucks(NOW)
    again = Page(page.history)
    assert again.row("b")["state"] == "offline"
    assert (again.row("a")["open"], again.row("a")["quiet"]) == ([0, 0, 0], 1)
    assert again.row("a")["dropped"] == 15


def test_verdicts_are_kept_withdrawn_and_exported() -> None:
    page = Page()
    for name in ("a", "b"):
        page.take(name, "alert/anomaly", fleet.event(name, Phase.START, NOW))
    ids = {one["vehicle"]: one["id"] for one in page.desk.recent()}
    page.desk.mark(ids["a"], {"what": "verdict", "value": "real"})
    page.desk.mark(ids["a"], {"what": "verdict", "value": "false", "reason": "new\nsensor", "who": "bob"})
    page.desk.mark(ids["b"], {"what": "verdict", "value": "known"})
    page.desk.mark(ids["b"], {"what": "verdict", "value": ""})
    (line,) = page.desk.verdicts()
    assert line == VerdictRecord(
        time="2026-03-02T06:00:00.000000Z", at=NOW, vehicle="a", episode=ids["a"], detector="anomaly",
        model=fleet.DIGEST, start="2026-03-02T06:00:00.000000Z", end=None, peak=2.5, charts=("coolant_temp.slow",),
        verdict="false", before="none", by="bob", note="new sensor",
    )  # fmt: skip


def test_the_promise_of_a_truck_is_that_of_its_worst_detector() -> None:
    page = Page()
    page.take("a", "status", fleet.status())
    meters = [
        {"detector": name, "budget": 1.0, "per_hour": rate, "broken": rate > 2}
        for name, rate in (("x", 0.5), ("y", 3.0))
    ]
    page.take("depot", "health", fleet.health(NOW, promises={"a": meters, "unheard": meters}))
    assert page.row("a")["promise"] == (3.0, 1.0, True)
    assert page.row("depot")["promise"] is None
    assert page.desk.truck_view("a")["promises"] == meters


def test_a_mute_holds_until_its_end_and_says_why() -> None:
    page = Page()
    page.take("a", "alert/anomaly", fleet.event("a", Phase.START, NOW))
    (episode,) = page.desk.recent()
    page.desk.mark(episode["id"], {"what": "mute", "value": "kind", "for_s": 60, "reason": "known leak", "who": "eve"})
    assert (page.row("a")["open"][1], page.row("a")["quiet"]) == (0, 1)
    assert page.desk.truck_view("a")["mutes"][0]["reason"] == "known leak"
    page.after(61)
    assert page.row("a")["open"][1] == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"what": "sing", "value": ""}, "what: expected one of ack, mute, verdict, got 'sing'"),
        ({"what": "verdict", "value": "maybe"}, "value: expected one of 'real', 'false', 'known', '', got 'maybe'"),
        ({"what": "mute", "value": "kind", "for_s": 60}, "reason: expected why it is muted"),
        ({"what": "mute", "value": "kind", "reason": "x", "for_s": -1}, "for_s: expected seconds"),
        ({"what": "ack", "value": "yes", "who": "x" * 81}, "who: expected a text of at most 80 characters"),
        ([], "expected a JSON object"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_what_was_expected(said: object, expected: str) -> None:
    page = Page()
    page.take("a", "alert/anomaly", fleet.event("a", Phase.START, NOW))
    (episode,) = page.desk.recent()
    with pytest.raises(MarkError, match=expected):
        page.desk.mark(episode["id"], said)


def test_a_notice_stands_until_it_is_over_and_says_who() -> None:
    page = Page()
    text = "a: out of service, not read, until 2026-03-03T06:00:00Z, by alice"
    page.take("a", "alert/out_of_service", encode_notice(Notice("a", Kind.OUT_OF_SERVICE, True, NOW, text)))
    assert page.row("a")["notices"] == ["out_of_service"]
    assert page.desk.truck_view("a")["notices"][0]["text"] == text
    page.take("a", "alert/out_of_service", encode_notice(Notice("a", Kind.OUT_OF_SERVICE, False, NOW + 1, "over")))
    assert page.row("a")["notices"] == []
    assert [one["active"] for one in page.desk.truck_view("a")["past"]] == [0, 1]


def test_changes_are_told_after_the_number_that_a_browser_has_seen() -> None:
    page = Page()
    for name in "abc":
        page.take(name, "status", fleet.status())
    seen = page.desk.fleet_view()["number"]
    assert page.desk.changes(seen)["rows"] == []
    page.take("b", "score", fleet.score(0.4))
    page.take("c", "status", fleet.status("offline"))
    told = page.desk.changes(seen)
    assert [row[1] for row in told["rows"]] == ["c"]
    assert [beat[2] for beat in told["beats"]] == [0.4]
    assert page.desk.forget("a")
    assert page.desk.changes(told["number"])["gone"] == [0]


def test_invented_trucks_and_large_messages_are_bounded_and_counted() -> None:
    page = Page(most=10)
    for number in range(50):
        page.take(f"x{number}", "status", fleet.status())
    page.take("x1", "alert/anomaly", b"x" * 600_000)
    page.take("x" * 200, "status", fleet.status())
    page.take("x1", "alert/anomaly", fleet.event("x2", Phase.START, NOW))
    assert len(page.desk.fleet.trucks) == 10
    assert page.desk.fleet.counts == {"too_many_trucks": 40, "too_large": 1, "topic": 1, "other_vehicle": 1}


KINDS = ["alert/x", "alarm/x", "status", "info", "health", "score", "cmd/status/response", "y"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
KEYS = st.sampled_from(
    ["rows", "rows_per_s", "lag_s", "last_tick", "dropped", "models", "state", "vehicles", "promise"]
)


@given(st.sampled_from(KINDS), st.binary(max_size=60) | st.dictionaries(KEYS, JSON, max_size=4) | JSON)
def test_nothing_published_breaks_the_page(kind: str, body: object) -> None:
    page = Page()
    payload = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "surrogatepass")
    page.take("a", kind, payload)
    page.after(1)
    page.desk.store_trucks(page.time)
    again = Page(page.history)
    for one in (page, again):
        msgspec.json.encode(one.desk.fleet_view())
        msgspec.json.encode(one.desk.truck_view("a"))

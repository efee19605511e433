"""Commands by MQTT: whatever a request holds, the answer is one JSON object, and only a good one does anything."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.commands.run import _Format
from tickover.core.ledger import Verdict
from tickover.daemon.commands import COMMANDS, obey
from tickover.daemon.modes import EVERYONE, LONGEST_S, Mode, Modes

NOW = 1_700_000_000_000_000


class Recorded:
    """A daemon that notes what it is told to do."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    def now(self) -> int:
        return NOW

    def has_seen(self, vehicle: str) -> bool:
        return vehicle in self.vehicles()

    def vehicles(self) -> list[str]:
        return ["t1", *(f"bus{number}" for number in range(30))]

    def status_report(self) -> dict[str, Any]:
        return {"rows": 0}

    def snapshot(self, vehicle: str) -> dict[str, Any]:
        return {vehicle: {}}

    def set_mode(self, mode: Mode, vehicle: str, until: int) -> None:
        self.done.append((mode, vehicle, until))

    def reset(self, vehicle: str) -> None:
        self.done.append(("reset", vehicle))

    def judge(self, vehicle: str, name: str, verdict: Verdict, note: str) -> dict[str, Any]:
        self.done.append(("judge", vehicle, name, verdict, note))
        return {}

    def replay(self, vehicle: str, since: int) -> int:
        self.done.append(("replay", vehicle, since))
        return 0


def ask(name: str, payload: bytes, target: str = "t1") -> tuple[dict[str, Any], list[tuple[object, ...]]]:
    daemon = Recorded()
    return json.loads(obey(daemon, "gateway", target, name, payload)), daemon.done


def test_a_command_to_the_node_is_for_every_vehicle() -> None:
    answer, done = ask("mute", b'{"id": 7, "for_s": 60}', target="gateway")
    assert answer == {"command": "mute", "id": 7, "result": {"until": NOW + 60_000_000}, "ok": True}
    assert done == [(Mode.SHELVED, EVERYONE, NOW + 60_000_000)]


@pytest.mark.parametrize(
    ("name", "payload", "error"),
    [
        ("status", b"{", "cannot be read: bad_json"),
        ("status", b"\xff", "cannot be read: bad_json"),
        ("status", b"[1]", "expected a JSON object"),
        ("status", b"[" * 60_000, "cannot be read: too_deep"),
        ("reset", b" " * 70_000, "cannot be read: too_large"),
        ("fly", b"", "unknown command 'fly'"),
        ("mute", b"", "expected for_s"),
        ("mute", b'{"for_s": true}', "expected for_s"),
        ("workshop", b'{"for_s": -1}', "expected for_s"),
        ("workshop", b'{"for_s": %d}' % (LONGEST_S + 1), "expected for_s"),
        ("replay", b'{"since": "yesterday"}', "expected since"),
        ("replay", b"{}", "expected since"),
    ],
)
def test_a_bad_request_is_answered_with_what_was_expected_and_does_nothing(
    name: str, payload: bytes, error: str
) -> None:
    answer, done = ask(name, payload)
    assert error in answer["error"]
    assert not answer["ok"]
    assert not done


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        *(("reset", b""), ("snapshot", b""), ("shelve", b'{"for_s": 9}'), ("mute", b'{"for_s": 9}')),
        *(("out_of_service", b'{"for_s": 9}'), ("workshop", b'{"for_s": 9}')),
    ],
)
def test_what_needs_a_vehicle_that_was_seen_names_the_known_ones_instead(name: str, payload: bytes) -> None:
    answer, done = ask(name, payload, target="nosuch")
    assert not answer["ok"]
    assert "gateway has not seen a vehicle 'nosuch' yet; known: t1, bus0, " in answer["error"]
    assert answer["error"].endswith(" and 11 more")
    assert ask(name, payload, target="t11")[0]["error"].endswith("did you mean t1?")
    assert not done


def test_a_daemon_with_the_name_of_its_truck_obeys_for_that_truck() -> None:
    daemon = Recorded()
    obey(daemon, "t1", "t1", "mute", b'{"for_s": 60}')
    assert daemon.done == [(Mode.SHELVED, "t1", NOW + 60_000_000)]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
OBJECTS = st.dictionaries(st.sampled_from(["id", "for_s", "since"]), VALUES)


@given(st.sampled_from(list(COMMANDS)), st.binary(max_size=64) | OBJECTS.map(lambda about: json.dumps(about).encode()))
def test_any_request_is_answered(name: str, payload: bytes) -> None:
    answer, done = ask(name, payload)
    assert answer["command"] == name
    assert answer["ok"] is ("error" not in answer)
    assert answer["ok"] or not done


def test_lines_carry_their_priority_under_systemd_only(monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.makeLogRecord({"name": "tickover", "levelno": logging.ERROR, "levelname": "ERROR", "msg": "a\nb"})
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    assert _Format().format(record) == "level=error logger=tickover a | b"
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert _Format().format(record) == "<3>level=error logger=tickover a | b"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("shelve", Mode.SHELVED),
        ("mute", Mode.SHELVED),
        ("out_of_service", Mode.OUT_OF_SERVICE),
        ("workshop", Mode.OUT_OF_SERVICE),
    ],
)
def test_the_names_of_isa_18_2_and_those_before_do_the_same(name: str, mode: Mode) -> None:
    answer, done = ask(name, b'{"for_s": 60}')
    assert answer == {"command": name, "id": None, "result": {"until": NOW + 60_000_000}, "ok": True}
    assert done == [(mode, "t1", NOW + 60_000_000)]


def test_modes_that_an_earlier_version_stored_hold() -> None:
    """Version 1 writes ``{"mute": {vehicle: until}, "workshop": {…}}``, and the answer of status shows it so."""
    stored = bytes.fromhex("82a46d75746581a27431cf000fffffffffffffa8776f726b73686f7081a12ace3b9aca00")
    modes = Modes(stored)
    assert modes.active(Mode.SHELVED, "t1", NOW)
    assert not modes.active(Mode.SHELVED, "t2", NOW)
    assert modes.active(Mode.OUT_OF_SERVICE, "t9", 999_999_999)
    assert modes.encode() == stored
    assert modes.report() == {"mute": {"t1": 2**52 - 1}, "workshop": {EVERYONE: 10**9}}

"""docs/asyncapi.json is made from the code, and what a real daemon publishes is what it says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from broker import Broker, Listener, wait_until
from daemon_process import ROOT, START, Daemon, Truck, Watcher
from tickover.daemon.asyncapi import BODIES, document

SHIPPED = ROOT / "docs" / "asyncapi.json"
DOCUMENT = document()
ROWS = [
    (START + second, {"rpm": 149.2 if second > 40 else 49.2, "speed": 39.0} | ({"coolant": 27.3} if second < 5 else {}))
    for second in range(48)
]
"""A signal goes quiet, then another leaves its range."""


def refs(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["$ref"]] if "$ref" in node else []
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from refs(item)


def test_the_shipped_description_is_the_generated_one() -> None:
    wanted = json.dumps(DOCUMENT, indent=2) + "\n"
    assert SHIPPED.read_text() == wanted, "tickover config asyncapi > docs/asyncapi.json"


def test_every_reference_leads_somewhere_and_every_field_of_an_address_is_explained() -> None:
    for ref in refs(DOCUMENT):
        node: Any = DOCUMENT
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]
    for name, channel in DOCUMENT["channels"].items():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == channel["parameters"].keys(), name


def channel_of(topic: str) -> str:
    """The one channel that a topic belongs to."""
    fits = [
        name
        for name, channel in DOCUMENT["channels"].items()
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", channel["address"]), topic)
    ]
    assert len(fits) == 1, (topic, fits)
    return fits[0]


def check(topic: str, body: bytes) -> str:
    """The body is exactly one of those that its channel carries; the channel's name."""
    name = channel_of(topic)
    if name == "alarm" and not body:
        return name
    errors = []
    for kind in DOCUMENT["channels"][name]["messages"]:
        try:
            msgspec.json.decode(body, type=BODIES[kind])
            return name
        except msgspec.ValidationError as error:
            errors.append(f"{kind}: {error}")
    raise AssertionError(f"{topic}: {errors}: {body[:300]!r}")


def standing_at(late: Listener) -> set[str]:
    """The channels of the retained messages that came."""
    return {channel_of(topic) for topic, _, retained in list(late.messages) if retained}


def test_all_that_a_daemon_publishes_is_described(
    broker: Broker, tmp_path: Path, watcher: Watcher, truck: Truck
) -> None:
    operations = DOCUMENT["operations"]
    retained = {name for name in operations if operations[name]["bindings"]["mqtt"]["retain"]}
    out, limits = {"health_s": 0.3, "score_s": 0.3}, {"stale_s": 20, "silence_s": 0}
    with Daemon(tmp_path, broker.port, out=out, vehicles=limits, outbox={"keep_s": 60}) as daemon:
        truck.send(ROWS)
        wait_until(lambda: bool(watcher.of("t1/alarm/anomaly") and watcher.of("alarm/stale_signal")), 10, "alarms")
        for command, about in {"status": {}, "snapshot": {}, "mute": {"for_s": 0}, "replay": {"since": 0}}.items():
            assert watcher.answer(command, "t1", **about)["ok"], command
        assert not watcher.answer("replay", since="never")["ok"]
        wait_until(lambda: len(watcher.of("/health")) > 2 and bool(watcher.of("t1/score")), 10, "health and score")
        late = Listener(broker, "tickover/#")
        wait_until(lambda: standing_at(late) >= retained, 10, "all that is retained")
        standing = standing_at(late)
        late.close()
        watcher.answer("reset", "t1")
        daemon.kill()
        wait_until(lambda: b"offline" in b"".join(watcher.of("/status")[-1:]), 10, "the last will")
    seen = {check(topic, body) for topic, body in list(watcher.messages)}
    assert seen == DOCUMENT["channels"].keys()
    assert standing == retained

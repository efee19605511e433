"""A daemon in this process, with a broker that plays a script: starts in milliseconds, for campaigns of many starts."""

import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon_process import Row
from faults.gateway import VEHICLE
from tickover.daemon import loop, presence, runner
from tickover.daemon.config import load_config
from tickover.daemon.loop import Daemon
from tickover.daemon.recovery import open_fleet
from tickover.transports.mqtt.link import (
    Connected,
    Event,
    Incoming,
    Published,
    Subscribed,
)

TOPIC = f"in/{VEHICLE}"
CONFIG = """
[broker]
client_id = "scripted"
[state]
folder = "{state}"
commit_s = {commit_s}
retry_s = 0.2
checkpoint_s = 0.5
[vehicles]
silence_s = 0
clock = "{clock}"
[[models]]
path = "{model}"
[[inputs]]
topic = "in/{{vehicle}}"
time = "t"
"""


class ScriptedLink:
    """In the place of `tickover.transports.mqtt.link.Link`: hands over what `inbox` holds, accepts all
    that is published."""

    def __init__(self, *_: object, **__: object) -> None:
        self.inbox: deque[Event] = deque([Connected(True), Subscribed(())])
        self.published: list[tuple[str, bytes]] = []
        self.acknowledged: list[int] = []

    @property
    def beat(self) -> float:
        return time.monotonic()

    heard = beat

    def start(self) -> None:
        pass

    def stop(self, timeout: float) -> None:
        pass

    def back_off(self, reason: str) -> None:
        raise AssertionError(reason)

    def receive(self, timeout: float, limit: int, gather: float = 0.0) -> list[Event]:
        return [self.inbox.popleft() for _ in range(min(limit, len(self.inbox)))]

    def acknowledge(self, messages: Iterable[Incoming]) -> None:
        self.acknowledged += [message.mid for message in messages]

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False, qos: int = 1) -> None:
        self.published.append((topic, payload))
        self.inbox.append(Published(token, ""))

    def of(self, part: str) -> list[bytes]:
        """Bodies of the topics that contain ``part``."""
        return [body for topic, body in self.published if part in topic]


def write_config(path: Path, state: Path, model: Path, commit_s: float = 0.05, clock: str = "unsynced") -> Path:
    """A configuration for `started`."""
    path.write_text(CONFIG.format(state=state, model=model, commit_s=commit_s, clock=clock))
    return path


@contextmanager
def started(config: Path, kind: type[ScriptedLink] = ScriptedLink) -> Iterator[tuple[Daemon, ScriptedLink]]:
    """A daemon that has begun, as `tickover run` begins one; it is not stopped, only closed."""
    real, loop.Link = loop.Link, kind  # type: ignore[assignment,misc]
    listen, presence.LISTEN_S = presence.LISTEN_S, 0.0  # type: ignore[misc]
    try:
        loaded = load_config(config)
        daemon = runner.open_daemon(loaded, open_fleet(loaded), "scripted")
        yield daemon, daemon.link  # type: ignore[misc]
        daemon.store.close()
    finally:
        loop.Link, presence.LISTEN_S = real, listen  # type: ignore[misc]


def message(row: Row, mid: int, again: bool = False) -> Incoming:
    """A row as the broker brings it."""
    stamp, shown = row
    body: dict[str, Any] = {"t": stamp, **shown}
    return Incoming(1, mid, 1, TOPIC, json.dumps(body).encode(), time.time_ns() // 1000, again)


def turn_until_idle(daemon: Daemon, link: ScriptedLink) -> None:
    """Go round until everything is read, committed and told."""
    while link.inbox:
        daemon.turn(0)
    daemon.commit()
    for _ in range(3):
        daemon.turn(0)
    while link.inbox or not daemon.outbox.idle:
        daemon.turn(0)

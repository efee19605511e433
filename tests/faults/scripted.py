"""A daemon in this process, with a scripted transport: starts in milliseconds, for campaigns of many starts."""

import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon_process import Row
from faults.gateway import VEHICLE
from tickover.daemon import presence, runner
from tickover.daemon.config import load_config
from tickover.daemon.loop import Daemon
from tickover.daemon.recovery import open_fleet
from tickover.daemon.sources import Transport
from tickover.transports.base import About, Connected, Event, Published, Received, Session, Subscribed
from tickover.transports.mqtt.dedup import Delivery, PacketIds

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
{vehicles}
[[models]]
path = "{model}"
[[inputs]]
topic = "in/{{vehicle}}"
time = "t"
"""


class ScriptedLink:
    """Source and sink like `tickover.transports.mqtt.link.Link`: hands over what `inbox` holds, accepts all that is
    published."""

    about = About("scripted:1883", "scripted", away_s=300.0, window=2000)
    waiting = 0

    def __init__(self) -> None:
        self.deduplication = PacketIds()
        self.inbox: deque[Event] = deque([Connected(True), Subscribed(())])
        self.published: list[tuple[str, bytes]] = []
        self.acknowledged: list[int] = []

    @property
    def beat(self) -> float:
        return time.monotonic()

    heard = beat

    def start(self, session: Session) -> None:
        pass

    def stop(self, timeout: float) -> None:
        pass

    def back_off(self, reason: str) -> None:
        raise AssertionError(reason)

    def receive(self, timeout: float, limit: int, gather: float = 0.0) -> list[Event]:
        return [self.inbox.popleft() for _ in range(min(limit, len(self.inbox)))]

    def acknowledge(self, tokens: Iterable[Delivery]) -> None:
        self.acknowledged += [token.packet_id for token in tokens]

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.published.append((topic, payload))

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False) -> None:
        self.published.append((topic, payload))
        self.inbox.append(Published(token, ""))

    def of(self, part: str) -> list[bytes]:
        """Bodies of the topics that contain ``part``."""
        return [body for topic, body in self.published if part in topic]


def write_config(
    path: Path, state: Path, model: Path, commit_s: float = 0.05, clock: str = "unsynced", vehicles: str = ""
) -> Path:
    """A configuration for `started`; ``vehicles``: more lines of that table."""
    path.write_text(CONFIG.format(state=state, model=model, commit_s=commit_s, clock=clock, vehicles=vehicles))
    return path


@contextmanager
def started(config: Path, kind: type[ScriptedLink] = ScriptedLink) -> Iterator[tuple[Daemon, ScriptedLink]]:
    """A daemon that has begun, as `tickover run` begins one; it is not stopped, only closed."""
    link = kind()
    listen, presence.LISTEN_S = presence.LISTEN_S, 0.0  # type: ignore[misc]
    try:
        loaded = load_config(config)
        daemon = runner.open_daemon(loaded, open_fleet(loaded), "scripted", Transport(link, link))
        yield daemon, link
        daemon.engine.store.close()
    finally:
        presence.LISTEN_S = listen  # type: ignore[misc]


def message(row: Row, packet_id: int, dup: bool = False, topic: str = TOPIC) -> Received:
    """A row as the broker brings it."""
    stamp, shown = row
    body: dict[str, Any] = {"t": stamp, **shown}
    token = Delivery(1, packet_id, packet_id, 1, dup)
    return Received(topic, json.dumps(body).encode(), time.time_ns() // 1000, token)


def turn_until_idle(daemon: Daemon, link: ScriptedLink) -> None:
    """Go round until everything is read, committed and told."""
    while link.inbox:
        daemon.turn(0)
    daemon.engine.commit()
    for _ in range(3):
        daemon.turn(0)
    while link.inbox or not daemon.outbox.idle:
        daemon.turn(0)

"""The daemon's presence at the broker: status, info and will; and whether another daemon goes by the same client id.

Brokers tell a client whose session was taken over in different ways, and Mosquitto 2.0.11 not at all. So the
status topic carries an instance number: a daemon that was online, lost its connection and now reads another
instance's status knows that it has a double. It says ``stopped``, which tells the newcomer, and leaves the broker to it
for a long while.
"""

import time
from typing import Any, Final

import msgspec

from tickover import __version__
from tickover.core.manifest import Manifest
from tickover.daemon.outbox import Outbox
from tickover.messages.bodies import (
    Info,
    ModelInfo,
    State,
    Status,
)
from tickover.messages.topics import Topics
from tickover.transports.base import Will

LISTEN_S: Final = 0.5
"""After connecting: how long to listen for a double before speaking; the retained status comes in this time."""


ONLINE: Final = "online"
STOPPED: Final = "stopped"


class Presence:
    """Speaks through the outbox; ``instance`` is different for each run of the daemon."""

    def __init__(self, topics: Topics, instance: str) -> None:
        self.online = False
        """Whether this connection has heard that we are here."""
        self._topics, self._instance = topics, instance
        self._spoken = False
        self._speak_at: float | None = None
        self._met_at: float | None = None

    @property
    def will(self) -> Will:
        """What the broker says when we vanish."""
        return Will(self._topics.status, msgspec.json.encode(Status(state="offline", instance=self._instance)))

    @property
    def waits(self) -> bool:
        """Whether an announcement is to be made."""
        return self._speak_at is not None

    def status(self, state: State, now: int) -> bytes:
        """The body of the status topic; ``now`` in microseconds."""
        return msgspec.json.encode(Status(state=state, instance=self._instance, time=now))

    def subscribed(self) -> None:
        """The session stands: listen, then speak."""
        self._speak_at = time.monotonic() + LISTEN_S

    def disconnected(self) -> None:
        """There is nobody to speak to."""
        self._speak_at, self.online = None, False

    def has_double(self, body: bytes) -> bool:
        """Whether this status is of another instance that came after us; one that was here and left is noted."""
        try:
            status = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        other = status.get("instance") not in (None, self._instance)
        if self._spoken and other and status.get("state") == STOPPED:
            self._met_at = time.monotonic()
        return self._spoken and other and status.get("state") == ONLINE

    def met_within(self, seconds: float) -> bool:
        """Whether a double has left the field to us so short a time ago."""
        return self._met_at is not None and time.monotonic() - self._met_at < seconds

    def announce_when_due(self, outbox: Outbox, info: bytes, now: int) -> bool:
        """Tell everything retained again, then the backlog; True when that was now."""
        if self._speak_at is None or time.monotonic() < self._speak_at:
            return False
        self._speak_at, self._spoken, self.online = None, True, True
        outbox.connected()
        outbox.stand(self._topics.status, self.status(ONLINE, now))
        outbox.stand(self._topics.info, info)
        return True


def info(manifests: dict[str, Manifest], digests: dict[str, str]) -> bytes:
    """The body of the info topic: version, models, signals."""
    models = tuple(
        ModelInfo(detector=name, name=manifest.name, digest=digests[name], signals=manifest.names)
        for name, manifest in manifests.items()
    )
    return msgspec.json.encode(Info(version=__version__, models=models))

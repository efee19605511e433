"""The daemon's status, info and will at the broker; and whether another daemon uses the same client id (a *double*).

Brokers report in different ways that a session was taken over, and Mosquitto 2.0.11 does not at all. So a source that
was cut off soon after it connected asks who is online before it connects again (`Presence.double`), and the status
topic carries an instance number: a daemon that was cut off, or has read its own ``online``, and reads ``online`` of
another instance has a double. It publishes ``stopped``, by which the other knows too, and stays away for a while.

Which instances were earlier runs of this daemon the store knows: the status of one that had no time for a goodbye may
be retained. The topic is one of `tickover.transports.base.Session.retained`: however much the broker has queued for us,
a status does not wait behind it. No clock is compared.
"""

import math
import time
from collections.abc import Collection
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
from tickover.transports.base import Double, Will

LISTEN_S: Final = 0.5
"""After subscribing: how long to wait for the status of a double, which is retained, before ours replaces it."""
PATIENCE_S: Final = 3.0
"""How long to wait for the answer to the subscription."""

ONLINE: Final = "online"
STOPPED: Final = "stopped"


class Presence:
    """Publishes through the outbox; ``instance`` is different for each run of the daemon, ``earlier``: those before."""

    def __init__(self, topics: Topics, instance: str, earlier: Collection[str] = ()) -> None:
        self.online = False
        """Whether the daemon was announced on this connection."""
        self._topics, self._instance, self._earlier = topics, instance, frozenset(earlier)
        self._was_heard = self._was_cut = False
        """Whether this run has read its own ``online``, and whether it has lost a connection."""
        self._other = False
        """Whether the newest status is ``online`` of another instance."""
        self._announce_at: float | None = None
        self._met_at: float | None = None
        self._away_since: float | None = None

    @property
    def will(self) -> Will:
        """What the broker publishes when the connection ends without a goodbye."""
        return Will(self._topics.status, msgspec.json.encode(Status(state="offline", instance=self._instance)))

    @property
    def double(self) -> Double:
        """How a source that is not connected finds another daemon of this name, and says that it leaves."""
        farewell = msgspec.json.encode(Status(state="stopped", instance=self._instance))
        return Double(self._topics.status, self._is_of_other, farewell)

    def status(self, state: State, now: int) -> bytes:
        """The body of the status topic; ``now`` in microseconds."""
        return msgspec.json.encode(Status(state=state, instance=self._instance, time=now))

    def connected(self, resumed: bool, alone: bool = False) -> None:
        """A connection begins; ``alone``: nobody else was online just before. Where the broker kept our session, its
        answer to the subscription may stand behind much: a run that begins, or is alone, is announced at once, one that
        was online before waits `PATIENCE_S` for the answer, since a double may have taken its place."""
        if self._met_at is not None and self._away_since is not None:
            self._met_at += time.monotonic() - self._away_since  # nobody could be met meanwhile
        self._away_since = None
        if resumed or alone:
            self._announce_at = time.monotonic() + (PATIENCE_S if self._was_heard and not alone else 0.0)

    def subscribed(self) -> None:
        """The subscriptions are in force: listen, then announce, unless that is done."""
        if not self.online:
            self._announce_at = min(self._announce_at or math.inf, time.monotonic() + LISTEN_S)

    def disconnected(self, cut: bool = False) -> None:
        """The connection ended, or could not be made; ``cut``: one that the broker had accepted. What was to be
        announced waits for the next."""
        self._was_cut |= cut
        self._announce_at, self.online = None, False
        self._away_since = self._away_since or time.monotonic()

    def hear(self, body: bytes) -> None:
        """A status; one of another instance that left is noted."""
        instance, state = self._read(body)
        if instance is None:
            return
        if instance == self._instance:
            self._was_heard |= state == ONLINE
            self._other &= state != ONLINE
            return
        self._other = state == ONLINE
        if state == STOPPED and (self._was_heard or self._was_cut):
            self._met_at = time.monotonic()

    def _read(self, body: bytes) -> tuple[str | None, object]:
        """The instance and its state; None: it is none, or an earlier run of this daemon."""
        try:
            status = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None, None
        instance = status.get("instance")
        return (None if type(instance) is not str or instance in self._earlier else instance), status.get("state")

    def _is_of_other(self, body: bytes) -> bool:
        """Whether a status says that another daemon is online; changes nothing here."""
        instance, state = self._read(body)
        return instance not in (None, self._instance) and state == ONLINE

    @property
    def has_double(self) -> bool:
        """Whether another daemon is online under this name."""
        return self._other and (self._was_heard or self._was_cut)

    def gives_way(self) -> None:
        """The double has the field; what is heard after this counts anew."""
        self.disconnected()
        self._other = False

    def met_within(self, seconds: float) -> bool:
        """Whether a double disconnected in favour of this daemon within the last ``seconds``, less those without a
        connection."""
        return self._met_at is not None and time.monotonic() - self._met_at < seconds

    def announce_when_due(self, outbox: Outbox, info: bytes, now: int) -> bool:
        """Publish status and info again; True when that was now."""
        if self._announce_at is None or time.monotonic() < self._announce_at:
            return False
        self._announce_at, self.online = None, True
        outbox.stand_first(self._topics.status, self.status(ONLINE, now))
        outbox.stand(self._topics.info, info)
        return True


def info(manifests: dict[str, Manifest], digests: dict[str, str]) -> bytes:
    """The body of the info topic: version, models, signals."""
    models = tuple(
        ModelInfo(detector=name, name=manifest.name, digest=digests[name], signals=manifest.names)
        for name, manifest in manifests.items()
    )
    return msgspec.json.encode(Info(version=__version__, models=models))

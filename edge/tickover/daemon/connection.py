"""The daemon's connection as its source reports it: up and down, subscriptions, and other clients of the same name."""

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tickover.daemon.engine import Engine
from tickover.daemon.outbox import Outbox
from tickover.daemon.presence import Presence, info
from tickover.daemon.sources import Transport
from tickover.host.clock import now_us
from tickover.host.log_fields import fields
from tickover.messages import remedies
from tickover.messages.notices import Kind
from tickover.transports.base import Connected, Disconnected, Received, Session, Subscribed

logger: Final = logging.getLogger("tickover")

META_INSTANCES: Final = "instances"
INSTANCES: Final = 8
"""The newest runs that are remembered."""
DOUBLE_WAITS: Final = 2
"""A double that has not come back for so many times the span that it stays away is gone."""
FORGOTTEN: Final = (
    "the broker kept no session for us: readings that were published while we were away are lost; let it keep sessions "
    "(Mosquitto: persistence true, persistent_client_expiration) for longer than the connection may be lost"
)


def _instances(saved: bytes | None) -> list[str]:
    """The earlier runs in a store."""
    try:
        return msgspec.json.decode(saved or b"[]", type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


class Connection:
    """``up``: whether there is a connection. ``presence`` announces the daemon on it."""

    def __init__(self, transport: Transport, instance: str, engine: Engine, outbox: Outbox) -> None:
        self.up = False
        earlier = _instances(engine.store.meta(META_INSTANCES))
        self.presence = Presence(engine.topics, instance, earlier)
        engine.committer.change.meta[META_INSTANCES] = msgspec.json.encode([*earlier, instance][-INSTANCES:])
        self._source, self._sink = transport
        self._engine, self._outbox = engine, outbox
        self._topics = (*engine.intake.filters, engine.topics.requests)
        self._info = info(engine.opened.manifests, engine.opened.digests)
        self._reason = ""
        self._was_up = ""
        """The address of the newest connection of this run."""
        self._noted = {""}

    def start(self) -> None:
        """Begin to connect, once the next run can know this one's status."""
        self._engine.commit()
        status = self._engine.topics.status
        self._source.start(
            Session(self._topics, (status,), self.presence.will, self.presence.double, self._engine.topics.questions)
        )

    def connected(self, event: Connected) -> None:
        """The peer accepted the connection: what waits in the outbox goes out at once."""
        session = "resumed" if event.resumed else "new"
        address = event.address or self._source.about.address
        logger.info("connected %s", fields(broker=address, session=session))
        if event.note not in self._noted:
            self._noted.add(event.note)
            logger.warning(event.note)
        if self._was_up == address and not event.resumed:
            logger.warning("%s %s", FORGOTTEN, fields(broker=address))
        self.up, self._was_up = True, address
        # While the connection was lost no vehicle could be heard: silence is counted from now.
        self._engine.heard = dict.fromkeys(self._engine.heard, time.monotonic())
        self._engine.connected(event.resumed)
        if not event.resumed:
            self._source.deduplication.forget()
        self._outbox.connected()
        self.presence.connected(event.resumed, event.alone)
        self._give_way()

    def subscribed(self, event: Subscribed) -> None:
        """The subscriptions are in force; those refused raise a notice."""
        refused = [topic for topic in event.refused if topic in self._topics]  # the others are for speed alone
        text = f"the broker refused: {', '.join(refused) or 'nothing'}"
        self._engine.announcer.say(Kind.SUBSCRIPTION_REFUSED, bool(refused), text)
        granted = [topic for topic in self._topics if topic not in refused]
        logger.info("subscribed %s", fields(topics=",".join(granted) or "none"))
        self.presence.subscribed()
        self._engine.hints.subscribed()

    def disconnected(self, event: Disconnected) -> None:
        """The connection ended, or could not be made; each new reason is logged once."""
        about = self._source.about
        log: Callable[..., None] = logger.warning if self.up or event.reason != self._reason else logger.debug
        why = {"fix": fix} if (fix := remedies.for_connection(event.reason)) else {}
        log("no connection %s", fields(broker=event.address or about.address, reason=event.reason, **why))
        self.presence.disconnected(cut=self.up and not event.taken_over)
        self.up, self._reason = False, event.reason
        self._outbox.disconnected()
        if event.taken_over:
            text = f"another client uses this client ID: this daemon stays disconnected for {about.away_s:g} s"
            self._announce_double(True, text)

    def hear_status(self, message: Received) -> None:
        """A message on the daemon's own status topic: another daemon may use the same name."""
        self.presence.hear(message.payload)
        self._give_way()

    def _give_way(self) -> None:
        """Stay away for a while when another daemon has this name. A status is handed over before what happened
        earlier: what to make of it may turn out with the connection's next event."""
        if self.up and self.presence.has_double:
            # The two share a session: what is not acknowledged the other takes as well.
            self._engine.commit()
            topic, farewell = self._engine.topics.status, self.presence.status("stopped", now_us())
            self._sink.send(topic, farewell, retain=True)
            self.presence.gives_way()
            self._source.back_off("another daemon with this client ID is connected")

    def announce_when_due(self) -> bool:
        """Publish status and info again; True when that was now."""
        announced = self.presence.announce_when_due(self._outbox, self._info, now_us())
        if announced:
            self.check_double()
        return announced

    def check_double(self) -> None:
        """Raise or clear the notice of a double: one that disconnected comes back after its wait, unless renamed."""
        met = self.presence.met_within(DOUBLE_WAITS * self._source.about.away_s)
        left = "another client with this client ID was disconnected and will reconnect"
        self._announce_double(met, left if met else "no other client uses this client ID")

    def _announce_double(self, active: bool, text: str) -> None:
        name = f"(client_id {self._source.about.client_id})"
        cure = "; give each daemon its own broker.client_id" if active else ""
        self._engine.announcer.say(Kind.TAKEN_OVER, active, f"{text}{cure} {name}")

"""What is done by the clock: silence and sleep, expiry of modes, the way back to a disk, standing notices, health."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from tickover.daemon.config import Config
from tickover.daemon.connection import Connection
from tickover.daemon.engine import Engine
from tickover.daemon.health import Health
from tickover.daemon.outbox import Outbox
from tickover.daemon.silence import Silence
from tickover.daemon.sources import Transport
from tickover.daemon.uplink import Uplink, Use
from tickover.host.clock import is_synced, now_us
from tickover.host.log_fields import fields
from tickover.messages import remedies
from tickover.messages.notices import Kind

if TYPE_CHECKING:
    from tickover.daemon.bus import LiveBus

logger: Final = logging.getLogger("tickover")

CHORES_S: Final = 1.0
"""How often silent and sleeping vehicles, expired modes and a failed disk are looked after."""


class Timer:
    """Due every ``every_s`` seconds, the first time at once; 0: never."""

    def __init__(self, every_s: float) -> None:
        self._every_s, self._at = every_s, 0.0

    def is_due(self, now: float) -> bool:
        """Whether it is time; then the next span begins. ``now`` in monotonic seconds."""
        if not self._every_s or now < self._at:
            return False
        self._at = now + self._every_s
        return True

    def hurry(self) -> None:
        """Due at the next look."""
        self._at = 0.0


class Upkeep:
    """`turn` does what is due."""

    def __init__(
        self,
        config: Config,
        transport: Transport,
        engine: Engine,
        outbox: Outbox,
        connection: Connection,
        health: Health,
        uplink: Uplink,
        buses: "Sequence[LiveBus]" = (),
    ) -> None:
        self._config, self._engine, self._outbox = config, engine, outbox
        self._source, self._sink = transport
        self._connection, self._health, self._uplink = connection, health, uplink
        self._buses = buses
        self._silence = Silence(config.vehicles, engine)
        self._chores, self._report = Timer(CHORES_S), Timer(config.out.health_s)
        self._scores = Timer(config.out.score_s)

    def turn(self) -> None:
        """Once round all timers."""
        now = time.monotonic()
        if self._connection.announce_when_due():
            self._report.hurry()
        if self._connection.up:
            self._ask_for_births(now)
        if self._chores.is_due(now):
            self._do_chores(now)
        if self._report.is_due(now):
            self._health.publish()
        if self._scores.is_due(now):
            self._publish_scores()

    def _ask_for_births(self, now: float) -> None:
        """Without an answer, as the specification has it (Sparkplug 3.0, tck-id-payloads-ncmd-qos)."""
        for topic, body in self._engine.intake.requester.due(now):
            logger.info("asking for births %s", fields(topic=topic))
            self._sink.send(topic, body(now_us()))

    def _do_chores(self, now: float) -> None:
        engine, connection = self._engine, self._connection
        engine.synced = is_synced(self._config.vehicles.clock)
        if connection.up:
            self._silence.check(min(now, self._source.heard))
        if connection.presence.online:
            connection.check_double()
        if engine.silencing.expire():
            engine.keep_modes()
        if engine.committer.retry_is_due(now):
            engine.commit()
            engine.committer.retry_disk()
        engine.hints.look(engine.intake.counts)
        self._stand()

    def _stand(self) -> None:
        """The notices that stand while something is wrong."""
        store, say, refused = self._engine.store, self._engine.announcer.say, self._outbox.refusal
        problem = store.problem or ""
        why = remedies.after(problem, remedies.for_disk(problem))
        trouble = f"commits do not reach the disk ({self._config.state.folder}): {why}"
        say(Kind.DURABILITY, not store.durable, "commits reach the disk" if store.durable else trouble)
        say(
            Kind.PUBLISH_REFUSED,
            bool(refused),
            f"the broker refuses messages: {refused}" if refused else "none refused",
        )
        unread = self._engine.hints.unread()
        self._engine.announcer.own(Kind.UNREAD, bool(unread), unread or "all that is received is read", now_us())
        short = self._uplink.trouble
        say(Kind.DATA_ALLOWANCE, bool(short), short or "the day's allowance of bytes suffices")
        down = "; ".join(filter(None, (bus.trouble for bus in self._buses)))
        say(Kind.BUS_DOWN, bool(down), down or "every bus is open")
        half = self._config.outbox.rows // 2
        # Delivered messages that are kept for the command replay do not count; to count the others costs a query.
        if store.rows <= half or store.depth() <= half:
            say(Kind.OUTBOX_OVERFLOW, False, f"{store.dropped} messages were dropped in all")

    def _publish_scores(self) -> None:
        for vehicle in self._engine.fleet.vehicles:
            if not self._uplink.allows(Use.SCORE):
                continue
            scores = msgspec.json.encode(self._engine.live.scores(vehicle))
            self._outbox.remark(self._engine.topics.of(vehicle, "score"), scores)

"""The daemon's loop: messages in, events through the fleet, one transaction, then acknowledgements and alerts out.

Nothing is acknowledged and nothing is published before it is committed. One thread; the broker's socket has another
(`tickover.transports.mqtt.link`).
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tickover.core.values import SECOND
from tickover.daemon import commands
from tickover.daemon.announcer import STANDING, Announcer
from tickover.daemon.committer import Committer
from tickover.daemon.config import Config
from tickover.daemon.events import Advance, Event, Reset
from tickover.daemon.health import Drops, Rates, health_report, open_metrics
from tickover.daemon.intake import Intake
from tickover.daemon.latest import Live
from tickover.daemon.modes import EVERYONE, Mode, Modes
from tickover.daemon.outbox import Outbox
from tickover.daemon.presence import Presence, info
from tickover.daemon.recovery import Keeper, Opened, models_change
from tickover.daemon.startup_hints import FirstReadings
from tickover.host.clock import is_synced
from tickover.messages import remedies
from tickover.messages.notices import Kind
from tickover.messages.topics import Topics
from tickover.storage.store import Store
from tickover.transports.mqtt.link import (
    Connected,
    Disconnected,
    Incoming,
    Link,
    Published,
    Subscribed,
)

logger: Final = logging.getLogger("tickover")

BATCH: Final = 1000
"""Messages taken at once: as many as force a commit by default. More are no faster, and the memory for them stays."""
WAIT_S: Final = 0.05
"""How long the loop waits for a message; timers are looked at at least this often."""
GATHER_S, FEW_VEHICLES = 0.01, 10
"""More vehicles than these few report one after another; waiting so long for the next ones' messages lets them share a
run of the model, which costs a fleet of 1,000 half the CPU."""
CHORES_S: Final = 1.0
"""How often silent and sleeping vehicles, expired modes and a failed disk are looked after."""
PAYLOAD_SHOWN: Final = 80
"""Bytes of a refused payload in the log."""
SNAPSHOT_MOST: Final = 100
"""The most vehicles in one snapshot."""
DOUBLE_WAITS: Final = 2
"""A double that has not come again for so many times its wait is gone."""
NAMES_SHOWN: Final = 10
"""The most vehicles that a notice names."""
META_MODES: Final = "modes"
META_LEARNT: Final = "decoders"


class Daemon:
    """Built from a checked configuration, an opened fleet and a store; `turn` goes round the loop once."""

    def __init__(self, config: Config, opened: Opened, store: Store, instance: str) -> None:
        self.config, self.opened, self.store, self.fleet = config, opened, store, opened.fleet
        self.modes = Modes(store.meta(META_MODES))
        self.topics = Topics(config.out.base, config.node)
        self.intake = Intake(config.inputs, self.fleet.columns, config.vehicles, self._in_workshop)
        if learnt := store.meta(META_LEARNT):
            self.intake.restore(learnt)
        self.presence = Presence(self.topics, instance)
        filters = [*self.intake.filters, self.topics.requests]
        self.link = Link(config.broker, filters, self.presence.will, retained=[self.topics.status])
        self.outbox = Outbox(store, self.link, config.outbox.refused_retry_s)
        self.teller = Announcer(self.topics, self._muted)
        self.teller.resume(store.retained())
        self.committer = Committer(config.state, config.broker.receive_maximum, store, self.fleet, self.outbox)
        self.keeper = Keeper(store, opened)
        self.live = Live({name: manifest.names for name, manifest in opened.manifests.items()})
        self.connected, self._unconnected = False, ""
        self.synced = is_synced(config.vehicles.clock)
        self._rates, self._drops = Rates(), Drops()
        self._first = FirstReadings(self.intake.filters)
        self._seen: dict[str, float] = {}
        self._silenced: dict[str, float] = {}
        self._chores_at = self._health_at = self._scores_at = 0.0
        self._metrics = open_metrics(config.out.metrics_port)
        self._handlers: dict[type, Callable[[Any], None]] = {
            Incoming: self._take,
            Connected: self._on_connected,
            Disconnected: self._on_disconnected,
            Published: self.outbox.published,
            Subscribed: self._on_subscribed,
        }

    def start(self) -> None:
        """Run the journal again, say what was wrong with the store, and begin to connect."""
        for vehicle in self.keeper.replay_journal():
            self._seen[vehicle] = time.monotonic()
        self.committer.taken.restore(self.store.meta, self.keeper.taken)
        self.committer.states_of(self.fleet.vehicles)
        self.teller.clear(self.keeper.ownerless(self.topics.alarms(self.config.node, STANDING)))
        self._say_damaged(0)
        self.link.start()

    def turn(self, wait: float = WAIT_S) -> None:
        """Once round: take what came, run it, commit when due, send what may be sent."""
        gather = GATHER_S if len(self._seen) > FEW_VEHICLES else 0.0
        for event in self.link.receive(wait, BATCH, gather):
            self._handlers[type(event)](event)
        self._run()
        self._timers()
        if self.committer.due(self.teller.waiting):
            self.commit()
        self.outbox.pump()

    def commit(self, checkpoint: bool = False) -> None:
        """One transaction; then the inputs in it are acknowledged."""
        self._run()
        if learnt := self.intake.learnt():
            self.committer.change.meta[META_LEARNT] = learnt
        dropped, damaged = self.store.dropped, len(self.store.quarantined)
        asleep = self.committer.commit(self.now(), self.teller, checkpoint)
        self.link.acknowledge(self.committer.acknowledged())
        for vehicle in asleep:
            self.fleet.forget(vehicle)
            self.live.forget(vehicle)
        if len(self.store.quarantined) > damaged:
            self.committer.change.meta |= {META_MODES: self.modes.encode(), **models_change(self.opened.digests).meta}
            self._say_damaged(damaged)
        if self.store.dropped > dropped:
            self.notice(Kind.OUTBOX_OVERFLOW, True, "the outbox is full: lowest severity and oldest are dropped")

    def stop(self, seconds: float) -> None:
        """Commit everything, send what can be sent within ``seconds``, say goodbye."""
        end = time.monotonic() + seconds
        self.commit(checkpoint=True)
        self.outbox.stand(self.topics.status, self.presence.status("stopped", self.now()))
        self.outbox.pump()
        while not self.outbox.idle and time.monotonic() < end:
            for event in self.link.receive(WAIT_S, BATCH):
                if isinstance(event, Published | Disconnected):
                    self._handlers[type(event)](event)
            self.outbox.pump()
        self.commit()
        self.link.stop(1.0)
        self.store.close()
        if self._metrics:
            self._metrics.close()

    def notice(self, kind: Kind, active: bool, text: str) -> None:
        """Say it, when it is news, to the log and to the broker."""
        if self.teller.own(kind, active, text, self.now()):
            (logger.error if active else logger.info)("%s: %s", kind.value, text)

    def _say_damaged(self, before: int) -> None:
        """Of every store put aside but those ``before``."""
        kept = len({*self.store.vehicles(), *self.fleet.vehicles})
        for aside in self.store.quarantined[before:]:
            text = f"the store was damaged and renamed to {aside.name}; states of {kept} vehicles are kept"
            self.notice(Kind.STORE_DAMAGED, True, text)

    # In

    def _take(self, message: Incoming) -> None:
        """One message: an input, a command, or a status under our name."""
        if message.topic == self.topics.status:
            self._hear_status(message)
            return
        self.committer.received(message)
        command = self.topics.command(message.topic)
        if command:
            self._command(message, *command)
            return
        if self.committer.taken.is_repeat(message):
            self.intake.counts["repeated"] += 1
            return
        self.committer.taken.note(message)
        refused = self.intake.take(message, self.synced)
        if refused and self.intake.counts[refused] == 1:
            begins, why = message.payload[:PAYLOAD_SHOWN], remedies.on_reading(refused)
            logger.warning("refused a message on %s, which begins %r: %s (told once)", message.topic, begins, why)

    def _hear_status(self, message: Incoming) -> None:
        """Acknowledged at once, with all before it: left in the shared session, it would come to a double as news."""
        self.committer.received(message)
        self.commit()
        if self.presence.has_double(message):
            farewell = self.presence.status("stopped", self.now())
            self.link.publish(None, self.topics.status, farewell, retain=True, qos=0)
            self.presence.disconnected()
            self.link.back_off("another daemon with this client id is connected")

    def _run(self) -> None:
        """Apply what was gathered, run the fleet, gather what is to be told."""
        now = time.monotonic()
        for rows in self.intake.drain():
            is_new = rows.vehicle not in self._seen
            self._seen[rows.vehicle] = now
            if not self.keeper.wake(rows.vehicle):
                self.teller.clear(self.topics.alarms(rows.vehicle, (*self.opened.manifests, Kind.STALE_SIGNAL)))
            self._apply(rows)
            if is_new:
                self._first.met(rows.vehicle, self.fleet.newest(rows.vehicle), self.now())
        outcome = self.fleet.pump()
        self.live.note(outcome.outputs)
        for alert in outcome.alerts:
            self.teller.alert(alert)
        for notice in outcome.notices:
            self.teller.notice(notice)
        if self.keeper.lost:
            lost = ", ".join(sorted(self.keeper.lost)[:NAMES_SHOWN])
            lost += f" and {more} more" if (more := len(self.keeper.lost) - NAMES_SHOWN) > 0 else ""
            self.notice(Kind.STATE_LOST, True, f"no usable state of {lost}: starting anew, open alarms are cleared")
            self.keeper.lost.clear()

    def _apply(self, event: Event) -> None:
        """Bring one event to the fleet and into the journal."""
        self.keeper.wake(event.vehicle)
        self.fleet.apply(event)
        self.committer.journal(event)

    def _command(self, message: Incoming, target: str, name: str) -> None:
        """Run what came before it, obey, commit, answer."""
        self._run()
        answer = commands.obey(self, self.config.node, target, name, message.payload)
        self.commit()
        self.outbox.remark(self.topics.response(target, name), answer)

    # What commands need (commands.Commanded)

    def now(self) -> int:
        """The clock, microseconds."""
        return time.time_ns() // 1000

    def has_seen(self, vehicle: str) -> bool:
        """Whether the vehicle has reported, in this run or in one that the store remembers."""
        return vehicle in self.fleet or vehicle in self.intake.vehicles or self.store.has_seen(vehicle)

    def vehicles(self) -> list[str]:
        """Every vehicle that has a state, in memory or on disk, in order."""
        return sorted({*self.fleet.vehicles, *self.store.vehicles()})

    def status_report(self) -> dict[str, Any]:
        """The health report, the models and the modes."""
        return {**health_report(self), "models": self.opened.digests, "modes": self.modes.report()}

    def snapshot(self, vehicle: str) -> dict[str, Any]:
        """The newest tick of a vehicle, or of all."""
        chosen = self.fleet.vehicles if vehicle == EVERYONE else (vehicle,)
        return {name: self.live.snapshot(name) for name in chosen[:SNAPSHOT_MOST]}

    def set_mode(self, mode: Mode, vehicle: str, until: int) -> None:
        """Enter or leave a mode; durable with the next commit."""
        self.modes.set(mode, vehicle, until)
        self.committer.change.meta[META_MODES] = self.modes.encode()

    def reset(self, vehicle: str) -> None:
        """Forget all that is known of a vehicle, or of all; open episodes end with reason reset."""
        for name in self.vehicles() if vehicle == EVERYONE else (vehicle,):
            self._apply(Reset(name))
            self.live.forget(name)

    def replay(self, vehicle: str, since: int) -> int:
        """Send again what was delivered since then (microseconds of the clock); how many messages."""
        if not self.config.outbox.keep_s:
            raise commands.CommandError("delivered alerts are not kept: outbox.keep_s is 0")
        self.commit()
        start = "" if vehicle == EVERYONE else self.topics.of(vehicle, "")
        self.committer.change.again.append((since, start))
        self.outbox.again()
        return self.store.kept(since, start)

    def _muted(self, vehicle: str) -> bool:
        return self.modes.active(Mode.MUTE, vehicle, self.now())

    def _in_workshop(self, vehicle: str) -> bool:
        return self.modes.active(Mode.WORKSHOP, vehicle, self.now())

    # The connection

    def _on_connected(self, event: Connected) -> None:
        broker, session = self.config.broker, "resumed" if event.resumed else "new"
        logger.info("connected to %s:%d, session %s", broker.host, broker.port, session)
        self.connected = True
        self._seen = dict.fromkeys(self._seen, time.monotonic())
        if not event.resumed:
            self.committer.taken.forget()

    def _on_subscribed(self, event: Subscribed) -> None:
        refused = [topic for topic in event.refused if topic != self.topics.status]
        self.notice(Kind.SUBSCRIPTION_REFUSED, bool(refused), f"the broker refused: {', '.join(refused) or 'nothing'}")
        granted = [topic for topic in (*self.intake.filters, self.topics.requests) if topic not in refused]
        logger.info("subscribed to %s", ", ".join(granted) or "nothing")
        self.presence.subscribed()
        self._first.subscribed()

    def _on_disconnected(self, event: Disconnected) -> None:
        broker = self.config.broker
        log = logger.warning if self.connected or event.reason != self._unconnected else logger.debug
        why = remedies.after(event.reason, remedies.for_connection(event.reason))
        log("no connection to %s:%d: %s", broker.host, broker.port, why)
        self.connected, self._unconnected = False, event.reason
        self.presence.disconnected()
        self.outbox.disconnected()
        if event.taken_over:
            wait = f"staying away for {broker.taken_over_wait_s:g} s"
            self.notice(Kind.TAKEN_OVER, True, f"another client uses the client id {broker.client_id}; {wait}")

    # Timers

    def _timers(self) -> None:
        now = time.monotonic()
        body = info(self.opened.manifests, self.opened.digests) if self.presence.waits else b""
        if self.presence.announce_when_due(self.outbox, body, self.now()):
            self._tell_doubles()
            self._health_at = 0.0
        if self.connected:
            self._ask_for_births(now)
        if now >= self._chores_at:
            self._chores_at = now + CHORES_S
            self._chores(now)
        if now >= self._health_at:
            self._health_at = now + self.config.out.health_s
            self._tell_health()
        if self.config.out.score_s and now >= self._scores_at:
            self._scores_at = now + self.config.out.score_s
            for name in self.fleet.vehicles:
                self.outbox.remark(self.topics.of(name, "score"), msgspec.json.encode(self.live.scores(name)))

    def _tell_doubles(self) -> None:
        """Whether the client id is ours alone: a double that left comes back after its wait, unless it was mended."""
        broker = self.config.broker
        met = self.presence.met_within(DOUBLE_WAITS * broker.taken_over_wait_s)
        left = f"another daemon uses the client id {broker.client_id}: it left to us, and will come again"
        self.notice(Kind.TAKEN_OVER, met, left if met else "the client id is ours")

    def _ask_for_births(self, now: float) -> None:
        """At QoS 0, as the specification has it (Sparkplug 3.0, tck-id-payloads-ncmd-qos)."""
        for topic, body in self.intake.requester.due(now):
            logger.info("asking for births on %s", topic)
            self.link.publish(None, topic, body(self.now()), qos=0)

    def _chores(self, now: float) -> None:
        """Silence, sleep, expiry, and the way back to a disk that failed."""
        self.synced = is_synced(self.config.vehicles.clock)
        if self.connected:
            for vehicle in list(self._seen):
                self._look_after(vehicle, min(now, self.link.heard))
        if self.presence.online:
            self._tell_doubles()
        if self.modes.expire(self.now()):
            self.committer.change.meta[META_MODES] = self.modes.encode()
        if self.committer.retry_is_due(now):
            self.commit()
            self.committer.retry_disk(now)
        self._first.look(self.intake.counts)
        durable, refused = self.store.durable, self.outbox.refusal
        problem = self.store.problem or ""
        why = remedies.after(problem, remedies.for_disk(problem))
        trouble = f"commits do not reach the disk ({self.config.state.folder}): {why}"
        self.notice(Kind.DURABILITY, not durable, "commits reach the disk" if durable else trouble)
        self.notice(Kind.PUBLISH_REFUSED, bool(refused), f"the broker refuses messages: {refused or 'no more'}")
        half = self.config.outbox.rows // 2
        if self.store.rows <= half or self.store.depth() <= half:  # delivered ones that are kept do not count
            self.notice(Kind.OUTBOX_OVERFLOW, False, f"{self.store.dropped} messages were dropped in all")

    def _look_after(self, vehicle: str, now: float) -> None:
        """A silent vehicle's event time goes on as the clock did: once, and again while an episode is open.

        Only as long as the broker is heard: a connection that is gone, or dead unnoticed, says nothing of the truck,
        whose readings wait in the broker's queue.
        """
        limits, heard = self.config.vehicles, self._seen[vehicle]
        if limits.sleep_s and now - heard > limits.sleep_s:
            del self._seen[vehicle]
            self._silenced.pop(vehicle, None)
            self.committer.sleep(vehicle)
            return
        since = max(heard, self._silenced.get(vehicle, heard))
        if not limits.silence_s or now - since <= limits.silence_s or vehicle not in self.fleet:
            return
        if since == heard or self.fleet.is_open(vehicle):
            self._silenced[vehicle] = now
            self._apply(Advance(vehicle, self.fleet.newest(vehicle) + round((now - since) * SECOND)))

    def _tell_health(self) -> None:
        """The report, the log's line of drops, and the data-quality alarm."""
        report = health_report(self)
        new, seconds = self._rates.turn(Counter(report["dropped"]) + Counter(rows=report["rows"]))
        rows = new.pop("rows", 0)
        self._drops.log(new)
        bad = rows > 0 and new["late"] > self.config.vehicles.late_share * rows
        self.notice(Kind.DATA_QUALITY, bad, "many readings come late" if bad else "readings come in time")
        report["rows_per_s"] = round(rows / seconds, 1)
        body = msgspec.json.encode({**report, "models": self.opened.digests})
        self.outbox.remark(self.topics.health, body)
        if self._metrics:
            self._metrics.show(report)

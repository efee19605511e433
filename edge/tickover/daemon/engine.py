"""From received messages to durable alerts: readings through the fleet, one transaction, then the acknowledgements.

Nothing is acknowledged and nothing is published before it is committed.
"""

import logging
import time
from typing import Final

from tickover.core.ledger import Verdict
from tickover.core.manifest import SENSOR_KINDS, SENSOR_PREFIX
from tickover.daemon.announcer import STANDING, Announcer
from tickover.daemon.committer import Committer
from tickover.daemon.config import Config
from tickover.daemon.events import Event, GiveUp, Judge, Reset, Rows
from tickover.daemon.intake import Intake
from tickover.daemon.late import REPLAYED
from tickover.daemon.latest import Live
from tickover.daemon.modes import Mode, Modes
from tickover.daemon.outbox import Outbox
from tickover.daemon.recovery import Keeper, Opened, models_change
from tickover.daemon.shards import taken_by
from tickover.daemon.silencing import META_SWALLOWED, Silencing
from tickover.daemon.stale_groups import META_GROUPS
from tickover.daemon.starting import Progress
from tickover.daemon.startup_hints import FirstReadings
from tickover.host.clock import is_synced, now_us
from tickover.host.log_fields import fields
from tickover.messages import remedies
from tickover.messages.notices import Kind
from tickover.messages.topics import Topics
from tickover.storage.store import Store
from tickover.transports.base import Received, Source

logger: Final = logging.getLogger("tickover")

EXPLAINED: Final = 100
"""The most reasons of refused messages that are logged with a message."""
TOPIC_SHOWN: Final = 200
"""Characters of its topic."""
PAYLOAD_SHOWN: Final = 80
"""Bytes of a refused payload in the log."""
NAMES_SHOWN: Final = 10
"""The most vehicles that a notice names."""
META_MODES: Final = "modes"
META_LEARNT: Final = "decoders"


def _units(opened: Opened) -> dict[str, str]:
    """The unit of each signal; of the first model that has it."""
    units: dict[str, str] = {}
    for manifest in opened.manifests.values():
        for signal in manifest.signals:
            units.setdefault(signal.name, signal.unit)
    return units


class Engine:
    """Built from a checked configuration, an opened fleet and a store.

    ``heard``: when each vehicle awake was last heard (monotonic seconds). ``synced``: whether the clock is.
    """

    def __init__(self, config: Config, opened: Opened, store: Store, source: Source, outbox: Outbox) -> None:
        self.opened, self.store, self.fleet = opened, store, opened.fleet
        self.topics = Topics(config.out.base, config.node)
        self.modes = Modes(store.meta(META_MODES))
        self.intake = Intake(
            config.inputs,
            self.fleet.columns,
            config.vehicles,
            self._is_out_of_service,
            _units(opened),
            taken_by(config.fleet),
        )
        if learnt := store.meta(META_LEARNT):
            self.intake.restore(learnt)
        self.announcer = Announcer(self.topics, self.is_shelved, store.meta(META_GROUPS))
        self.announcer.resume(store.retained())
        self.silencing = Silencing(self.modes, self.announcer, config.node, store.meta(META_SWALLOWED))
        self.committer = Committer(config.state, source, store, self.fleet, outbox)
        self.keeper = Keeper(store, opened)
        self.live = Live({name: manifest.names for name, manifest in opened.manifests.items()})
        intake = self.intake
        self.hints = FirstReadings(intake.filters, intake.unread, self.fleet.never_read, intake.strangers)
        self._explained: set[tuple[str, str]] = set()
        self.heard: dict[str, float] = {}
        self.synced = is_synced(config.vehicles.clock)
        self._source = source
        self.lost_store, self._began_empty = False, not store.settled
        self._own_alarms = self.topics.alarms(config.node, STANDING)

    def start(self) -> None:
        """Run the journal again, and announce what was wrong with the store."""
        self.heard = dict.fromkeys(self.keeper.replay_journal(Progress(self.store.entries())), time.monotonic())
        self.committer.restore(self.keeper.deduplication)
        self.announcer.clear(self.keeper.ownerless(self._own_alarms))
        for alert in self.keeper.abandoned():
            self.announcer.alert(alert)
        self._announce_damage(0)

    def read(self, message: Received) -> None:
        """Take one input, unless it repeats one that was taken before."""
        deduplication, counts = self._source.deduplication, self.intake.counts
        if deduplication.is_repeat(message):
            counts["repeated"] += 1
            return
        deduplication.note(message)
        refused = self.intake.take(message, self.synced)
        if refused and (refused, self.intake.advice) not in self._explained and len(self._explained) < EXPLAINED:
            self._explained.add((refused, self.intake.advice))
            shown = fields(topic=message.topic[:TOPIC_SHOWN], payload=message.payload[:PAYLOAD_SHOWN])
            why = remedies.on_reading(refused, self.intake.advice)
            logger.warning("refused a message %s: %s (logged once for each input and reason)", shown, why)

    def run(self) -> None:
        """Apply what was gathered, run the models, and gather what is to be announced."""
        now = time.monotonic()
        for rows in self.intake.drain():
            self._take(rows, now)
        for vehicle in self.fleet.holds_too_much():
            self.apply(GiveUp(vehicle))
        outcome = self.fleet.pump()
        self.live.note(outcome.pumped)
        for alert in outcome.alerts:
            self.announcer.alert(alert)
        if self.fleet.anew:
            outcome.notices[:0] = self.fleet.anew
            self.fleet.anew.clear()
        for notice in outcome.notices:
            self.announcer.notice(notice)
        if self.keeper.lost:
            self._announce_lost()

    def apply(self, event: Event) -> None:
        """Bring one event to the fleet and into the journal."""
        self.keeper.wake(event.vehicle)
        self.fleet.apply(event)
        self.committer.journal(event)

    def commit(self, checkpoint: bool = False) -> None:
        """One transaction; then the messages in it are acknowledged."""
        self._commit(checkpoint)
        self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge the messages that are committed."""
        if done := self.committer.acknowledged():
            self._source.acknowledge(done)

    def _commit(self, checkpoint: bool = False) -> None:
        self.run()
        if learnt := self.intake.learnt():
            self.committer.change.meta[META_LEARNT] = learnt
        if (swallowed := self.silencing.changed()) is not None:
            self.committer.change.meta[META_SWALLOWED] = swallowed
        dropped, damaged = self.store.dropped, len(self.store.quarantined)
        asleep = self.committer.commit(now_us(), self.announcer, checkpoint)
        for vehicle in asleep:
            self.fleet.forget(vehicle)
            self.live.forget(vehicle)
        if len(self.store.quarantined) > damaged:
            # The file that took the damaged one's place knows only what is written from now on.
            self.keep_modes()
            self.committer.change.meta |= models_change(self.opened.digests).meta
            self._announce_damage(damaged)
        if self.store.dropped > dropped:
            text = "the outbox is full: messages of the lowest severity, of these the oldest, are dropped"
            self.announcer.say(Kind.OUTBOX_OVERFLOW, True, text)

    def commit_when_due(self) -> None:
        """Commit when the committer or something to be announced asks for it; to `acknowledge` is left to the caller,
        since an alert that is committed should go out before anything wakes the thread that owns the socket."""
        if self.committer.due(self.announcer.waiting):
            self._commit()

    def sleep(self, vehicle: str) -> None:
        """Put a vehicle's state to disk with the next commit, and forget it then."""
        self.heard.pop(vehicle, None)
        self.committer.sleep(vehicle)

    def reset(self, vehicle: str) -> None:
        """Forget all that is known of a vehicle; its open episodes end with reason reset."""
        self.apply(Reset(vehicle))
        self.live.forget(vehicle)

    def judge(self, vehicle: str, episode: str, verdict: Verdict) -> None:
        """A person's verdict on an episode that the fleet remembers."""
        self.apply(Judge(vehicle, episode, verdict))
        self.heard.setdefault(vehicle, time.monotonic())  # woken for this, it goes to sleep again like any other

    def keep_modes(self) -> None:
        """Write the modes with the next commit."""
        self.committer.change.meta[META_MODES] = self.modes.encode()

    def is_shelved(self, vehicle: str) -> bool:
        """Whether the vehicle's alerts are not published at present."""
        return self.modes.active(Mode.SHELVED, vehicle, now_us())

    def _is_out_of_service(self, vehicle: str) -> bool:
        # Asked for every row: the clock is read only when any vehicle is.
        return self.modes.holds_any(Mode.OUT_OF_SERVICE) and self.modes.active(Mode.OUT_OF_SERVICE, vehicle, now_us())

    def _detectors(self) -> list[str]:
        """Whose alarms a vehicle that the store does not know may have at the broker.

        The sensors' are some hundred: they are named only when the store was lost.
        """
        names = [*self.opened.manifests, Kind.STALE_SIGNAL, Kind.BUDGET_BROKEN]
        if self.lost_store:
            names += [f"{name}{REPLAYED}" for name in self.opened.manifests]
            names += [f"{SENSOR_PREFIX}{kind}.{signal}" for kind in SENSOR_KINDS for signal in self.fleet.columns]
        return names

    def connected(self, resumed: bool) -> None:
        """A session at the broker that is older than the store: there was another store before."""
        self.lost_store |= resumed and self._began_empty

    def _take(self, rows: Rows, now: float) -> None:
        vehicle, is_new = rows.vehicle, rows.vehicle not in self.heard
        self.heard[vehicle] = now
        if not self.keeper.wake(vehicle):
            # The store may be new: alarms of an earlier one may stand at the broker, and nothing else would clear them.
            self.announcer.clear(self.topics.alarms(vehicle, self._detectors()))
            self.announcer.forget(vehicle)
        self.apply(rows)
        if is_new:
            self.hints.met(vehicle, self.fleet.newest(vehicle), now_us())

    def _announce_damage(self, before: int) -> None:
        """Of every store put aside but those ``before``."""
        kept = len({*self.store.vehicles(), *self.fleet.vehicles})
        for aside in self.store.quarantined[before:]:
            text = f"the store was damaged and renamed to {aside.name}; states of {kept} vehicles are kept"
            self.announcer.say(Kind.STORE_DAMAGED, True, text)

    def _announce_lost(self) -> None:
        lost = ", ".join(sorted(self.keeper.lost)[:NAMES_SHOWN])
        lost += f" and {more} more" if (more := len(self.keeper.lost) - NAMES_SHOWN) > 0 else ""
        text = f"no usable state of {lost}: they start anew, open alarms are cleared"
        self.announcer.say(Kind.STATE_LOST, True, text)
        self.keeper.lost.clear()

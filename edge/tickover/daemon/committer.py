"""When to commit, and what a commit holds (docs/adr/0020-journal-and-checkpoint.md)."""

import time
from collections.abc import Iterable
from typing import Final

from tickover.daemon import events
from tickover.daemon.announcer import Announcer
from tickover.daemon.checkpoint import Checkpoint
from tickover.daemon.config import State
from tickover.daemon.events import Entry, Event, Reset, Rows
from tickover.daemon.fleet import Fleet
from tickover.daemon.outbox import Outbox
from tickover.daemon.recovery import all_pages, page_name
from tickover.storage.salvage import DEDUPLICATION
from tickover.storage.store import Change, Store
from tickover.transports.base import Source

IDLE_LEAST: Final = 8
"""Idle intake forces a commit from this many unacknowledged messages on. It is fewer than the window of any broker by
default, so a broker whose window is full gets its acknowledgements at once; and it is more than one, so a truck that
publishes once a second does not cost a commit for each message."""
ENTRY_MOST: Final = 4 * 2**20
"""Bytes of rows that force a commit: one message may hold thousands."""


class Committer:
    """Gathers the next transaction. All times are monotonic seconds unless they say otherwise.

    Inputs are journalled as events, which is little; the states of the vehicles that they change are written with a
    checkpoint only (`tickover.daemon.checkpoint`). Recovery applies the journal to the states on disk.
    """

    def __init__(self, policy: State, source: Source, store: Store, fleet: Fleet, outbox: Outbox) -> None:
        self.change = Change()
        self.commits = 0
        self._policy, self._most = policy, max(1, source.about.window // 2)
        self._deduplication = source.deduplication
        self._store, self._fleet, self._outbox = store, fleet, outbox
        self._events: list[Event] = []
        self._row_bytes, self._a_row = 0, events.TIME_BYTES + events.VALUE_BYTES * len(fleet.columns)
        self._received: list[object] = []
        self._committed: list[object] = []
        self._asleep: set[str] = set()
        self._since: float | None = None
        self._newest = 0.0
        self._checkpoint = Checkpoint(policy.checkpoint_s, time.monotonic())
        self._retry_at = 0.0

    def received(self, token: object) -> None:
        """A message that is to be acknowledged after the next commit."""
        self._received.append(token)
        self._newest = time.monotonic()
        self._since = self._since or self._newest

    def journal(self, event: Event) -> None:
        """An event that was applied to the fleet; what the store knows of a vehicle that was reset goes with it."""
        # Without the empty state a vehicle asleep would be woken from disk by its next reading, as if never reset.
        if isinstance(event, Reset):
            self.change.states[event.vehicle] = b""
            self.change.forget_meta.append(all_pages(event.vehicle))
        elif isinstance(event, Rows):
            self._row_bytes += event.size
        self._events.append(event)
        self._checkpoint.changed(event.vehicle)
        self._asleep.discard(event.vehicle)
        self._since = self._since or time.monotonic()

    def sleep(self, vehicle: str) -> None:
        """Put a vehicle's state to disk with the next commit; it may then be forgotten."""
        if vehicle in self._fleet:
            self._asleep.add(vehicle)

    def restore(self, journalled: bytes) -> None:
        """After recovery: ``journalled`` is what the journal holds of the deduplication, and of all vehicles in memory
        the state is in the journal only."""
        self._deduplication.restore(lambda page: self._store.meta(f"{DEDUPLICATION}{page}"), journalled)
        for vehicle in self._fleet.vehicles:
            self._checkpoint.changed(vehicle)

    def due(self, waiting: bool) -> bool:
        """Whether it is time to commit; ``waiting``: something is to be announced."""
        # An alert goes out after the commit that holds it, and should not wait for `commit_s`.
        if waiting or (self._store.wants_checkpoint and self._store.durable):
            return True
        # Deliveries, vehicles that go to sleep, named values and the rest of a checkpoint can wait for `commit_s` as
        # well, but no longer.
        if self._outbox.unsettled or self._asleep or self.change.meta or self._checkpoint.upto is not None:
            self._since = self._since or time.monotonic()
        if self._since is None:
            return False
        # At half the window the peer still has room to send while this commit is written.
        now, count = time.monotonic(), len(self._received)
        idle = count >= IDLE_LEAST and now - self._newest >= self._policy.idle_s
        full = count >= self._most or self._row_bytes >= ENTRY_MOST
        return full or idle or now - self._since >= self._policy.commit_s

    def commit(self, clock: int, announcer: Announcer, checkpoint: bool = False) -> set[str]:
        """Write everything gathered; the vehicles that may be forgotten. ``clock`` in microseconds."""
        change, self.change = self.change, Change()
        if self._events:
            change.journal = events.encode(Entry(self._fleet.columns, self._events, self._deduplication.new()))
            self._checkpoint.journalled(len(change.journal), self._row_bytes // self._a_row)
        retained = announcer.settle(change)
        self._outbox.settle(change)
        asleep, self._asleep = self._asleep, set()
        self._add_states(change, asleep, everything=False)
        if checkpoint or (self._store.durable and self._store.wants_checkpoint):
            self._add_checkpoint(change)
        elif self._store.durable:
            self._add_share(change, time.monotonic())
        # Without a disk the store commits to memory and the inputs are acknowledged all the same: the
        # peer stops sending when too many are not, and detection would stop. The notice `durability` says so.
        self._store.commit(change, clock)
        self.commits += 1
        self._committed += self._received
        self._events, self._received, self._since, self._row_bytes = [], [], None, 0
        self._after(change, retained)
        return asleep

    def acknowledged(self) -> list[object]:
        """The tokens of the messages that are on disk now, in order of arrival."""
        committed, self._committed = self._committed, []
        return committed

    def retry_is_due(self, now: float) -> bool:
        """Whether to try again to get from memory back to disk."""
        return not self._store.durable and now >= self._retry_at

    def retry_disk(self) -> None:
        """Try, with every state; right after a commit, when nothing is gathered."""
        full = Change()
        self._add_checkpoint(full)
        if self._store.retry(full):
            self._after(full, {})
        # What a try takes comes on top: ten thousand states are made for each.
        self._retry_at = time.monotonic() + self._policy.retry_s

    def _add_share(self, change: Change, now: float) -> None:
        """As many states as it is time for; with the last of them the journal before them ends."""
        checkpoint = self._checkpoint
        if checkpoint.is_due(now):
            checkpoint.begin(self._store.seq + (change.journal is not None), set(self._fleet.vehicles), now)
        if checkpoint.upto is None:
            return
        # One that falls asleep now is written already; an empty state is not that of a vehicle that came again since.
        chosen = (name for name in checkpoint.share(now) if name in self._fleet and not change.states.get(name))
        self._add_states(change, chosen, everything=False)
        if checkpoint.is_last:
            self._add_deduplication(change, everything=False)
            change.forget_upto = checkpoint.upto

    def _add_checkpoint(self, change: Change) -> None:
        """Every state that is out of date on disk: the whole journal ends."""
        # A new or salvaged file, and the memory that stands in for one, lack what the file before had.
        everything = self._store.wants_checkpoint or not self._store.durable
        self._store.wants_checkpoint = False  # a commit that finds the file damaged sets it again
        chosen = self._fleet.vehicles if everything else self._checkpoint.dirty
        self._add_states(change, (name for name in chosen if name in self._fleet), everything)
        self._add_deduplication(change, everything)
        change.forget_journal = True

    def _add_deduplication(self, change: Change, everything: bool) -> None:
        pages = self._deduplication.pages(everything)
        change.meta |= {f"{DEDUPLICATION}{page}": body for page, body in pages.items()}

    def _add_states(self, change: Change, vehicles: Iterable[str], everything: bool) -> None:
        for name in vehicles:
            change.states[name] = self._fleet.state(name)
            pages = self._fleet.pages(name, everything)
            change.meta |= {page_name(name, number): body for number, body in pages.items()}
            change.forget_meta += [page_name(name, number) for number in self._fleet.pages_gone(name)]

    def _after(self, change: Change, retained: dict[str, bytes]) -> None:
        # States count only when they are on disk. If the file was found damaged, all is to be written again.
        size = sum(map(len, [*change.states.values(), *change.meta.values()]))
        if not self._store.durable or self._store.wants_checkpoint:
            self._checkpoint.give_up()
        elif change.forget_journal:
            self._checkpoint.wrote_all(size, time.monotonic())
        else:
            self._checkpoint.wrote([name for name, state in change.states.items() if state], size)
        for topic, body in retained.items():
            self._outbox.stand(topic, body)
        if change.messages:
            self._outbox.stored()

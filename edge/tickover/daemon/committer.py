"""When to commit, and what a commit holds (docs/adr/0020-journal-and-checkpoint.md)."""

import time
from collections.abc import Iterable
from typing import Final

from tickover.daemon import events
from tickover.daemon.announcer import Announcer
from tickover.daemon.config import State
from tickover.daemon.events import Entry, Event, Reset, Rows
from tickover.daemon.fleet import Fleet
from tickover.daemon.outbox import Outbox
from tickover.daemon.recovery import page_name
from tickover.storage.salvage import DEDUPLICATION
from tickover.storage.store import Change, Store
from tickover.transports.base import Source

IDLE_LEAST: Final = 8
"""Idle intake forces a commit from this many unacknowledged messages on. It is fewer than the window of any broker by
default, so a broker whose window is full gets its acknowledgements at once; and it is more than one, so a truck that
publishes once a second does not cost a commit for each message."""
JOURNAL_FACTOR: Final = 4
"""A checkpoint is due when the journal is so many times larger than the one before: it adds at most a quarter to the
bytes written."""
ENTRY_MOST: Final = 4 * 2**20
"""Bytes of rows that force a commit: one message may hold thousands."""
JOURNAL_LEAST: Final = 64 * 1024
"""Bytes of journal that are never worth a checkpoint."""


class Committer:
    """Gathers the next transaction. All times are monotonic seconds unless they say otherwise.

    Inputs are journalled as events, which is little; the state of a vehicle that they change (it is *dirty*) is written
    with a checkpoint only. Recovery applies the journal to the states of the checkpoint before.
    """

    def __init__(self, policy: State, source: Source, store: Store, fleet: Fleet, outbox: Outbox) -> None:
        self.change = Change()
        self.commits = 0
        self._policy, self._most = policy, max(1, source.about.window // 2)
        self._deduplication = source.deduplication
        self._store, self._fleet, self._outbox = store, fleet, outbox
        self._events: list[Event] = []
        self._row_bytes = 0
        self._received: list[object] = []
        self._committed: list[object] = []
        self._dirty: set[str] = set()
        self._asleep: set[str] = set()
        self._since: float | None = None
        self._newest = 0.0
        self._journal_bytes = self._checkpoint_bytes = 0
        self._checkpoint_at = time.monotonic() + policy.checkpoint_s
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
        elif isinstance(event, Rows):
            self._row_bytes += event.size
        self._events.append(event)
        self._dirty.add(event.vehicle)
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
        self._dirty.update(self._fleet.vehicles)

    def due(self, waiting: bool) -> bool:
        """Whether it is time to commit; ``waiting``: something is to be announced."""
        # An alert goes out after the commit that holds it, and should not wait for `commit_s`.
        if waiting or (self._store.wants_checkpoint and self._store.durable):
            return True
        # Deliveries, vehicles that go to sleep and named values can wait for `commit_s` as well, but no longer.
        if self._outbox.unsettled or self._asleep or self.change.meta:
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
            self._journal_bytes += len(change.journal)
        retained = announcer.settle(change)
        self._outbox.settle(change)
        asleep, self._asleep = self._asleep, set()
        self._add_states(change, asleep, everything=False)
        if checkpoint or self._checkpoint_due():
            self._add_checkpoint(change)
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

    def retry_disk(self, now: float) -> None:
        """Try, with every state; right after a commit, when nothing is gathered."""
        self._retry_at = now + self._policy.retry_s
        full = Change()
        self._add_checkpoint(full)
        if self._store.retry(full):
            self._after(full, {})

    def _checkpoint_due(self) -> bool:
        if not self._store.durable:
            return False
        outgrown = self._journal_bytes > max(JOURNAL_LEAST, JOURNAL_FACTOR * self._checkpoint_bytes)
        return outgrown or self._store.wants_checkpoint or time.monotonic() >= self._checkpoint_at

    def _add_checkpoint(self, change: Change) -> None:
        # A new or salvaged file, and the memory that stands in for one, lack what the file before had.
        everything = self._store.wants_checkpoint or not self._store.durable
        self._store.wants_checkpoint = False  # a commit that finds the file damaged sets it again
        if everything:
            self._dirty.update(self._fleet.vehicles)
        self._add_states(change, (name for name in self._dirty if name in self._fleet), everything)
        pages = self._deduplication.pages(everything)
        change.meta |= {f"{DEDUPLICATION}{page}": body for page, body in pages.items()}
        change.forget_journal = True

    def _add_states(self, change: Change, vehicles: Iterable[str], everything: bool) -> None:
        for name in vehicles:
            change.states[name] = self._fleet.state(name)
            pages = self._fleet.pages(name, everything)
            change.meta |= {page_name(name, number): body for number, body in pages.items()}

    def _after(self, change: Change, retained: dict[str, bytes]) -> None:
        # A checkpoint counts only when it is on disk. If the file was found damaged, all is to be written again.
        if change.forget_journal and self._store.durable and not self._store.wants_checkpoint:
            self._dirty.clear()
            self._journal_bytes = 0
            self._checkpoint_bytes = sum(map(len, [*change.states.values(), *change.meta.values()]))
            self._checkpoint_at = time.monotonic() + self._policy.checkpoint_s
        for topic, body in retained.items():
            self._outbox.stand(topic, body)
        if change.messages:
            self._outbox.stored()

"""A process that commits a known sequence of changes and says which are safe; and what the store must then hold.

``python store_writer.py FOLDER SEED ROUNDS [SYNCHRONOUS]`` writes ``1``, ``2``, … to standard output, each after the
commit of that change has returned. SYNCHRONOUS other than FULL weakens SQLite, to show that the harness sees it.
"""

import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tickover.storage import database
from tickover.storage.store import Change, Message, Store

VEHICLES = ("t1", "t2", "t3")


def changes(seed: int, rounds: int) -> Iterator[Change]:
    """Journal entries, alerts, deliveries, alarms, checkpoints: as the daemon commits them, in a random mixture."""
    chance = random.Random(seed)
    waiting: list[int] = []
    stored = 0
    for number in range(1, rounds + 1):
        change = Change()
        if chance.random() < 0.9:
            change.journal = chance.randbytes(chance.choice([50, 500, 5_000, 40_000]))
        for _ in range(chance.choice([0, 0, 1, 3])):
            stored += 1
            waiting.append(stored)
            change.messages.append(
                Message(f"alert-{stored}", "t/alert", chance.randbytes(chance.choice([200, 3000])), chance.randrange(4))
            )
        if chance.random() < 0.3:
            old = [n for n in waiting if n <= stored - len(change.messages)]
            change.delivered = chance.sample(old, len(old) // 2)
            waiting = [n for n in waiting if n not in change.delivered]
        if chance.random() < 0.2:
            change.retained[f"alarm/{chance.randrange(3)}"] = chance.choice([b"", chance.randbytes(900)])
        if chance.random() < 0.1:
            change.meta["modes"] = chance.randbytes(100)
        if chance.random() < 0.1:
            change.states = {name: chance.randbytes(chance.choice([900, 9000])) for name in VEHICLES}
            change.forget_journal = True
        if number == rounds // 2:
            change.states["asleep"] = b"asleep"
        yield change


@dataclass
class Content:
    """All that a store holds, as plain values that compare."""

    seq: int = 0
    journal: dict[int, bytes] = field(default_factory=dict)
    states: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    pending: dict[int, Message] = field(default_factory=dict)
    retained: dict[str, bytes] = field(default_factory=dict)
    modes: bytes | None = None
    stored: int = 0

    def after(self, change: Change) -> "Content":
        """What the store must hold once this change is committed."""
        new = Content(
            self.seq, {**self.journal}, {**self.states}, {**self.pending}, {**self.retained}, self.modes, self.stored
        )
        if change.journal is not None:
            new.seq += 1
            new.journal[new.seq] = change.journal
        new.states |= {name: (new.seq, body) for name, body in change.states.items()}
        if change.forget_journal:
            new.journal.clear()
        for message in change.messages:
            new.stored += 1
            new.pending[new.stored] = Message(message.id, message.topic, message.body, message.severity, new.stored)
        for n in change.delivered:
            del new.pending[n]
        new.retained |= change.retained
        new.modes = change.meta.get("modes", new.modes)
        return new


def content_of(store: Store) -> Content:
    """What a store holds."""
    return Content(
        store.seq,
        dict(store.journal()),
        {name: state for name in store.vehicles() if (state := store.state(name))},
        {message.n: message for message in store.pending(limit=10**6)},
        store.retained(),
        store.meta("modes"),
    )


def weaken(level: str) -> None:
    """Every connection from now on syncs less than it should."""
    connect: Callable[[Any], Any] = database.connect

    def weak(path: Any) -> Any:
        db = connect(path)
        db.execute(f"PRAGMA synchronous={level}")
        return db

    database.connect = weak


def main(folder: str, seed: str, rounds: str, level: str = "FULL") -> None:
    if level != "FULL":
        weaken(level)
    store = Store(Path(folder))
    for number, change in enumerate(changes(int(seed), int(rounds)), 1):
        store.commit(change)
        os.write(1, f"{number}\n".encode())
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What is taken over from a damaged file that was put aside.

A row with a good CRC was written by us, but not every one may be used:

- *The file's structure or its log is damaged.* A broken tree hides rows and can lead to deleted ones, a broken log ends
  at an earlier commit. So messages, alarm topics and named values are taken, each for itself, but no state: an
  acknowledged input that followed it may be missing without a trace.
- *Only rows are damaged*, says SQLite's check of the whole file: all others are as the newest commit left them. When
  the journal and the named values are among those, states and journal go on together. A vehicle whose own row is bad
  begins anew: an empty state ends what the journal still has of it.
- *The file is of another version*: only messages and alarm topics.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from tickover.storage.database import (
    META_VERSION,
    READS,
    Connection,
    DamagedError,
    Error,
    crc,
    newest_seq,
    open_read_only,
    rows,
)

SETTLED: Final = "settled"
"""The named value that says that what a new or salvaged file does not know is dealt with (`Change.settled`)."""
DEDUPLICATION: Final = "taken/"
"""Named values that begin so say which messages the states and the journal include."""
SEEN: Final = "seen/"
"""Named values that begin so say what a vehicle sent: pages that only its state gives a meaning."""
PUBLISHED: Final = ("outbox", "retained")
KNOWN: Final = [str(version).encode() for version in READS]
_OF_STATES: Final = ("seq", DEDUPLICATION, SEEN)
"""How named values begin that mean nothing without the states."""


def take_over(damaged: Path, db: Connection, trouble: DamagedError) -> list[str]:
    """Copy what may be used into the new file, in one transaction; the vehicles that alone lose their states."""
    try:
        source = open_read_only(damaged)
    except Error:
        return []  # there is a log, but no file
    with closing(source), db:
        db.execute("BEGIN IMMEDIATE")
        return _copy(source, db, trouble.rows or {})


def _copy(source: Connection, db: Connection, bad: dict[str, list[Any]]) -> list[str]:
    for table in PUBLISHED:
        _insert(db, table, _good(source, table))
    named = list(_good(source, "meta"))
    if any(name == META_VERSION and body not in KNOWN for name, body, _ in named):
        return []  # named values and states of another version may mean something else
    # A state goes on without a page that is lost: it forgets what was in it.
    needed = [name for name in bad.get("meta", []) if not str(name).startswith(SEEN)]
    keeps_states = bool(bad) and not (bad["journal"] or needed)
    left_out = (SETTLED,) if keeps_states else (SETTLED, *_OF_STATES)
    _insert(db, "meta", (row for row in named if not row[0].startswith(left_out)))
    if not keeps_states:
        return []
    for table in ("journal", "state"):
        _insert(db, table, _good(source, table))
    # Run on no state, what the journal has of a vehicle would begin in the middle. An empty state newer than all
    # entries ends them (`Change.states`).
    over = newest_seq(db) + 1
    _insert(db, "state", ((vehicle, over, b"", crc(f"{vehicle}/{over}", b"")) for vehicle in bad["state"]))
    return bad["state"]


def _good(source: Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """The rows with a good CRC, as far as they can be read."""
    with suppress(Error, UnicodeDecodeError):
        yield from (row for row, is_good in rows(source, table) if is_good)


def _insert(db: Connection, table: str, found: Iterable[tuple[Any, ...]]) -> None:
    for row in found:
        db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(row))})", row)

"""What survives a power cut: one SQLite file, WAL with ``synchronous=FULL``, every change one transaction.

Tables: ``journal`` (committed inputs since the last checkpoint), ``state`` (each vehicle's state and the journal entry
that it includes), ``outbox`` (messages to be published), ``retained`` (alarm topics as they should stand), ``meta``.
Every row carries a CRC of its key and body.

The store works through trouble. With a full, read-only or failing disk it goes on in memory, `Store.problem` says why,
and `Store.retry` goes back to disk. A damaged file is renamed aside, what can be trusted is taken over
(`tickover.storage.salvage`), and `Store.quarantined` names it. After either, `Store.wants_checkpoint` asks for every
state to be written again.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from tickover.storage.database import (
    META_WRITER,
    VERSION,
    Connection,
    DamagedError,
    Error,
    NewerError,
    connect,
    copy,
    crc,
    is_disk_trouble,
    newest_seq,
    number,
    open_checked,
    put,
    stamp,
    version,
)
from tickover.storage.salvage import SEEN, SETTLED, take_over

FILE: Final = "tickover.sqlite"
META_DROPPED: Final = "outbox_dropped"
_AFTER_SLASH: Final = chr(ord("/") + 1)
KEPT: Final = "delivered >= ? AND substr(topic, 1, ?) = ?"
"""Delivered messages by when and by how their topics begin."""
EVICT_SHARE: Final = 0.05
"""An outbox that overflows is emptied to this share below its bounds, so that it is not sorted at each alert."""


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the outbox; ``n`` is its place in the order (0: not stored yet)."""

    id: str
    topic: str
    body: bytes
    severity: int = 0
    n: int = 0


@dataclass
class Change:
    """What one transaction changes; empty parts cost nothing. An empty retained body stays until `forget`; an empty
    state ends what the journal has of the vehicle up to now."""

    journal: bytes | None = None
    states: dict[str, bytes] = field(default_factory=dict)
    forget_journal: bool = False
    """All of it, with the entry of this change: the states include it."""
    forget_upto: int = 0
    """The entries up to this one: states written since then include them."""
    messages: list[Message] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    in_flight: frozenset[int] = frozenset()
    """Messages that are being delivered: an outbox that overflows drops others."""
    retained: dict[str, bytes] = field(default_factory=dict)
    forget: list[str] = field(default_factory=list)
    meta: dict[str, bytes] = field(default_factory=dict)
    forget_meta: list[str] = field(default_factory=list)
    """Names of ``meta`` that go before the new ones come; one that ends with ``/`` stands for all that begin so."""
    settled: bool = False
    """What a store that was not `Store.settled` does not know of is dealt with."""
    resend: list[tuple[int, str]] = field(default_factory=list)
    """Send again what was delivered since this clock time (microseconds) under topics that begin so."""


@dataclass(frozen=True)
class Bounds:
    """How much the outbox may hold, and how long delivered messages are kept (seconds)."""

    rows: int = 10_000
    bytes: int = 32 * 2**20
    keep_s: float = 0.0


class Store:
    """The state folder's file. Not thread-safe: one thread owns it. ``writer``: the release that writes it."""

    def __init__(self, folder: Path, bounds: Bounds | None = None, writer: str = "") -> None:
        self.folder = folder
        self._writer = writer
        self.problem: str | None = None
        self.quarantined: list[Path] = []
        self.lost: list[str] = []
        """Vehicles whose states alone could not be taken over from a damaged file."""
        self.wants_checkpoint = False
        self.upgraded: Path | None = None
        """Where the store of an earlier release is kept, when this start took it over."""
        self.dropped = 0
        """Messages that the outbox lost by overflowing, since the file began."""
        self._bounds = bounds or Bounds()
        self._copied_whole, self._unread = True, False
        self.seq = self.rows = self.bytes = self._last_n = 0
        self._disk: Connection | None = None
        self._db = self._open_or_degrade()
        self._take_over_version()
        self._read_counters()

    @property
    def durable(self) -> bool:
        """True when commits reach the disk."""
        return self.problem is None

    @property
    def settled(self) -> bool:
        """False for a file that began empty, was salvaged, or cannot be read, until a `Change.settled`."""
        return self.meta(SETTLED) is not None

    # Writing

    def commit(self, change: Change, time: int = 0) -> None:
        """Write one transaction; on return it is on disk, or `durable` is False and it is in memory.

        ``time`` (microseconds) is the clock's, for messages that are kept after delivery.
        """
        try:
            self._write(self._db, change, time)
        except (Error, DamagedError) as error:
            if not self.durable:
                raise
            self._leave_disk(error)
            self._write(self._db, change, time)

    def _write(self, db: Connection, change: Change, time: int, copy_from: Connection | None = None) -> None:
        """All or nothing; ``copy_from`` is the memory that replaces the file's own rows first."""
        seq = self.seq + (change.journal is not None)
        before = (self.rows, self.bytes, self._last_n, self.dropped)
        try:
            with db:
                db.execute("BEGIN IMMEDIATE")
                if copy_from:
                    self._copy_back(copy_from, db)
                self._write_inputs(db, change, seq)
                self._write_outbox(db, change, time)
                put(db, "retained", "topic", change.retained)
                self._forget_meta(db, change.forget_meta)
                put(db, "meta", "name", change.meta | ({SETTLED: b""} if change.settled else {}))
                # In memory that is no copy of the file the row stays: the file may hold an alarm that it clears.
                if self._copied_whole or db is self._disk:
                    db.executemany("DELETE FROM retained WHERE topic = ? AND body = x''", [(t,) for t in change.forget])
        except BaseException:
            self.rows, self.bytes, self._last_n, self.dropped = before
            raise
        self.seq = seq

    def _forget_meta(self, db: Connection, names: list[str]) -> None:
        under = [(name, f"{name[:-1]}{_AFTER_SLASH}") for name in names if name.endswith("/")]
        db.executemany("DELETE FROM meta WHERE name >= ? AND name < ?", under)
        db.executemany("DELETE FROM meta WHERE name = ?", ((name,) for name in names if not name.endswith("/")))

    def _write_inputs(self, db: Connection, change: Change, seq: int) -> None:
        if change.journal is not None and db is self._disk:
            db.execute("INSERT INTO journal VALUES (?, ?, ?)", (seq, change.journal, crc(seq, change.journal)))
        db.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)",
            ((name, seq, body, crc(f"{name}/{seq}", body)) for name, body in change.states.items()),
        )
        if upto := seq if change.forget_journal else change.forget_upto:
            db.execute("DELETE FROM journal WHERE seq <= ?", (upto,))
            put(db, "meta", "name", {"seq": str(seq).encode()})

    def _write_outbox(self, db: Connection, change: Change, time: int) -> None:
        for message in change.messages:
            self._insert(db, message)
        if change.delivered:
            keep = round(self._bounds.keep_s * 1e6)
            db.executemany("UPDATE outbox SET delivered = ? WHERE n = ?", ((time, n) for n in change.delivered))
            self._delete(db, "delivered <= ?", (time - keep,))
        for since, start in change.resend:
            db.execute(f"UPDATE outbox SET delivered = NULL WHERE {KEPT}", (since, len(start), start))
        if self.rows > self._bounds.rows or self.bytes > self._bounds.bytes:
            self._evict(db, change.in_flight)

    def _insert(self, db: Connection, message: Message) -> None:
        key = crc(f"{message.id}{message.topic}{message.severity}", message.body)
        self._last_n += 1
        cursor = db.execute(
            "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?, NULL, ?)",
            (self._last_n, message.id, message.topic, message.severity, message.body, key),
        )
        self.rows += cursor.rowcount
        self.bytes += cursor.rowcount * len(message.body)

    def _delete(self, db: Connection, where: str, values: tuple[int, ...]) -> None:
        gone = db.execute(f"DELETE FROM outbox WHERE {where} RETURNING length(body)", values).fetchall()
        self.rows -= len(gone)
        self.bytes -= sum(size for (size,) in gone)

    def _evict(self, db: Connection, in_flight: frozenset[int]) -> None:
        """Delivered first, then the lowest severity, then the oldest; pending ones are counted in `dropped`."""
        rows = round(self._bounds.rows * (1 - EVICT_SHARE))
        size = round(self._bounds.bytes * (1 - EVICT_SHARE))
        order = "SELECT n, delivered FROM outbox ORDER BY delivered IS NULL, severity, n"
        for n, delivered in db.execute(order).fetchall():
            if self.rows <= rows and self.bytes <= size:
                break
            if n in in_flight:  # dropped and counted, it would arrive all the same
                continue
            self._delete(db, "n = ?", (n,))
            self.dropped += delivered is None
        put(db, "meta", "name", {META_DROPPED: str(self.dropped).encode()})

    # Reading

    def state(self, vehicle: str) -> tuple[int, bytes] | None:
        """A vehicle's state and the newest journal entry that it includes; None when it is damaged, or there is none.

        An empty one says that entries before this one are no concern of the vehicle any more.
        """
        for db in (self._db, self._disk):
            with suppress(Error):
                row = db and db.execute("SELECT seq, body, crc FROM state WHERE vehicle = ?", (vehicle,)).fetchone()
                if row and crc(f"{vehicle}/{row[0]}", row[1]) == row[2]:
                    return int(row[0]), bytes(row[1])
        return None

    def has_seen(self, vehicle: str) -> bool:
        """Whether the vehicle has a state, or had one before a reset."""
        for db in (self._db, self._disk):
            with suppress(Error):
                if db and db.execute("SELECT 1 FROM state WHERE vehicle = ?", (vehicle,)).fetchone():
                    return True
        return False

    def vehicles(self) -> list[str]:
        """Every vehicle that has a state."""
        return [name for (name,) in self._db.execute("SELECT vehicle FROM state WHERE body != x'' ORDER BY vehicle")]

    def journal(self) -> Iterator[tuple[int, bytes]]:
        """The committed inputs since the last checkpoint, in order."""
        yield from self._db.execute("SELECT seq, body FROM journal ORDER BY seq")

    def entries(self) -> int:
        """How many there are."""
        return number(self._db, "SELECT count(*) FROM journal")

    def pending(self, after: int = 0, limit: int = 100) -> list[Message]:
        """Messages not delivered yet, in order, from the first after place ``after``."""
        rows = self._db.execute(
            "SELECT id, topic, body, severity, n FROM outbox WHERE delivered IS NULL AND n > ? ORDER BY n LIMIT ?",
            (after, limit),
        )
        return [Message(*row) for row in rows]

    def depth(self) -> int:
        """How many messages wait."""
        return int(self._db.execute("SELECT count(*) FROM outbox WHERE delivered IS NULL").fetchone()[0])

    def kept(self, since: int, start: str) -> int:
        """How many delivered messages are kept that `Change.resend` would send again."""
        found = self._db.execute(f"SELECT count(*) FROM outbox WHERE {KEPT}", (since, len(start), start))
        return int(found.fetchone()[0])

    def retained(self) -> dict[str, bytes]:
        """Topic to body of every alarm topic; an empty body is one that is still to be cleared at the broker."""
        return dict(self._db.execute("SELECT topic, body FROM retained ORDER BY topic"))

    def meta(self, name: str) -> bytes | None:
        """One named value."""
        row = self._db.execute("SELECT body FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def page(self, name: str) -> bytes | None:
        """One named value that stays on the disk while the store is in memory; None when the disk does not give it."""
        for db in (self._db, self._disk):
            with suppress(Error):
                row = db and db.execute("SELECT body FROM meta WHERE name = ?", (name,)).fetchone()
                if row:
                    return bytes(row[0])
        return None

    def copy_aside(self, label: str) -> Path | None:
        """Copy the whole file beside itself, once for each label; None when the disk does not let us."""
        aside = self.folder / f"{FILE}.{label}"
        try:
            if self.durable and not aside.exists():
                self._db.execute("VACUUM INTO ?", (str(aside),))
        except Error as error:
            self._leave_disk(error)
        return aside if aside.exists() else None

    def close(self) -> None:
        """Close the file; what was committed stays."""
        for db in {self._db, self._disk} - {None}:
            assert db is not None
            with suppress(Error):
                db.close()

    # Trouble

    def retry(self, full: Change) -> bool:
        """Try to leave memory for the disk, writing ``full`` (every state) with it; True when durable again."""
        if self.durable:
            return True
        memory = self._db
        try:
            # Kept in `_disk` at once: a connection that is lost without being closed keeps its lock on the file.
            disk = self._disk = self._disk or self._open_disk()
            self._write(disk, full, 0, copy_from=memory)
        except (Error, DamagedError, NewerError, OSError) as error:
            self.problem = str(error)
            self._give_up_disk(error)
            return False
        self._db = disk
        self.problem, self._unread = None, False
        self._take_over_version()
        self.wants_checkpoint = False
        self._read_counters()
        memory.close()
        return True

    def _copy_back(self, memory: Connection, disk: Connection) -> None:
        if self._copied_whole:
            disk.execute("DELETE FROM outbox")
            disk.execute("DELETE FROM retained")
        if self._unread and number(disk, "SELECT count(*) FROM journal"):
            disk.execute("DELETE FROM state")  # inputs that were never run follow these states
        disk.execute("DELETE FROM journal")
        for table in ("outbox", "retained", "meta", "state"):
            copy(memory, disk, table)

    def _leave_disk(self, error: Exception) -> None:
        """Go on in memory, or in a fresh file when the old one is damaged."""
        self.wants_checkpoint = True
        if not is_disk_trouble(error):
            self._disk = None
            self._db.close()
            self._db = self._open_or_degrade()
            self._last_n = max(self._last_n, number(self._db, "SELECT max(n) FROM outbox"))
            return
        self.problem = str(error)
        disk, self._db = self._db, connect(":memory:")
        try:
            for table in ("outbox", "retained"):
                copy(disk, self._db, table)
            # Pages of what was seen may be gigabytes, and are not lost: `page` reads them where they are.
            copy(disk, self._db, "meta", f"substr(name, 1, {len(SEEN)}) != '{SEEN}'")
            self._copied_whole = True
        except Error:
            self._copied_whole = False
        self._recount()

    def _give_up_disk(self, error: Exception) -> None:
        """Before the next `retry`: a damaged file is put aside, a failing one is opened again."""
        if self._disk is not None:
            with suppress(Error):
                self._disk.close()
            self._disk = None
        if not is_disk_trouble(error) and not isinstance(error, OSError | NewerError):
            with suppress(OSError):
                self._quarantine()

    def _take_over_version(self) -> None:
        """Keep a store of an earlier version as it is, once, and go on in it as one of today's."""
        if not self.durable:
            return
        before = version(self._db)
        if before == VERSION and self.meta(META_WRITER) == self._writer.encode():
            return
        try:
            if before not in (None, VERSION):
                self.upgraded = self.copy_aside(f"version-{before}")
            stamp(self._db, self._writer)
        except Error as error:
            self._leave_disk(error)

    def _open_or_degrade(self) -> Connection:
        try:
            self._disk = self._open_disk()
            return self._disk
        except (Error, DamagedError, OSError) as error:
            self.problem = str(error)
            self.wants_checkpoint = True
            self._copied_whole, self._unread = False, True
            return connect(":memory:")

    def _open_disk(self) -> Connection:
        """The file, checked whole; a damaged one is renamed aside and what can be trusted taken over."""
        try:
            return open_checked(self.folder / FILE)
        except DamagedError as error:
            trouble = error
        damaged = self._quarantine()
        db = open_checked(self.folder / FILE)
        self.lost = take_over(damaged, db, trouble)
        stamp(db, self._writer)
        self.wants_checkpoint = True
        return db

    def _quarantine(self) -> Path:
        """Rename the file and its companions aside; nothing is deleted."""
        names = (self.folder / f"{FILE}.damaged-{number}" for number in count())
        aside = next(path for path in names if not path.exists())
        for suffix in ("", "-wal", "-shm"):
            source = self.folder / f"{FILE}{suffix}"
            if source.exists():
                source.rename(f"{aside}{suffix}")
        self.quarantined.append(aside)
        return aside

    def _read_counters(self) -> None:
        self.dropped = max(self.dropped, int(self.meta(META_DROPPED) or b"0"))
        self.seq = max(self.seq, newest_seq(self._db))
        self._last_n = max(self._last_n, number(self._db, "SELECT max(n) FROM outbox"))
        self._recount()

    def _recount(self) -> None:
        self.rows = number(self._db, "SELECT count(*) FROM outbox")
        self.bytes = number(self._db, "SELECT sum(length(body)) FROM outbox")

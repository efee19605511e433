"""What `tickover web` remembers: episodes, alerts, notices, trucks, what people said of them; one bounded SQLite file.

Rows are keyed by the message's own id, so that a message that comes twice is one row. Of an episode the first and the
newest body are kept, compressed; of the alerts between them time, phase, severity and scores. A message is acknowledged
to the broker after `History.commit`.
"""

import contextlib
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from tickover.errors import StateError
from tickover.storage.private import create

FILE: Final = "web.sqlite"
VERSION: Final = 1
MOST_EPISODES: Final = 100_000
"""About 7 kB each: two compressed bodies."""
MOST_ALERTS: Final = 1_000_000
MOST_NOTICES: Final = 50_000
MOST_MARKS: Final = 100_000
PRUNE_SHARE: Final = 0.02
"""A table at its bound is emptied by this share, so that it is not pruned at each row."""
CACHE_KIB: Final = 4096
LOCK_WAIT_S: Final = 1.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS episodes (
    id TEXT PRIMARY KEY, vehicle TEXT NOT NULL, detector TEXT NOT NULL, kind TEXT NOT NULL, severity INTEGER NOT NULL,
    phase TEXT NOT NULL, start INTEGER NOT NULL, last INTEGER NOT NULL, end INTEGER, reason TEXT, peak REAL NOT NULL,
    score REAL, alerts INTEGER NOT NULL, arrival INTEGER NOT NULL, first BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS episodes_of ON episodes (vehicle, start);
CREATE INDEX IF NOT EXISTS episodes_like ON episodes (kind, start);
CREATE INDEX IF NOT EXISTS episodes_at ON episodes (start);
CREATE TABLE IF NOT EXISTS alerts (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, episode TEXT NOT NULL, time INTEGER NOT NULL, phase TEXT NOT NULL,
    severity INTEGER NOT NULL, score REAL, peak REAL NOT NULL, arrival INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS alerts_of ON alerts (episode, time);
CREATE TABLE IF NOT EXISTS notices (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, vehicle TEXT NOT NULL, kind TEXT NOT NULL, active INTEGER NOT NULL,
    time INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS notices_of ON notices (vehicle, time);
CREATE TABLE IF NOT EXISTS marks (
    n INTEGER PRIMARY KEY, time INTEGER NOT NULL, episode TEXT NOT NULL, vehicle TEXT NOT NULL, detector TEXT NOT NULL,
    what TEXT NOT NULL, value TEXT NOT NULL, reason TEXT NOT NULL, until INTEGER, who TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS marks_of ON marks (episode);
CREATE TABLE IF NOT EXISTS outgoing (
    n INTEGER PRIMARY KEY, hook TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (hook, id));
CREATE TABLE IF NOT EXISTS trucks (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
_BOUNDS: Final = {"alerts": MOST_ALERTS, "notices": MOST_NOTICES, "marks": MOST_MARKS}
_SUMMARY: Final = "id, vehicle, detector, kind, severity, phase, start, last, end, reason, peak, score, alerts, arrival"


class AlertRow(NamedTuple):
    """An alert as it is stored; times in microseconds, ``severity`` 0 to 2, ``kind`` the same for what is alike."""

    id: str
    episode: str
    vehicle: str
    detector: str
    kind: str
    severity: int
    phase: str
    start: int
    time: int
    end: int | None
    reason: str | None
    peak: float
    score: float | None
    arrival: int
    body: bytes


class NoticeRow(NamedTuple):
    """A notice as it is stored; ``time`` in microseconds."""

    id: str
    vehicle: str
    kind: str
    active: bool
    time: int
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person said of an episode: ``what`` is ack, mute or verdict, ``value`` says what of it.

    ``until`` in microseconds, of a mute; ``who`` as the person wrote it.
    """

    time: int
    episode: str
    vehicle: str
    detector: str
    what: str
    value: str
    reason: str
    until: int | None
    who: str


class History:
    """One connection behind one lock; every method may be called from any thread.

    ``folder`` None keeps it in memory. StateError when the folder cannot be used, or another page uses it.
    """

    def __init__(self, folder: Path | None, bounds: dict[str, int] | None = None) -> None:
        self._lock = threading.RLock()
        self._bounds = {"episodes": MOST_EPISODES, **_BOUNDS, **(bounds or {})}
        where = ":memory:" if folder is None else str(folder / FILE)
        try:
            if folder is not None:
                create(folder)
            self._db = _open(where)
        except (sqlite3.Error, OSError) as error:
            locked = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
            reason = getattr(error, "strerror", None) or error
            why = "another tickover web uses it; give this one its own --state" if locked else reason
            raise StateError(f"--state: cannot use {where}: {why}") from error
        self._check_version(where)
        self._counts = {table: self._number(f"SELECT count(*) FROM {table}") for table in self._bounds}

    def _check_version(self, where: str) -> None:
        found = self.meta("version")
        if found and found != str(VERSION):
            self._db.close()
            raise StateError(f"--state: {where} is of version {found}, expected {VERSION}: a later tickover wrote it")
        self.set_meta("version", str(VERSION))

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Keep other threads from committing what is written inside in parts."""
        with self._lock:
            yield

    # ---- what arrives

    def add_alert(self, row: AlertRow) -> bool:
        """Store an alert; False when its id is known."""
        with self._lock:
            self._begin()
            done = self._db.execute(
                "INSERT OR IGNORE INTO alerts (id, episode, time, phase, severity, score, peak, arrival) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (row.id, row.episode, row.time, row.phase, row.severity, row.score, row.peak, row.arrival),
            )
            if not done.rowcount:
                return False
            self._count("alerts")
            self._upsert(row)
            return True

    def _upsert(self, row: AlertRow) -> None:
        known = self._db.execute("SELECT last, phase FROM episodes WHERE id = ?", (row.episode,)).fetchone()
        packed = zlib.compress(row.body, 6)
        if known is None:
            span = (row.start, row.time, row.end, row.reason, row.peak, row.score, 1, row.arrival)
            self._db.execute(
                f"INSERT INTO episodes ({_SUMMARY}, first, body) VALUES ({', '.join('?' * 16)})",
                (row.episode, row.vehicle, row.detector, row.kind, row.severity, row.phase, *span, packed, packed),
            )
            self._count("episodes")
        elif row.time >= known[0] and (known[1] != "end" or row.phase == "end"):
            # An alert that comes late, after a newer one, counts and changes nothing else.
            self._db.execute(
                "UPDATE episodes SET severity = ?, phase = ?, last = ?, end = ?, reason = ?, peak = ?, score = ?, "
                "alerts = alerts + 1, body = ? WHERE id = ?",
                (row.severity, row.phase, row.time, row.end, row.reason, row.peak, row.score, packed, row.episode),
            )
        else:
            self._db.execute("UPDATE episodes SET alerts = alerts + 1 WHERE id = ?", (row.episode,))

    def end_unseen(self, episode: str, time: int) -> None:
        """An episode whose alarm is gone from the broker, and whose end was not received."""
        with self._lock:
            self._begin()
            self._db.execute(
                "UPDATE episodes SET phase = 'end', end = ?, reason = 'not_seen' WHERE id = ? AND phase != 'end'",
                (time, episode),
            )

    def add_notice(self, row: NoticeRow) -> bool:
        """Store a notice; False when its id is known."""
        with self._lock:
            self._begin()
            done = self._db.execute(
                "INSERT OR IGNORE INTO notices (id, vehicle, kind, active, time, text) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            if done.rowcount:
                self._count("notices")
            return bool(done.rowcount)

    def put_trucks(self, bodies: Iterable[tuple[str, bytes]]) -> None:
        """What is known of trucks, to be read at the next start."""
        with self._lock:
            self._begin()
            self._db.executemany("INSERT OR REPLACE INTO trucks VALUES (?, ?)", bodies)

    def forget_truck(self, name: str) -> None:
        """Drop a truck from the list; its episodes stay."""
        with self._lock:
            self._begin()
            self._db.execute("DELETE FROM trucks WHERE name = ?", (name,))

    def commit(self) -> None:
        """Make durable what was stored since the last commit."""
        with self._lock:
            if self._db.in_transaction:
                self._db.execute("COMMIT")

    def close(self) -> None:
        """Commit and close."""
        with self._lock:
            self.commit()
            self._db.close()

    # ---- what people say

    def add_mark(self, mark: Mark) -> int:
        """Store and commit what a person said; its number."""
        with self._lock:
            self._begin()
            fields = (mark.time, mark.episode, mark.vehicle, mark.detector, mark.what, mark.value, mark.reason)
            done = self._db.execute(
                "INSERT INTO marks (time, episode, vehicle, detector, what, value, reason, until, who) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*fields, mark.until, mark.who),
            )
            self._count("marks")
            self.commit()
            return int(done.lastrowid or 0)

    def marks(self, episode: str | None = None) -> list[Mark]:
        """What was said of an episode, or of all; oldest first."""
        where, given = ("WHERE episode = ?", (episode,)) if episode else ("", ())
        query = (
            f"SELECT time, episode, vehicle, detector, what, value, reason, until, who FROM marks {where} ORDER BY n"
        )
        return [Mark(*row) for row in self._rows(query, given)]

    # ---- what is asked

    def episode(self, id: str) -> tuple[dict[str, Any], bytes, bytes] | None:
        """An episode's summary and its first and newest body; None when it is not known."""
        rows = self._rows(f"SELECT {_SUMMARY}, first, body FROM episodes WHERE id = ?", (id,))
        if not rows:
            return None
        *summary, first, body = rows[0]
        return _named(summary), zlib.decompress(first), zlib.decompress(body)

    def episodes(self, where: str = "", given: tuple[Any, ...] = (), limit: int = 200) -> list[dict[str, Any]]:
        """Summaries, newest first. ``where`` is SQL of this program with ``?`` for each of ``given``."""
        condition = f"WHERE {where}" if where else ""
        rows = self._rows(f"SELECT {_SUMMARY} FROM episodes {condition} ORDER BY start DESC LIMIT ?", (*given, limit))
        return [_named(row) for row in rows]

    def open_bodies(self) -> list[bytes]:
        """The newest body of each episode that has not ended."""
        return [zlib.decompress(body) for (body,) in self._rows("SELECT body FROM episodes WHERE phase != 'end'", ())]

    def course(self, episode: str, limit: int = 1000) -> list[tuple[Any, ...]]:
        """An episode's alerts in order: id, time, phase, severity, score, peak."""
        query = "SELECT id, time, phase, severity, score, peak FROM alerts WHERE episode = ? ORDER BY time LIMIT ?"
        return self._rows(query, (episode, limit))

    def worst_before(self, episode: str, id: str) -> int | None:
        """The highest severity of an episode's other alerts; None when there are none."""
        rows = self._rows("SELECT max(severity) FROM alerts WHERE episode = ? AND id != ?", (episode, id))
        return None if rows[0][0] is None else int(rows[0][0])

    def notices(self, vehicle: str, limit: int = 100) -> list[dict[str, Any]]:
        """A vehicle's notices, newest first."""
        query = "SELECT kind, active, time, text FROM notices WHERE vehicle = ? ORDER BY time DESC LIMIT ?"
        names = ("kind", "active", "time", "text")
        return [dict(zip(names, row, strict=True)) for row in self._rows(query, (vehicle, limit))]

    def trucks(self) -> list[tuple[str, bytes]]:
        """What was stored by `put_trucks`."""
        return self._rows("SELECT name, body FROM trucks", ())

    def meta(self, name: str) -> str:
        """A named text; empty when there is none."""
        rows = self._rows("SELECT body FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    def set_meta(self, name: str, body: str) -> None:
        """Store a named text."""
        with self._lock:
            self._begin()
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, body))
            self.commit()

    # ---- what waits to be handed on (`tickover.web.hooks`)

    def queue(self, hook: str, id: str, body: bytes) -> bool:
        """A message for a hook, in the transaction of what it is about; False when one with its id waits already."""
        with self._lock:
            self._begin()
            row = (hook, id, body)
            done = self._db.execute("INSERT OR IGNORE INTO outgoing (hook, id, body) VALUES (?, ?, ?)", row)
            return bool(done.rowcount)

    def waiting(self, hook: str, limit: int) -> list[tuple[int, str, bytes]]:
        """The oldest messages that wait: number, alert's id, body. Only what is committed is handed on."""
        with self._lock:
            if self._db.in_transaction:
                return []
            query = "SELECT n, id, body FROM outgoing WHERE hook = ? ORDER BY n LIMIT ?"
            return self._rows(query, (hook, limit))

    def delivered(self, numbers: Iterable[int]) -> None:
        """These were taken by their receiver."""
        with self._lock:
            self._begin()
            self._db.executemany("DELETE FROM outgoing WHERE n = ?", [(number,) for number in numbers])

    def depth(self, hook: str) -> int:
        """How many messages wait for a hook."""
        return int(self._rows("SELECT count(*) FROM outgoing WHERE hook = ?", (hook,))[0][0])

    # ---- inside

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")

    def _rows(self, query: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, given).fetchall()

    def _number(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])

    def _count(self, table: str) -> None:
        self._counts[table] += 1
        if self._counts[table] > self._bounds[table]:
            self._prune(table, max(1, int(self._bounds[table] * PRUNE_SHARE)))

    def _prune(self, table: str, number: int) -> None:
        """Drop the oldest rows; of episodes those that have ended, and not what a person gave a verdict on."""
        if table == "episodes":
            done = self._db.execute(
                "DELETE FROM episodes WHERE id IN (SELECT id FROM episodes WHERE phase = 'end' AND id NOT IN "
                "(SELECT episode FROM marks WHERE what = 'verdict') ORDER BY start LIMIT ?)",
                (number,),
            )
        else:
            done = self._db.execute(
                f"DELETE FROM {table} WHERE n IN (SELECT n FROM {table} ORDER BY n LIMIT ?)", (number,)
            )
        self._counts[table] -= done.rowcount


def _open(where: str) -> sqlite3.Connection:
    """Durable at each commit, and locked against a second page on the same file."""
    db = sqlite3.connect(where, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", f"cache_size=-{CACHE_KIB}"):
            db.execute(f"PRAGMA {pragma}")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


def _named(row: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(_SUMMARY.split(", "), row, strict=True))

"""The one SQLite file: its schema, how it is opened, checked and copied. The only module that imports sqlite3."""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from sqlite3 import Connection, Error
from typing import Any, Final

from tickover.errors import ConfigError
from tickover.storage import wal

__all__ = ["Connection", "DamagedError", "Error"]

VERSION: Final = 2
"""What the rows mean, also inside their bodies; a change that an earlier release would misread is a new version."""
READS: Final = (1, 2)
"""1: tickover 0.1 before the state folder's version was told apart; its rows are read as they are."""
META_VERSION, META_WRITER = "version", "writer"
PAGE_BYTES: Final = 1024
"""Small pages: a commit of one truck writes two of them (docs/adr: measured)."""
WAL_PAGES: Final = 4096
"""Pages in the write-ahead log before SQLite copies them into the file."""
CACHE_KIB: Final = 256
"""Memory for pages: rows are written and deleted, hardly ever read again, and a cache fills up whatever
its size. 2 MiB wrote as many bytes (tests/bench/bench_daemon.py)."""
LOCK_WAIT_S: Final = 0.2
"""How long to wait for another program that holds the file; sqlite3's own 5 s would stop detection at each try."""
DISK_TROUBLE: Final = frozenset({"PERM", "BUSY", "LOCKED", "NOMEM", "READONLY", "IOERR", "FULL", "CANTOPEN", "AUTH"})
"""SQLite's primary result codes for trouble with the disk, not with the content of the file."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (
    vehicle TEXT PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, severity INTEGER NOT NULL,
    body BLOB NOT NULL, delivered INTEGER, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS retained (topic TEXT PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL);
"""
_KEYS: Final = {
    "journal": "seq",
    "state": "vehicle || '/' || seq",
    "outbox": "id || topic || severity",
    "retained": "topic",
    "meta": "name",
}
"""What a row's CRC covers beside its body."""
_NEWEST: Final = """SELECT max(seq) FROM (
    SELECT max(seq) AS seq FROM journal UNION ALL SELECT max(seq) FROM state
    UNION ALL SELECT CAST(body AS INTEGER) FROM meta WHERE name = 'seq')"""


class DamagedError(Exception):
    """The file's content is not what was written.

    ``rows``: by table, the first column of each row whose CRC does not fit, when nothing else is wrong with the file.
    """

    def __init__(self, message: str, rows: dict[str, list[Any]] | None = None) -> None:
        super().__init__(message)
        self.rows = rows


def crc(key: object, body: bytes) -> int:
    """CRC-32 over a row's key and body."""
    return zlib.crc32(body, zlib.crc32(str(key).encode("utf-8", "surrogatepass")))


class NewerError(ConfigError):
    """The store is of a later release: nothing is read, and nothing changed."""


def _text(raw: bytes) -> str:
    """Damaged text must reach the CRC check; decoded strictly it would raise before."""
    return raw.decode("utf-8", "surrogateescape")


def connect(path: str | Path) -> Connection:
    """Open with the settings that survive a power cut, and create what is missing."""
    db = sqlite3.connect(path, LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    db.text_factory = _text
    try:
        # FULL syncs the log at each commit; NORMAL lost commits in 97 of 100 power cuts. An exclusive lock needs no
        # shared memory file, and keeps other programs from writing.
        db.execute(f"PRAGMA page_size={PAGE_BYTES}")
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        db.execute(f"PRAGMA journal_size_limit={WAL_PAGES * PAGE_BYTES * 2}")
        db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def open_read_only(path: Path) -> Connection:
    """A damaged file, to be read as far as that goes; neither it nor its log changes."""
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    db.text_factory = _text
    return db


def open_plain(path: Path) -> Connection:
    """A copy of a file, as SQLite itself opens it; what of its log is whole is taken up."""
    db = sqlite3.connect(path)
    db.text_factory = _text
    return db


def open_checked(path: Path) -> Connection:
    """Open and check everything; DamagedError for the content, Error for trouble with the disk.

    NewerError when a later release wrote it. An older file keeps its version: see `stamp`.
    """
    if problem := wal.damage(Path(f"{path}-wal"), PAGE_BYTES):
        raise DamagedError(problem)
    try:
        db = connect(path)
        try:
            _refuse_newer(db, path)
            check(db)
        except BaseException:
            db.close()
            raise
    except UnicodeDecodeError as error:  # SQLite quotes damaged text in its own error messages
        raise DamagedError(str(error)) from error
    except Error as error:
        if is_disk_trouble(error):
            raise
        raise DamagedError(str(error)) from error
    return db


def check(db: Connection) -> None:
    """Raises DamagedError when SQLite's own check, a CRC, or the version does not hold."""
    (answer,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        raise DamagedError(answer)
    bad = {table: [row[0] for row, is_good in rows(db, table) if not is_good] for table in _KEYS}
    if any(bad.values()):
        shown = ", ".join(f"{len(keys)} in {table}" for table, keys in bad.items() if keys)
        raise DamagedError(f"rows whose CRC does not fit: {shown}", bad)
    if version(db) not in (None, *READS):
        raise DamagedError(f"expected a store of version {_range()}, got {version(db)}")


def version(db: Connection) -> int | None:
    """The version of what the rows mean; None in a new file, -1 when it is no number."""
    row = db.execute(f"SELECT body FROM meta WHERE name = '{META_VERSION}'").fetchone()
    if row is None:
        return None
    return int(row[0]) if row[0].isdigit() else -1


def stamp(db: Connection, writer: str) -> None:
    """Say that the file is of this version, and which release of tickover writes it."""
    put(db, "meta", "name", {META_VERSION: str(VERSION).encode(), META_WRITER: writer.encode()})


def _range() -> str:
    return f"{READS[0]} to {READS[-1]}"


def _refuse_newer(db: Connection, path: Path) -> None:
    """Before anything else is checked: what a later release writes may look damaged."""
    named = {row[0]: row[1] for row, is_good in rows(db, "meta") if is_good}
    found = named.get(META_VERSION, b"")
    if found.isdigit() and int(found) > VERSION:
        writer = named.get(META_WRITER, b"a later release").decode(errors="replace")
        raise NewerError(
            f"state.folder: {path} is a store of version {int(found)}, written by tickover {writer}; expected version "
            f"{_range()}. Install that release again, or go back without its state: `tickover state {path.parent}` "
            "says how"
        )


def rows(db: Connection, table: str) -> Iterator[tuple[tuple[Any, ...], bool]]:
    """Every row, and whether its CRC fits."""
    for *row, key, body, expected in db.execute(f"SELECT *, {_KEYS[table]}, body, crc FROM {table}"):
        yield tuple(row), isinstance(body, bytes) and crc(key, body) == expected


def newest_seq(db: Connection) -> int:
    """The newest journal entry that the file knows of, whether it is still there or not."""
    return number(db, _NEWEST)


def copy(source: Connection, target: Connection, table: str, where: str = "true") -> None:
    """All rows of one table, or some, replacing those with the same key."""
    for row in source.execute(f"SELECT * FROM {table} WHERE {where}"):
        target.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def put(db: Connection, table: str, key: str, rows: dict[str, bytes]) -> None:
    """Set named bodies."""
    items: Iterable[tuple[str, bytes, int]] = ((name, body, crc(name, body)) for name, body in rows.items())
    db.executemany(f"INSERT OR REPLACE INTO {table} ({key}, body, crc) VALUES (?, ?, ?)", items)


def number(db: Connection, query: str) -> int:
    """The one number that a query answers; NULL is 0."""
    return int(db.execute(query).fetchone()[0] or 0)


def is_disk_trouble(error: Exception) -> bool:
    """True for trouble with the disk, not with the content of the file."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return any(name.startswith(f"SQLITE_{code}") for code in DISK_TROUBLE)

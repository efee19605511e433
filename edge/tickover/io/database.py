"""The one SQLite file: its schema, how it is opened, checked and copied. The only module that imports sqlite3."""

import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import Connection, Error
from typing import Final

from tickover.io import wal

__all__ = ["Connection", "DamagedError", "Error"]

VERSION: Final = 1
PAGE_BYTES: Final = 1024
"""Small pages: a commit of one truck writes two of them (docs/adr: measured)."""
WAL_PAGES: Final = 4096
"""Pages in the write-ahead log before SQLite copies them into the file."""
CACHE_KIB: Final = 256
"""Memory for pages: rows are written and deleted, hardly ever read again, and a cache fills up whatever
its size. 2 MiB wrote as many bytes (tests/bench/bench_daemon.py)."""
DISK_TROUBLE: Final = frozenset({"PERM", "BUSY", "LOCKED", "NOMEM", "READONLY", "IOERR", "FULL", "CANTOPEN", "AUTH"})
"""SQLite's primary result codes that say the disk, not the file's content, is at fault."""

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
_CHECKS: Final = {
    "journal": "SELECT seq, body, crc FROM journal",
    "state": "SELECT vehicle || '/' || seq, body, crc FROM state",
    "outbox": "SELECT id || topic || severity, body, crc FROM outbox",
    "retained": "SELECT topic, body, crc FROM retained",
    "meta": "SELECT name, body, crc FROM meta",
}


class DamagedError(Exception):
    """The file's content is not what was written."""


def crc(key: object, body: bytes) -> int:
    """CRC-32 over a row's key and body."""
    return zlib.crc32(body, zlib.crc32(str(key).encode("utf-8", "surrogatepass")))


def _text(raw: bytes) -> str:
    """Damaged text must reach the CRC check instead of raising on the way."""
    return raw.decode("utf-8", "surrogateescape")


def connect(path: str | Path) -> Connection:
    """Open with the settings that survive a power cut, and create what is missing."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.text_factory = _text
    try:
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


def open_checked(path: Path) -> Connection:
    """Open and check everything; raises Error or DamagedError."""
    if problem := wal.damage(Path(f"{path}-wal"), PAGE_BYTES):
        raise DamagedError(problem)
    try:
        db = connect(path)
    except UnicodeDecodeError as error:  # SQLite quotes damaged text in its own error messages
        raise DamagedError(str(error)) from error
    try:
        check(db)
        put(db, "meta", "name", {"version": str(VERSION).encode()})
    except UnicodeDecodeError as error:
        db.close()
        raise DamagedError(str(error)) from error
    except BaseException:
        db.close()
        raise
    return db


def check(db: Connection) -> None:
    """Raises DamagedError when SQLite's own check, a CRC, or the version does not hold."""
    (answer,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        raise DamagedError(answer)
    for table, query in _CHECKS.items():
        for key, body, expected in db.execute(query):
            if not isinstance(body, bytes) or crc(key, body) != expected:
                raise DamagedError(f"{table}: the CRC of row {key!r} does not fit")
    version = db.execute("SELECT body FROM meta WHERE name = 'version'").fetchone()
    if version and version[0] != str(VERSION).encode():
        raise DamagedError(f"store of version {version[0]!r}, this tickover reads {VERSION}")


def salvage(damaged: Path, db: Connection, table: str) -> None:
    """Copy what is still readable and has a good CRC."""
    key = {"outbox": "id || topic || severity", "retained": "topic"}[table]
    with suppress(Error, UnicodeDecodeError), closing(sqlite3.connect(damaged)) as source:
        source.text_factory = _text
        for row in source.execute(f"SELECT *, {key} FROM {table}"):
            *columns, name = row
            body = columns[4 if table == "outbox" else 1]
            if isinstance(body, bytes) and crc(name, body) == columns[-1]:
                marks = ", ".join("?" * len(columns))
                db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", columns)


def copy(source: Connection, target: Connection, table: str) -> None:
    """All rows of one table, replacing those with the same key."""
    for row in source.execute(f"SELECT * FROM {table}"):
        target.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def put(db: Connection, table: str, key: str, rows: dict[str, bytes]) -> None:
    """Set named bodies."""
    items: Iterable[tuple[str, bytes, int]] = ((name, body, crc(name, body)) for name, body in rows.items())
    db.executemany(f"INSERT OR REPLACE INTO {table} ({key}, body, crc) VALUES (?, ?, ?)", items)


def number(db: Connection, query: str) -> int:
    """The one number that a query answers; NULL is 0."""
    return int(db.execute(query).fetchone()[0] or 0)


def is_disk_trouble(error: Exception) -> bool:
    """True when the disk, not the content of the file, is at fault."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return any(name.startswith(f"SQLITE_{code}") for code in DISK_TROUBLE)

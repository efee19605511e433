"""What a state folder holds, read from a copy: nothing is touched, a daemon may run, the store may be a later one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tickover.errors import StateError
from tickover.storage.database import (
    META_WRITER,
    READS,
    VERSION,
    Connection,
    DamagedError,
    Error,
    check,
    open_plain,
    version,
)
from tickover.storage.store import FILE, META_DROPPED

TRIES: Final = 3
"""A daemon may write while its file is copied: such a copy does not fit together, and another one is made."""
PARTS: Final = ("", "-wal")
"""The store's file and its log."""


@dataclass
class Contents:
    """A store's content, counted. ``version`` None: there is no store yet. ``size``: bytes of file and log.

    ``meta``: named values as they are.
    """

    folder: Path
    version: int | None = None
    writer: str = ""
    size: int = 0
    is_held: bool = False
    """A running daemon holds the folder."""
    problem: str = ""
    """Why no more can be told."""
    vehicles: list[str] = field(default_factory=list)
    journal: int = 0
    waiting: int = 0
    delivered: int = 0
    dropped: int = 0
    alarms: list[str] = field(default_factory=list)
    """Topics of alarms that stand."""
    meta: dict[str, bytes] = field(default_factory=dict)
    aside: dict[str, int] = field(default_factory=dict)
    """Stores kept beside: name to bytes."""

    @property
    def is_newer(self) -> bool:
        """A later release wrote it."""
        return (self.version or 0) > VERSION

    @property
    def earlier(self) -> str:
        """The store kept at the upgrade from the version just before, or nothing."""
        kept = [f"{FILE}.version-{number}" for number in READS if number < (self.version or 0)]
        return next((name for name in reversed(kept) if name in self.aside), "")


def look(folder: Path) -> Contents:
    """Read the folder; StateError when it is no folder or cannot be read."""
    try:
        found = Contents(folder, is_held=_is_held(folder), aside=_aside(folder))
        found.size = sum(path.stat().st_size for part in PARTS if (path := folder / f"{FILE}{part}").exists())
        if (folder / FILE).exists():
            _read(folder, found)
    except OSError as error:
        cure = "run as the daemon's user (sudo -u tickover), or name another folder"
        raise StateError(f"{folder}: cannot be read: {error.strerror or error}; {cure}") from error
    return found


def _aside(folder: Path) -> dict[str, int]:
    logs = ("-wal", "-shm", "-journal")
    return {
        entry.name: entry.stat().st_size
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        if entry.name.startswith(f"{FILE}.") and not entry.name.endswith(logs)
    }


def _is_held(folder: Path) -> bool:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _read(folder: Path, found: Contents) -> None:
    for last in (*[False] * (TRIES - 1), True):
        with copied(folder) as copy:
            try:
                with closing(open_plain(copy)) as db:
                    _fill(db, found)
                return
            except (Error, DamagedError, UnicodeDecodeError) as error:
                if last or not found.is_held:
                    found.problem = str(error)
                    return


@contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """The store's file and log, elsewhere: opening a store changes it."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tickover-state-") as name:
        for part in PARTS:
            if (source := folder / f"{FILE}{part}").exists():
                shutil.copyfile(source, Path(name) / f"{FILE}{part}")
        yield Path(name) / FILE


def _fill(db: Connection, found: Contents) -> None:
    found.version = version(db) or READS[0]
    found.meta = dict(db.execute("SELECT name, body FROM meta"))
    found.writer = found.meta.get(META_WRITER, b"").decode(errors="replace")
    if found.is_newer:
        return  # its rows may mean something else
    check(db)
    found.vehicles = [name for (name,) in db.execute("SELECT vehicle FROM state WHERE body != x'' ORDER BY vehicle")]
    found.alarms = [topic for (topic,) in db.execute("SELECT topic FROM retained WHERE body != x'' ORDER BY topic")]
    counts = "SELECT (SELECT count(*) FROM journal), count(*) - count(delivered), count(delivered) FROM outbox"
    found.journal, found.waiting, found.delivered = db.execute(counts).fetchone()
    found.dropped = int(found.meta.get(META_DROPPED, b"0"))

"""A folder of recorded trips, ``<vehicle>/<start>.<format>.gz``, bounded in bytes and readable after every crash.

Each append is one whole gzip member, written at once and made durable; members one after another are one valid gzip
file. An incomplete last member, left by a power cut, is cut off at the next start.
"""

import gzip
import os
import re
import zlib
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Final

from tickover.core.time_format import iso_basic
from tickover.errors import LogError
from tickover.storage.files import TEMPORARY, no_link, replace_file

SUFFIX: Final = ".gz"
COMPRESSION: Final = 6
"""gzip's level: the last percents of level 9 cost three times the time."""
READ_BYTES: Final = 1 << 20
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]|^\.+")


class TripFiles:
    """The files under ``folder``; together at most ``total_bytes``, see `make_room`.

    A symbolic link inside ``folder`` is never followed: nothing elsewhere is counted, written or removed. LogError when
    one is in a vehicle's place.

    ``counts``: files, removed_files, removed_bytes, repaired_files.
    """

    def __init__(self, folder: Path, total_bytes: int) -> None:
        self.counts: Counter[str] = Counter()
        self._folder = folder
        self._limit = total_bytes
        self._sizes: dict[Path, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            inside = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
            whole = (path for parent in inside for path in parent.glob(f"*{SUFFIX}") if not path.is_symlink())
            found = sorted(whole, key=lambda path: (path.stat().st_mtime, path.name))
            self._sizes = {path: path.stat().st_size for path in found}
            for parent in inside:
                for path in parent.glob(f".*{SUFFIX}.*{TEMPORARY}"):
                    path.unlink()
            for path in {path.parent: path for path in found}.values():
                self._repair(path)
        except OSError as error:
            raise LogError(f"{folder}: cannot record in this folder: {error.strerror or error}") from error

    @property
    def total(self) -> int:
        """Bytes in all files."""
        return sum(self._sizes.values())

    def create(self, vehicle: str, start: int, kind: str) -> Path:
        """A free name for a trip that starts at ``start`` microseconds; ``kind`` is ``jsonl`` or ``csv``.

        The first ``append`` creates the file.
        """
        parent = self._folder / _UNSAFE.sub("_", vehicle)
        stem = iso_basic(start)
        parent.mkdir(exist_ok=True)
        _refuse_link(parent)
        names = (f"{stem}{f'-{number}' if number > 1 else ''}.{kind}{SUFFIX}" for number in count(1))
        path = next(path for name in names if not os.path.lexists(path := parent / name) and path not in self._sizes)
        self.counts["files"] += 1
        self._sizes[path] = 0
        return path

    def append(self, path: Path, data: bytes) -> int:
        """Add ``data``, durably; returns the file's bytes. After an OSError the file is as it was before."""
        size = self._sizes[path]
        _refuse_link(path.parent)
        if size == 0:
            with replace_file(path) as file:
                self._sizes[path] = file.write(gzip.compress(data, COMPRESSION, mtime=0))
            return self._sizes[path]
        with open(path, "r+b", opener=no_link) as file:
            try:
                file.seek(size)
                file.write(gzip.compress(data, COMPRESSION, mtime=0))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(file.fileno(), size)
                raise
            self._sizes[path] = file.tell()
        return self._sizes[path]

    def make_room(self, keep: set[Path]) -> list[Path]:
        """Remove files until all fit, but none of ``keep``; returns what was removed.

        The oldest of the vehicle that has most bytes goes first: one that writes without end costs itself alone.
        """
        removed: list[Path] = []
        while self.total > self._limit:
            used: Counter[Path] = Counter()
            for path, size in self._sizes.items():
                used[path.parent] += size
            others = [path for path in self._sizes if path not in keep]
            if not others:
                break
            path = max(others, key=lambda path: used[path.parent])  # of equal ones the first, which is the oldest
            path.unlink(missing_ok=True)
            self.counts["removed_files"] += 1
            self.counts["removed_bytes"] += self._sizes.pop(path)
            removed.append(path)
        return removed

    def _repair(self, path: Path) -> None:
        """Cut off what follows the last whole member; a file without one is removed."""
        whole = _whole_bytes(path)
        if not whole or whole < self._sizes[path]:
            if whole:
                os.truncate(path, whole)
                self._sizes[path] = whole
            else:
                path.unlink()
                del self._sizes[path]
            self.counts["repaired_files"] += 1


def _refuse_link(parent: Path) -> None:
    """LogError when a vehicle's folder is a link: its trips would be written elsewhere."""
    if parent.is_symlink():
        raise LogError(f"{parent}: expected a folder, found a symbolic link; remove it, or record elsewhere")


def _whole_bytes(path: Path) -> int:
    """Bytes of the file up to the end of its last whole gzip member."""
    whole = position = 0
    member = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            while data:
                try:
                    member.decompress(data)
                except zlib.error:
                    return whole
                position += len(data) - len(member.unused_data)
                data = member.unused_data
                if member.eof:
                    whole, member = position, zlib.decompressobj(wbits=31)
    return whole

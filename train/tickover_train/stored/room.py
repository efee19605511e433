"""Where arrays are kept while a command works: in memory, or in files of a folder."""

import shutil
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

import numpy as np

from tickover.core.values import FloatArray
from tickover.errors import RunError
from tickover_train.stored.arrays import ITEM, Arrays, StoredArrays, StoredFile


class Sheet(Protocol):
    """Values ``[rows, ticks, F]`` that are written row by row and read a span of ticks at a time."""

    def write(self, row: int, tick: int, values: FloatArray) -> None:
        """Values ``[N, F]`` of one row from ``tick`` on."""

    def read(self, row: int, tick: int, into: FloatArray) -> None:
        """Fill a contiguous ``[N, F]`` from ``tick`` on; what was never written is NaN or undefined."""


class Room(Protocol):
    """Makes arrays to add to, and sheets."""

    def arrays(self, keep: int = 0) -> Arrays:
        """Arrays to add to; the first ``keep`` bytes of them stay in memory wherever the rest is."""

    def sheet(self, rows: int, ticks: int, width: int) -> Sheet:
        """A sheet of this size."""


class Memory:
    """Everything in memory: for few trips."""

    def arrays(self, keep: int = 0) -> Arrays:
        """A list."""
        return []

    def sheet(self, rows: int, ticks: int, width: int) -> Sheet:
        """An array."""
        return _MemorySheet(rows, ticks, width)


class _MemorySheet:
    def __init__(self, rows: int, ticks: int, width: int) -> None:
        self._values = np.full((rows, ticks, width), np.nan, np.float32)

    def write(self, row: int, tick: int, values: FloatArray) -> None:
        self._values[row, tick : tick + len(values)] = values

    def read(self, row: int, tick: int, into: FloatArray) -> None:
        into[:] = self._values[row, tick : tick + len(into)]


class Disk:
    """Everything in files of a folder, which have no name there and are gone when the process ends, however it ends.

    ``most``: the most bytes that they held at a time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.most = 0
        self._files: WeakSet[StoredFile] = WeakSet()

    def arrays(self, keep: int = 0) -> Arrays:
        """Arrays in a file; RunError when none can be made."""
        return StoredArrays(self._new(), keep)

    def sheet(self, rows: int, ticks: int, width: int) -> Sheet:
        """A sheet in a file."""
        file = self._new()
        file.bytes = rows * ticks * width * ITEM
        return _FileSheet(file, ticks, width)

    def used(self) -> int:
        """Bytes of what is kept now; a file goes when nobody holds it any more."""
        used = sum(file.bytes for file in self._files)
        self.most = max(self.most, used)
        return used

    def free(self) -> int:
        """Bytes that the folder has room for."""
        try:
            return shutil.disk_usage(self.folder).free
        except OSError as error:
            raise RunError(f"{self.folder}: cannot look at the disk: {error.strerror or error}") from error

    def _new(self) -> StoredFile:
        self.used()
        file = StoredFile(self.folder)
        self._files.add(file)
        return file

    def __reduce__(self) -> tuple[type["Disk"], tuple[Path]]:
        return Disk, (self.folder,)


class _FileSheet:
    def __init__(self, file: StoredFile, ticks: int, width: int) -> None:
        self._file, self._ticks, self._width = file, ticks, width

    def write(self, row: int, tick: int, values: FloatArray) -> None:
        self._file.write(self._place(row, tick), values)

    def read(self, row: int, tick: int, into: FloatArray) -> None:
        self._file.read(self._place(row, tick), into)

    def _place(self, row: int, tick: int) -> int:
        return (row * self._ticks + tick) * self._width * ITEM

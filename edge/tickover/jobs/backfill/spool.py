"""The readings of one vehicle out of a file of several, on disk until the vehicle has been run."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.values import Readings
from tickover.errors import LogError

HEADER: Final = struct.Struct("<II")
"""Rows of a block, and the bytes that follow."""
LEVEL: Final = 1
"""zlib's level: the disk of one archive, and little time."""


@dataclass(frozen=True, slots=True)
class Spool:
    """Blocks of readings in a file; ``name`` is the log that they came from."""

    path: Path
    name: str
    vehicle: str
    signals: tuple[str, ...]

    def __str__(self) -> str:
        return self.name

    def append(self, blocks: list[Readings]) -> None:
        """Write blocks behind the others."""
        with self.path.open("ab") as file:
            for block in blocks:
                data = block.time.astype("<i8").tobytes() + np.ascontiguousarray(block.values, "<f8").tobytes()
                packed = zlib.compress(data, LEVEL)
                file.write(HEADER.pack(len(block.time), len(packed)) + packed)

    def blocks(self) -> Iterator[Readings]:
        """The blocks in order; LogError when the file is damaged."""
        try:
            with self.path.open("rb") as file:
                while head := file.read(HEADER.size):
                    rows, size = HEADER.unpack(head)
                    data = zlib.decompress(file.read(size))
                    time = np.frombuffer(data, "<i8", rows).astype(np.int64)
                    values = np.frombuffer(data, "<f8", rows * len(self.signals), 8 * rows).astype(np.float64)
                    yield Readings(self.vehicle, self.signals, time, values.reshape(rows, len(self.signals)))
        except (OSError, struct.error, zlib.error, ValueError) as error:
            raise LogError(f"{self.path}: the split data of {self.name} cannot be read: {error}") from error

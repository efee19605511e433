"""What training takes of this machine: memory, and disk for what does not have to lie in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tickover.errors import RunError
from tickover.host.memory import peak_bytes
from tickover_train.config import TrainConfig
from tickover_train.stored.arrays import ITEM, NO_ROOM
from tickover_train.stored.room import Disk

TRIPS: Final = 4
"""Times the ticks: the trips as read and as cleaned, what was left out of them, and all normalised."""
BATCHES: Final = 3
"""Times the ticks for each fold that is fitted at a time: inputs and targets of an epoch, and of the held-out trips."""
RESIDUALS: Final = 2
"""Times the ticks: of whole trips, and of legs."""
UNITS: Final = ((1 << 30, "GB"), (1 << 20, "MB"))


@dataclass(frozen=True, slots=True)
class Footprint:
    """The peak memory of this process, in bytes, and of each that fitted folds; and the most of the disk."""

    memory: int
    workers: Sequence[int] = field(default_factory=tuple)
    disk: int = 0

    @classmethod
    def of(cls, room: Disk, workers: Sequence[int]) -> "Footprint":
        """So far."""
        room.used()
        return cls(peak_bytes(), tuple(workers), room.most)

    @property
    def words(self) -> str:
        """One line."""
        beside = f" and up to {size_words(max(self.workers))} in each fitting process" if self.workers else ""
        return f"{size_words(self.memory)}{beside}; temporary data {size_words(self.disk)}"


def size_words(size: float) -> str:
    """Bytes for people."""
    for unit, name in UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size / 1024:.0f} kB"


def work_folder(given: Path | None, out: Path) -> Path:
    """Where temporary data lie: in the folder that was named, or where the run folder is or will be."""
    if given:
        return given
    return next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())


def needed(config: TrainConfig, ticks: int, signals: int, workers: int) -> int:
    """At most how many bytes of temporary data so many ticks of training trips take."""
    fitted = min(workers, config.calibration.folds)
    # Charts, too, of whole trips and of legs; a bank has at most one for each signal.
    later = RESIDUALS + 2 * len(config.charts.banks)
    return ticks * signals * ITEM * (TRIPS + max(BATCHES * fitted, later))


def check_disk(room: Disk, need: int) -> str:
    """How much disk is needed, and free; RunError when that is too little."""
    # What is written so far is part of the need.
    free = room.free() + room.used()
    if free < need:
        raise RunError(
            f"{room.folder}: expected {size_words(need)} free for temporary data, got {size_words(free)}; {NO_ROOM}"
        )
    return f"temporary data: at most {size_words(need)} in {room.folder} ({size_words(free)} free)"

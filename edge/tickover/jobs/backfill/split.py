"""A log of several vehicles, read once, and put on disk vehicle by vehicle."""

import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from tickover.core.values import Readings
from tickover.errors import TickoverError
from tickover.jobs.backfill import results
from tickover.jobs.backfill.spool import Spool
from tickover.jobs.backfill.task import Dropped, Share, Split, SplitTask, file_id
from tickover.jobs.backfill.work import dropped_of, log_of
from tickover.jobs.replay import Tally
from tickover.logs.reading import read_log

HELD_VALUES: Final = 8_000_000
"""Readings that are held before they are written, of all vehicles together: 64 MB."""


def split_log(task: SplitTask) -> Split:
    """Write the readings of each vehicle of a log to a file of its own, and say which there are.

    Like `work.run_vehicle` it may run anywhere, and again.
    """
    out, rules = Path(task.rules.out), task.rules
    folder = out / results.SPLIT / task.id
    tally, shares, why = Tally(), _Shares(task, folder), ""
    log = msgspec.structs.replace(rules.mapping.log, vehicle_column=task.column)
    mapping = msgspec.structs.replace(rules.mapping, log=log)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for block in read_log(
            log_of(task.part),
            mapping,
            vehicle="",
            start=rules.start,
            strict=rules.strict,
            counts=tally.rows,
            on_bad=lambda message: None,
            cells=tally.cells,
        ):
            shares.take(block)
        shares.write()
    except (TickoverError, OSError, MemoryError) as error:
        why = str(error) or type(error).__name__
        shares.write()
    dropped = dropped_of(None, tally) if tally.rows or tally.cells else Dropped()
    split = Split(where=task.part.where, digest=task.digest, shares=shares.found(), dropped=dropped, why=why)
    results.mark_split(out, task, split)
    return split


class _Shares:
    """The readings held of each vehicle, and what was written of it."""

    def __init__(self, task: SplitTask, folder: Path) -> None:
        self._task, self._folder = task, folder
        self._held: dict[str, list[Readings]] = {}
        self._values = 0
        self._first: dict[str, int] = {}
        self._rows: dict[str, int] = {}

    def take(self, block: Readings) -> None:
        """Hold a block; write all when there are many."""
        if not len(block.time):
            return
        vehicle = block.vehicle
        self._held.setdefault(vehicle, []).append(block)
        self._first[vehicle] = min(int(block.time.min()), self._first.get(vehicle, int(block.time[0])))
        self._rows[vehicle] = self._rows.get(vehicle, 0) + len(block.time)
        self._values += block.values.size
        if self._values > HELD_VALUES:
            self.write()

    def write(self) -> None:
        """Write what is held."""
        for vehicle, blocks in self._held.items():
            Spool(self._path(vehicle), "", vehicle, ()).append(blocks)
        self._held, self._values = {}, 0

    def found(self) -> tuple[Share, ...]:
        """What there is, by the vehicles' names."""
        return tuple(
            Share(vehicle, self._first[vehicle], self._rows[vehicle], str(self._path(vehicle)))
            for vehicle in sorted(self._rows)
        )

    def _path(self, vehicle: str) -> Path:
        return self._folder / f"{file_id(vehicle)}{os.extsep}rows"

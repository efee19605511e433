"""Readings from stamps and raw values: each vehicle's clock, scale and offset, blocks of a bounded size."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tickover.core.values import DoubleArray, Readings, TimeArray
from tickover.errors import LogError
from tickover.logs.formats.base import BLOCK_ROWS, MAX_VEHICLES, Job
from tickover.logs.formats.rows import Fold, Row
from tickover.logs.formats.times import Clock


class Collector:
    """Makes parsed rows into blocks of readings, vehicle by vehicle, with the mapping's scale and offset.

    ``fold``: where ``parse_row`` puts the rows of a long log; None for a wide one.
    """

    def __init__(self, job: Job) -> None:
        self.fold = Fold(job) if job.mapping.log.layout == "long" else None
        self._job = job
        self._signals = job.mapping.names
        self._clocks: dict[str, Clock] = {}
        columns = job.mapping.signals.values()
        self._scale = np.array([column.scale for column in columns])
        self._offset = np.array([column.offset for column in columns])
        self._plain = bool((self._scale == 1).all() and (self._offset == 0).all())

    def rows(self, rows: Iterable[Row]) -> Iterator[Readings]:
        """Blocks of readings from parsed rows, in order, and from what they completed in the fold."""
        yield from self._grouped([*rows, *(self.fold.take() if self.fold else ())])

    def end(self) -> Iterator[Readings]:
        """What long rows left open at the end of the log."""
        if self.fold:
            yield from self._grouped(self.fold.end())

    def _grouped(self, rows: Sequence[Row]) -> Iterator[Readings]:
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.vehicle, []).append(row)
        for vehicle, group in groups.items():
            stamps = np.array([row.stamp for row in group], np.int64)
            yield from self.block(vehicle, stamps, np.array([row.values for row in group], np.float64))

    def block(self, vehicle: str, stamps: TimeArray, values: DoubleArray) -> Iterator[Readings]:
        """Blocks of readings from one vehicle's arrays: stamps ``[N]`` and raw values ``[N, F]``."""
        self._job.counts["rows"] += len(stamps)
        time = self._clock(vehicle).absolute(stamps)
        if not self._plain:
            values = values * self._scale + self._offset
        for first in range(0, len(time), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            yield Readings(vehicle, self._signals, time[part], values[part])

    def _clock(self, vehicle: str) -> Clock:
        if vehicle not in self._clocks:
            if len(self._clocks) >= MAX_VEHICLES:
                raise LogError(f"{self._job.name}: expected at most {MAX_VEHICLES} vehicles in one log")
            self._clocks[vehicle] = Clock(self._job.mapping.time.kind, self._job.start)
        return self._clocks[vehicle]

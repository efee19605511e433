"""Readings from stamps and raw values: each vehicle's clock, scale and offset, blocks of a bounded size."""

from collections.abc import Iterator

import numpy as np

from tickover.core.values import DoubleArray, Readings, TimeArray
from tickover.errors import LogError
from tickover.logs.formats.base import BLOCK_ROWS, MAX_VEHICLES, Job
from tickover.logs.formats.times import Clock


class Collector:
    """Makes blocks of readings, vehicle by vehicle, with the mapping's scale and offset."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._signals = job.mapping.names
        self._clocks: dict[str, Clock] = {}
        columns = job.mapping.signals.values()
        self._scale = np.array([column.scale for column in columns])
        self._offset = np.array([column.offset for column in columns])
        self._plain = bool((self._scale == 1).all() and (self._offset == 0).all())

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
            time = self._job.mapping.time
            self._clocks[vehicle] = Clock(time.kind, self._job.start, time.zone)
        return self._clocks[vehicle]

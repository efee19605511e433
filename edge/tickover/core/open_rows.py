"""The readings of one vehicle that wait in open ticks: in whatever order they came, sorted and merged when needed."""

from collections.abc import Callable
from typing import Final

import numpy as np

from tickover.core import windows
from tickover.core.values import DoubleArray, TimeArray

NEVER_CLOSED: Final = 2**62
"""Larger than every tick number."""

Repeated = Callable[[windows.IndexArray, windows.IndexArray], None]
"""Hears how many readings repeated a key, and how many of them differed, by signal: see ``windows.merge``."""


class OpenRows:
    """Rows of F signals, NaN = no reading; ``period`` in microseconds.

    Rows are appended as they come and merged once a tick closes: most ticks hold few rows, and sorting at every reading
    would cost more than all else. ``first_tick`` is the number of the first tick that holds a row, ``NEVER_CLOSED``
    when none does. ``len`` counts rows as they came, so repeated times count as often as they came until
    :meth:`compact`.
    """

    __slots__ = ("_period", "_repeated", "_rows", "_signals", "_time", "_values", "first_tick")

    def __init__(self, period: int, signals: int, repeated: Repeated) -> None:
        self._period, self._signals, self._repeated = period, signals, repeated
        self.clear()

    def __len__(self) -> int:
        return self._rows

    def clear(self) -> None:
        """Forget them all."""
        self._time: list[TimeArray] | None = None
        self._values: list[DoubleArray] | None = None
        self._rows = 0
        self.first_tick = NEVER_CLOSED

    @property
    def last_tick(self) -> int:
        """The number of the last tick that holds a row; there must be one."""
        return max(int(time.max()) for time in self._time or ()) // self._period

    def add(self, time: TimeArray, values: DoubleArray) -> None:
        """Rows ``[N]``, ``[N, F]``, N >= 1, in order of arrival."""
        if self._time is None or self._values is None:
            self._time, self._values = [time], [values]
        else:
            self._time.append(time)
            self._values.append(values)
        self._rows += len(time)
        self.first_tick = min(self.first_tick, int(time.min()) // self._period)

    def hold(self, time: TimeArray, values: DoubleArray) -> None:
        """Replace them by rows that are in order, one per time, possibly none."""
        self.clear()
        if len(time):
            self.add(time, values)

    def in_order(self, most: int) -> tuple[TimeArray, DoubleArray] | None:
        """The rows, when there are at most so many, in order, each of a time of its own; else None."""
        if self._rows > most:
            return None
        if self._time is None or self._values is None:
            return self._nothing()
        time, values = np.concatenate(self._time), np.concatenate(self._values)
        return (time, values) if (time[1:] > time[:-1]).all() else None

    def compact(self) -> tuple[TimeArray, DoubleArray]:
        """Sort them and make one row of each time; what is then held."""
        rows = self._merged()
        self.hold(*rows)
        return rows

    def before(self, tick: int) -> tuple[TimeArray, DoubleArray]:
        """Take out the rows before tick number ``tick``, in order, one per time; possibly none."""
        if self.first_tick >= tick:
            return self._nothing()
        time, values = self._merged()
        cut = int(np.searchsorted(time, tick * self._period))
        # Copies: a view of the few rows that stay would keep the whole block alive.
        self.hold(time[cut:].copy(), values[cut:].copy())
        return time[:cut], values[:cut]

    def join(self, time: TimeArray, row: DoubleArray) -> bool:
        """Merge one row ``[1]``, ``[1, F]`` into that of its time, after :meth:`compact`; False when there is none."""
        assert self._time is not None
        assert self._values is not None
        at = int(np.searchsorted(self._time[0], time[0]))
        if at == self._rows or self._time[0][at] != time[0]:
            return False
        both = np.concatenate([self._values[0][at : at + 1], row])
        self._values[0] = self._values[0].copy()
        self._values[0][at] = windows.merge(np.repeat(time, 2), both, self._repeated)[1][0]
        return True

    def _merged(self) -> tuple[TimeArray, DoubleArray]:
        if self._time is None or self._values is None:
            return self._nothing()
        if len(self._time) == 1:
            return windows.merge(self._time[0], self._values[0], self._repeated)
        return windows.merge(np.concatenate(self._time), np.concatenate(self._values), self._repeated)

    def _nothing(self) -> tuple[TimeArray, DoubleArray]:
        return np.empty(0, np.int64), np.empty((0, self._signals))

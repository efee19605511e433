"""Ticks that `tickover.core.tick_columns` closed and that wait to be run."""

from collections.abc import Iterator
from typing import Final, cast

import numpy as np

from tickover.core.columns import Rows
from tickover.core.tick_columns import Emitted, OneTick
from tickover.core.values import FloatArray, TimeArray

FEW: Final = 3
"""Ticks that are run one by one, in plain numbers; more are run side by side, in arrays."""


class EmittedTicks:
    """In the order in which they closed."""

    def __init__(self) -> None:
        self._parts: list[Emitted | OneTick] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, emitted: Emitted | OneTick) -> None:
        """Ticks closed, at most one of each vehicle."""
        self._parts.append(emitted)

    def few(self) -> list[OneTick]:
        """Take out all, if there are so few, each of another vehicle, that each is run alone; else none."""
        parts = self._parts
        if len(parts) > FEW or [part for part in parts if not isinstance(part, OneTick)]:
            return []
        few = cast(list[OneTick], parts)
        if len(few) > 1 and len({one.row for one in few}) < len(few):
            return []
        self._parts = []
        return few

    def _take(self) -> list[Emitted]:
        parts, self._parts = self._parts, []
        return [part.of_many() if isinstance(part, OneTick) else part for part in parts]

    def groups(self) -> Iterator[tuple[Rows, TimeArray, FloatArray]]:
        """Take out all, by how many ticks: vehicles' rows ``[V]``, time ``[T, V]``, values ``[T, V, F]``."""
        parts = self._take()
        if len(parts) == 1:
            rows, time, values = parts[0]
            yield rows, time[None], values[None]
        if len(parts) <= 1:
            return
        if all(np.array_equal(part.rows, parts[0].rows) for part in parts):
            yield parts[0].rows, np.stack([part.time for part in parts]), np.stack([part.values for part in parts])
            return
        every, time, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        order = np.argsort(every, kind="stable")
        rows, first, count = np.unique(every[order], return_index=True, return_counts=True)
        for ticks in np.unique(count).tolist():
            chosen = count == ticks
            place = order[first[chosen] + np.arange(ticks)[:, None]]
            yield rows[chosen], time[place], values[place]

    def take_out(self, chosen: set[int]) -> Iterator[tuple[int, TimeArray, FloatArray]]:
        """Take out those of some rows: row, time ``[1]``, values ``[1, F]``."""
        parts = self._take()
        for rows, time, values in parts:
            mine = [place for place, row in enumerate(rows.tolist()) if row in chosen]
            yield from ((int(rows[place]), time[place : place + 1], values[place : place + 1]) for place in mine)
            others = np.delete(np.arange(len(rows)), mine)
            if len(others):
                self._parts.append(Emitted(rows[others], time[others], values[others]))

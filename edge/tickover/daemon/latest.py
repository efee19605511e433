"""The newest tick of each vehicle, for the score topic and the snapshot command."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tickover.core.columns import Columns
from tickover.core.values import Pumped, Scores


class _Newest:
    """The newest scored tick of one detector's vehicles, a row a vehicle."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.rows: dict[str, int] = {}
        one: tuple[int, ...] = (len(names),)
        self._columns = Columns(
            {
                "time": (np.int64, ()),
                "score": (np.float32, ()),
                "open": (np.bool_, ()),
                "values": (np.float32, one),
                "expected": (np.float32, one),
            }
        )

    def note(self, vehicles: list[str], time: Any, values: Any, scores: Scores, open_: Any) -> None:
        """Take a tick of each: ``time`` ``[V]``, ``values`` ``[V, F]``, ``scores`` ``[V, ...]``, ``open_`` ``[V]``."""
        for vehicle in [vehicle for vehicle in vehicles if vehicle not in self.rows]:
            self.rows[vehicle] = self._columns.take()
        rows = [self.rows[vehicle] for vehicle in vehicles]
        parts = {"time": time, "score": scores.score, "open": open_, "values": values, "expected": scores.expected}
        for name, part in parts.items():
            self._columns[name][rows] = part

    def newest(self) -> int | None:
        """The largest time."""
        return int(self._columns["time"][list(self.rows.values())].max()) if self.rows else None

    def forget(self, vehicle: str) -> int | None:
        """Drop a vehicle; the time of its newest tick."""
        row = self.rows.pop(vehicle, None)
        if row is None:
            return None
        self._columns.give_back(row)
        return int(self._columns["time"][row])

    def score(self, vehicle: str) -> float | None:
        """That of a vehicle."""
        return _plain(float(self._columns["score"][self.rows[vehicle]]))

    def shown(self, vehicle: str) -> dict[str, Any]:
        """All of it, for people."""
        row, columns = self.rows[vehicle], self._columns
        signals = {
            name: {"observed": _plain(observed), "expected": _plain(expected)}
            for name, observed, expected in zip(
                self.names, columns["values"][row].tolist(), columns["expected"][row].tolist(), strict=True
            )
        }
        time, open_ = int(columns["time"][row]), bool(columns["open"][row])
        return {"time": time, "score": self.score(vehicle), "open": open_, "signals": signals}


class Live:
    """Keeps the newest scored tick by detector and vehicle; ``names`` are each detector's signals."""

    def __init__(self, names: dict[str, tuple[str, ...]]) -> None:
        self._last = {detector: _Newest(signals) for detector, signals in names.items()}
        self.ticks = 0
        """Ticks scored since the start."""
        self._asleep = 0

    @property
    def newest(self) -> int:
        """Event time of the newest tick of the vehicles awake, or of the last to go to sleep; microseconds, 0: none.

        A vehicle's newest tick is the one scored last: its clock may have been put back.
        """
        found = [time for last in self._last.values() if (time := last.newest()) is not None]
        return max(found, default=self._asleep)

    def note(self, pumped: Mapping[str, Pumped]) -> None:
        """Take what a pump gave, by detector."""
        for detector, one in pumped.items():
            last = self._last[detector]
            for many in one.together:
                self.ticks += many.time.size
                last.note(many.vehicles, many.time[-1], many.values[-1], many.scores.at(-1), False)
            for output in one.outputs:
                ticks = output.scored.ticks
                if len(ticks.time):
                    self.ticks += len(ticks.time)
                    scores, open_ = output.scored.scores.at(np.s_[-1:]), output.scored.open[-1:]
                    last.note([ticks.vehicle], ticks.time[-1:], ticks.values[-1:], scores, open_)

    def forget(self, vehicle: str) -> None:
        """Drop a vehicle that went to sleep."""
        for last in self._last.values():
            time = last.forget(vehicle)
            self._asleep = self._asleep if time is None else time

    def scores(self, vehicle: str) -> dict[str, float | None]:
        """Detector to newest score; None = every signal missing."""
        return {name: last.score(vehicle) for name, last in self._last.items() if vehicle in last.rows}

    def snapshot(self, vehicle: str) -> dict[str, Any]:
        """Detector to its newest tick: time, score, open, and per signal observed and expected."""
        return {name: last.shown(vehicle) for name, last in self._last.items() if vehicle in last.rows}


def _plain(value: float) -> float | None:
    """None for a number that JSON cannot hold."""
    return value if math.isfinite(value) else None

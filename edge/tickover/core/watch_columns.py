"""Vehicles with nothing to report, side by side: recurrent state, freeze-frame and sensors in arrays, a row a vehicle.

Most vehicles are well most of the time, and their ticks change little: the network's state, the newest ticks, the
counters of the sensors. Here that is done for all of them at once. A vehicle comes to this place by :meth:`take_in`
between two blocks, and leaves it by :meth:`let_go` before any block that might be more than that: a score at the alarm
limit, a sensor at its limit, a new trip, a reading out of range, a part of the promise meter that is full. One whose
limits follow it never comes. `tickover.core.watch` then judges that block; it decides everything, and tests hold both
equal, byte for byte.
"""

from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tickover.core.chart_signals import BoolArray
from tickover.core.columns import Columns, Rows, all_of, any_of, place_of
from tickover.core.evidence import ALARM_LEVEL
from tickover.core.freeze_frame import Rows as Past
from tickover.core.sensor_bins import Bins
from tickover.core.sensor_columns import SensorRow, Side
from tickover.core.sensor_counters import COUNTERS
from tickover.core.values import FloatArray, Scores, TimeArray
from tickover.core.watch import Lent, Watch

MOST_TICKS: Final = 64
"""Of a vehicle at once; a longer block is worked through faster alone."""
SENSORS: Final = ("numbers", "value", "filled", "begin", "end", "tallies", "moved", "worst", "last", "counted")
"""The columns that a `Side` is made of."""


class Runs(Protocol):
    """What is needed of a detector."""

    def run_batch(self, states: FloatArray, X: npt.ArrayLike) -> tuple[FloatArray, Scores]: ...


class Calm(NamedTuple):
    """What a run gave: the weighed ``scores`` ``[T, B, ...]``, and whose are taken, bool ``[B]``."""

    scores: Scores
    taken: BoolArray


class WatchColumns:
    """Those of one model's vehicles; ``watch`` is a watch as each of them has one, ``size`` the numbers of its
    recurrent state, ``signals`` F."""

    def __init__(self, detector: Runs, watch: Watch, size: int, signals: int) -> None:
        self._detector, self._weigh = detector, watch.weigh
        self._step = watch.sensor_steps
        self._ring = ring = watch.ring_size
        one: tuple[int, ...] = (signals,)
        self._columns = Columns(
            {
                "state": (np.float32, (size,)),
                "trip": (np.int64, ()),
                "room": (np.int64, ()),
                "ticks": (np.int64, ()),
                "age": (np.int64, ()),
                "newest": (np.int64, ()),
                "ring_time": (np.int64, (ring,)),
                "ring_score": (np.float32, (ring,)),
                "ring_observed": (np.float32, (ring, signals)),
                "ring_expected": (np.float32, (ring, signals)),
                "ring_next": (np.int64, ()),
                "ring_count": (np.int64, ()),
                "numbers": (np.int64, (len(COUNTERS), signals)),
                "value": (np.float32, one),
                "filled": (np.bool_, ()),
                "begin": (np.int64, ()),
                "end": (np.int64, ()),
                "tallies": (np.int64, (4, signals)),
                "moved": (np.bool_, one),
                "worst": (np.float32, one),
                "last": (np.int64, ()),
                "counted": (np.int64, ()),
            }
        )

    def take_in(self, watch: Watch, state: FloatArray, trip: int) -> int | None:
        """The row that the vehicle has from now on; None when it may not come here."""
        calm = watch.lend(trip)
        if calm is None:
            return None
        row, columns, past, sensors = self._columns.take(), self._columns.arrays, calm.past, calm.sensors
        columns["state"][row], columns["trip"][row] = state, trip
        columns["newest"][row], columns["age"][row] = calm.newest, calm.age
        columns["room"][row], columns["ticks"][row] = calm.room, 0
        count = len(past.time)
        for name, ticks in zip(("time", "score", "observed", "expected"), past, strict=True):
            columns[f"ring_{name}"][row, :count] = ticks
        columns["ring_count"][row], columns["ring_next"][row] = count, count % self._ring
        if sensors is not None:
            self._take_in_sensors(row, sensors)
        return row

    def _take_in_sensors(self, row: int, sensors: SensorRow) -> None:
        columns, unfinished = self._columns.arrays, sensors.bin
        columns["numbers"][row], columns["value"][row] = sensors.numbers, sensors.value
        columns["last"][row], columns["counted"][row] = sensors.last, sensors.counted
        columns["filled"][row] = unfinished is not None
        if unfinished is not None:
            columns["begin"][row], columns["end"][row] = unfinished.time[0], unfinished.last[0]
            tallies = (unfinished.present, unfinished.plausible, unfinished.outside, unfinished.departed)
            for place, tally in enumerate(tallies):
                columns["tallies"][row, place] = tally[0]
            columns["moved"][row], columns["worst"][row] = unfinished.moved[0], unfinished.worst[0]

    def let_go(self, row: int, watch: Watch, state: FloatArray, keep: bool = False) -> None:
        """Bring the vehicle's watch and ``state`` up to date; the row is nobody's from now on, unless it is kept."""
        columns = self._columns.arrays
        state[:] = columns["state"][row]
        count = int(columns["ring_count"][row])
        order = (int(columns["ring_next"][row]) - count + np.arange(count)) % self._ring
        past = Past(*(columns[f"ring_{name}"][row, order] for name in ("time", "score", "observed", "expected")))
        sensors = None if self._step is None else self._sensors(row)
        newest, age, ticks = (int(columns[name][row]) for name in ("newest", "age", "ticks"))
        watch.give(Lent(past, newest, age, sensors, room=0, ticks=ticks))
        columns["room"][row] -= ticks
        columns["ticks"][row] = 0
        if not keep:
            self._columns.give_back(row)

    def drop(self, row: int) -> None:
        """The vehicle is forgotten."""
        self._columns.give_back(row)

    def _sensors(self, row: int) -> SensorRow:
        columns = self._columns.arrays
        unfinished = None
        if columns["filled"][row]:
            at = np.array([row])
            present, plausible, outside, departed = (columns["tallies"][at, place] for place in range(4))
            unfinished = Bins(
                columns["begin"][at], columns["end"][at], columns["trip"][at], present, plausible, outside, departed,
                columns["moved"][at], columns["worst"][at], columns["value"][at],
            )  # fmt: skip
        last, counted = int(columns["last"][row]), int(columns["counted"][row])
        return SensorRow(columns["numbers"][row], columns["value"][row], unfinished, last, counted)

    def run(self, rows: Rows, time: TimeArray, trip: TimeArray, values: FloatArray) -> Calm:
        """Run T ticks of B vehicles: ``time`` ``[T, B]``, ``values`` ``[T, B, F]``, each vehicle's of one ``trip``
        ``[B]``. What is not taken has changed nothing."""
        columns, of = self._columns.arrays, self._columns.of
        after, scores = self._detector.run_batch(of("state", rows), values)
        scores = self._weigh(scores)
        ticks = of("ticks", rows) + len(time)
        taken: BoolArray = (of("trip", rows) == trip) & (time[0] > of("newest", rows)) & (ticks <= of("room", rows))
        over = scores.score >= ALARM_LEVEL
        if any_of(over):
            taken &= ~over.any(axis=0)
        side = self._advanced(rows, time, values)
        if side is not None:
            taken &= side.sound
        whole = all_of(taken)
        chosen: Any = slice(None) if whole else taken
        at = place_of(rows if whole else rows[taken])
        columns["state"][at] = after[chosen]
        columns["newest"][at] = time[-1, chosen]
        columns["age"][at] += len(time)
        columns["ticks"][at] = ticks[chosen]
        self._remember(rows[chosen], time[:, chosen], values[:, chosen], scores.at((slice(None), chosen)))
        if side is not None:
            for name in SENSORS:
                columns[name][at] = getattr(side, name)[chosen]
        return Calm(scores, taken)

    def _advanced(self, rows: Rows, time: TimeArray, values: FloatArray) -> Side | None:
        """The sensors after these ticks."""
        if self._step is None:
            return None
        parts: dict[str, Any] = {name: self._columns.of(name, rows) for name in SENSORS}
        side = Side(**parts, sound=np.ones(len(rows), np.bool_))
        for now, row in zip(time, values, strict=True):
            self._step.advance(side, now, row)
        return side

    def _remember(self, rows: Rows, time: TimeArray, values: FloatArray, scores: Scores) -> None:
        """Put the newest of the ticks into the rings."""
        columns, count, at = self._columns.arrays, len(time), place_of(rows)
        newest = slice(max(0, count - self._ring), None)
        next_ = self._columns.of("ring_next", rows)
        place = next_ + np.arange(count)[newest, None] if count > 1 else next_[None]
        flat: Any = rows * self._ring + place % self._ring
        flat = place_of(flat[0]) if len(flat) == 1 else flat
        part: Any = 0 if count == 1 else newest
        signals = values.shape[2]
        columns["ring_time"].reshape(-1)[flat] = time[part]
        columns["ring_score"].reshape(-1)[flat] = scores.score[part]
        columns["ring_observed"].reshape(-1, signals)[flat] = values[part]
        columns["ring_expected"].reshape(-1, signals)[flat] = scores.expected[part]
        columns["ring_next"][at] = (next_ + count) % self._ring
        columns["ring_count"][at] = np.minimum(columns["ring_count"][at] + count, self._ring)

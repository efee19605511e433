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
from tickover.core.windows import IndexArray

MOST_TICKS: Final = 64
"""Of a vehicle at once; a longer block is worked through faster alone."""
CLOCK: Final = (
    *("trip", "newest", "age", "room", "ticks", "ring_next", "ring_count"),
    *("begin", "end", "last", "counted"),
)
"""Whole numbers of a vehicle that lie together, since each array costs a call: what `Lent` has, the place of the next
tick in the ring and how many there are, and the times of a `Side`."""
TRIP, NEWEST, AGE, ROOM, TICKS, RING_NEXT, RING_COUNT, BEGIN, END, LAST, COUNTED = range(len(CLOCK))
SENSORS: Final = ("numbers", "value", "filled", "tallies", "moved", "worst")
"""The columns that a `Side` is made of, besides its times."""


class Runs(Protocol):
    """What is needed of a detector."""

    def run_batch(self, states: FloatArray, X: npt.ArrayLike) -> tuple[FloatArray, Scores]: ...


class Calm(NamedTuple):
    """What a run gave: the weighed ``scores`` ``[T, B, ...]``, and whose are taken, bool ``[B]``."""

    scores: Scores
    taken: BoolArray


class Answer(NamedTuple):
    """What the graph makes of one tick of one vehicle: the state after it ``[S]``, and scores ``[1, 1, ...]``."""

    state: FloatArray
    scores: Scores


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
                "clock": (np.int64, (len(CLOCK),)),
                "ring_time": (np.int64, (ring,)),
                "ring_score": (np.float32, (ring,)),
                "ring_observed": (np.float32, (ring, signals)),
                "ring_expected": (np.float32, (ring, signals)),
                "numbers": (np.int64, (len(COUNTERS), signals)),
                "value": (np.float32, one),
                "filled": (np.bool_, ()),
                "tallies": (np.int32, (4, signals)),
                "moved": (np.bool_, one),
                "worst": (np.float32, one),
            }
        )

    def take_in(self, watch: Watch, state: FloatArray, trip: int) -> int | None:
        """The row that the vehicle has from now on; None when it may not come here."""
        calm = watch.lend(trip)
        if calm is None:
            return None
        row, columns, past, sensors = self._columns.take(), self._columns.arrays, calm.past, calm.sensors
        columns["state"][row], count = state, len(past.time)
        columns["clock"][row, : RING_COUNT + 1] = (
            *(trip, calm.newest, calm.age, calm.room, 0),
            *(count % self._ring, count),
        )
        for name, ticks in zip(("time", "score", "observed", "expected"), past, strict=True):
            columns[f"ring_{name}"][row, :count] = ticks
        if sensors is not None:
            self._take_in_sensors(row, sensors)
        watch.drop_lent()
        return row

    def _take_in_sensors(self, row: int, sensors: SensorRow) -> None:
        columns, unfinished = self._columns.arrays, sensors.bin
        columns["numbers"][row], columns["value"][row] = sensors.numbers, sensors.value
        columns["clock"][row, [LAST, COUNTED]] = sensors.last, sensors.counted
        columns["filled"][row] = unfinished is not None
        if unfinished is not None:
            columns["clock"][row, [BEGIN, END]] = unfinished.time[0], unfinished.last[0]
            tallies = (unfinished.present, unfinished.plausible, unfinished.outside, unfinished.departed)
            for place, tally in enumerate(tallies):
                columns["tallies"][row, place] = tally[0]
            columns["moved"][row], columns["worst"][row] = unfinished.moved[0], unfinished.worst[0]

    def let_go(self, row: int, watch: Watch, keep: bool = False) -> FloatArray:
        """Bring the vehicle's watch up to date, and give its state; the row is nobody's from now on, unless it is
        kept."""
        columns = self._columns.arrays
        state: FloatArray = columns["state"][row].copy()
        clock = dict(zip(CLOCK, columns["clock"][row].tolist(), strict=True))
        order = (clock["ring_next"] - clock["ring_count"] + np.arange(clock["ring_count"])) % self._ring
        past = Past(*(columns[f"ring_{name}"][row, order] for name in ("time", "score", "observed", "expected")))
        sensors = None if self._step is None else self._sensors(row)
        watch.give(Lent(past, clock["newest"], clock["age"], sensors, room=0, ticks=clock["ticks"]))
        columns["clock"][row, [ROOM, TICKS]] = clock["room"] - clock["ticks"], 0
        if not keep:
            self._columns.give_back(row)
        return state

    def drop(self, row: int) -> None:
        """The vehicle is forgotten."""
        self._columns.give_back(row)

    def _sensors(self, row: int) -> SensorRow:
        columns = self._columns.arrays
        unfinished, clock = None, columns["clock"][row].copy()
        if columns["filled"][row]:
            at = np.array([row])
            tallies = columns["tallies"][at].astype(np.int64)  # they become times
            present, plausible, outside, departed = (tallies[:, place] for place in range(4))
            unfinished = Bins(
                clock[[BEGIN]], clock[[END]], clock[[TRIP]], present, plausible, outside, departed,
                columns["moved"][at], columns["worst"][at], columns["value"][at],
            )  # fmt: skip
        last, counted = int(clock[LAST]), int(clock[COUNTED])
        return SensorRow(columns["numbers"][row], columns["value"][row], unfinished, last, counted)

    def run(self, rows: Rows, time: TimeArray, trip: TimeArray, values: FloatArray) -> Calm:
        """Run T ticks of B vehicles: ``time`` ``[T, B]``, ``values`` ``[T, B, F]``, each vehicle's of one ``trip``
        ``[B]``. What is not taken has changed nothing."""
        columns, of = self._columns.arrays, self._columns.of
        after, scores = self._detector.run_batch(of("state", rows), values)
        scores = self._weigh(scores)
        clock, count = of("clock", rows), len(time)
        taken: BoolArray = (clock[:, TRIP] == trip) & (time[0] > clock[:, NEWEST])
        taken &= clock[:, TICKS] + count <= clock[:, ROOM]
        over = scores.score >= ALARM_LEVEL
        if any_of(over):
            taken &= ~over.any(axis=0)
        side = self._advanced(rows, clock, time, values)
        if side is not None:
            taken &= side.sound
        whole = all_of(taken)
        chosen: Any = slice(None) if whole else taken
        at = place_of(rows if whole else rows[taken])
        columns["state"][at] = after[chosen]
        self._remember(rows[chosen], clock[chosen, RING_NEXT], time[:, chosen], values[:, chosen], scores, chosen)
        clock[:, NEWEST] = time[-1]
        clock[:, AGE] += count
        clock[:, TICKS] += count
        clock[:, RING_NEXT] = (clock[:, RING_NEXT] + count) % self._ring
        clock[:, RING_COUNT] = np.minimum(clock[:, RING_COUNT] + count, self._ring)
        columns["clock"][at] = clock[chosen]
        if side is not None:
            for name in SENSORS:
                columns[name][at] = getattr(side, name)[chosen]
        return Calm(scores, taken)

    def run_one(self, row: int, time: int, trip: int, values: FloatArray) -> Scores | Answer | None:
        """`run` of one tick of one vehicle, ``values`` ``[F]``, in its row, which costs less than arrays of one row;
        scores ``[1, 1, ...]``. An answer of the graph, or None: the tick is not taken, and has changed nothing."""
        columns = self._columns.arrays
        clock: list[int] = columns["clock"][row].tolist()
        if clock[TRIP] != trip or time <= clock[NEWEST] or clock[TICKS] >= clock[ROOM]:
            return None
        state = columns["state"][row]
        after, said = self._detector.run_batch(state[None], values[None, None])
        scores = self._weigh(said)
        score = scores.score[0, 0]
        if score >= ALARM_LEVEL or not self._advanced_one(row, clock, time, values):
            return Answer(after[0], said)
        state[:] = after[0]
        place = clock[RING_NEXT]
        columns["ring_time"][row, place], columns["ring_score"][row, place] = time, score
        columns["ring_observed"][row, place], columns["ring_expected"][row, place] = values, scores.expected[0, 0]
        clock[NEWEST] = time
        clock[AGE] += 1
        clock[TICKS] += 1
        clock[RING_NEXT] = (place + 1) % self._ring
        clock[RING_COUNT] = min(clock[RING_COUNT] + 1, self._ring)
        columns["clock"][row] = clock
        return scores

    def _advanced_one(self, row: int, clock: list[int], time: int, values: FloatArray) -> bool:
        """Advance the sensors of a vehicle by a tick, unless one is at its limit; their times in ``clock`` move."""
        if self._step is None:
            return True
        arrays = self._columns.arrays
        filled = arrays["filled"].item(row)
        if self._step.closes(filled, clock[BEGIN], time):
            return self._closed_one(row, clock, time, values) or self._advanced_as_many(row, clock, time, values)
        if not filled:
            clock[BEGIN], arrays["filled"][row], arrays["moved"][row] = time, True, False
            arrays["tallies"][row], arrays["worst"][row] = 0, np.nan
        self._step.add_one(arrays["tallies"][row], arrays["moved"][row], arrays["value"][row], values)
        clock[END] = clock[LAST] = time
        return True

    def _closed_one(self, row: int, clock: list[int], time: int, values: FloatArray) -> bool:
        """Advance the sensors of a vehicle by a tick that fills a bin, if all is well in it."""
        assert self._step is not None
        arrays = self._columns.arrays
        if not arrays["filled"].item(row) or self._step.is_passed(True, clock[BEGIN], time):
            return False
        tallies, moved, value = (arrays[name][row].copy() for name in ("tallies", "moved", "value"))
        self._step.add_one(tallies, moved, value, values)
        counted = self._step.counted_one(arrays["numbers"][row], tallies, moved, clock[BEGIN], value)
        if counted is None:
            return False
        arrays["numbers"][row], arrays["tallies"][row], arrays["moved"][row] = counted, tallies, moved
        arrays["value"][row], arrays["filled"][row] = value, False
        clock[END] = clock[LAST] = clock[COUNTED] = time
        return True

    def _advanced_as_many(self, row: int, clock: list[int], time: int, values: FloatArray) -> bool:
        """`_advanced_one` by what is done for many at once."""
        rows, times = np.array([row]), np.array([clock])
        side = self._advanced(rows, times, np.array([[time]]), values[None, None])
        if side is None or not all_of(side.sound):
            return False
        clock[:] = times[0].tolist()
        for name in SENSORS:
            self._columns[name][row] = getattr(side, name)[0]
        return True

    def _advanced(self, rows: Rows, clock: IndexArray, time: TimeArray, values: FloatArray) -> Side | None:
        """The sensors after these ticks; their times in ``clock`` move."""
        if self._step is None:
            return None
        parts: dict[str, Any] = {name: self._columns.of(name, rows) for name in SENSORS}
        parts["tallies"] = parts["tallies"].astype(np.int64)  # they become times
        parts |= {CLOCK[place]: clock[:, place] for place in (BEGIN, END, LAST, COUNTED)}
        side = Side(**parts, sound=np.ones(len(rows), np.bool_))
        for now, row in zip(time, values, strict=True):
            self._step.advance(side, now, row)
        return side

    def _remember(
        self, rows: Rows, first: IndexArray, time: TimeArray, values: FloatArray, scores: Scores, chosen: Any
    ) -> None:
        """Put the newest ticks into the rings, from the place ``first`` on; ``chosen`` of the scores are theirs."""
        columns, count, signals = self._columns.arrays, len(time), values.shape[2]
        part: Any
        if count == 1:
            part, flat = 0, place_of(rows * self._ring + first)
        else:
            newest = np.arange(max(0, count - self._ring), count)
            part, flat = newest, rows * self._ring + (first + newest[:, None]) % self._ring
        columns["ring_time"].reshape(-1)[flat] = time[part]
        columns["ring_score"].reshape(-1)[flat] = scores.score[part][..., chosen]
        columns["ring_observed"].reshape(-1, signals)[flat] = values[part]
        expected = scores.expected[part]
        columns["ring_expected"].reshape(-1, signals)[flat] = expected[..., chosen, :]

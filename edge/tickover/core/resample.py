"""Irregular readings to ticks of a fixed period. Training, replay and the daemon all go through here.

The rules, for one vehicle. They define the result reading by reading; how readings are cut into blocks never matters.

- Tick ``k`` covers ``[k * period, (k + 1) * period)`` of event time; its time is its start.
- The *watermark* is the largest event time seen or advanced to. A tick closes when the watermark reaches its end
  plus ``lateness``. A reading of a closed tick is dropped (``late``), so a reading no more than ``lateness``
  behind the watermark is never late, and the order of arrival inside that window does not matter.
- A reading's key is (signal, time). A repeated key is a ``duplicate``; when the values differ the larger wins and
  it is also a ``conflict``.
- A value outside its signal's plausible range is missing (``out_of_range``; ``not_finite`` when infinite), as if the
  cell were empty, but it is a sign of life: its tick exists, and ``TickBlock.outside`` shows the one furthest out. A
  row with no reading moves the watermark only.
- A tick's value is the last, the mean or the largest of its readings. A signal without a reading in the tick keeps
  its last plausible reading while the tick's start is no more than ``hold_s`` after that reading; else NaN.
- *Gap*: the time between the last reading of one tick and the first of the next that has any. Up to ``gap_limit``
  its empty ticks are emitted, together with the tick that ends it. A longer gap has no ticks and starts a new
  trip: holds are forgotten.
- *Clock*: a reading more than ``gap_limit`` (or ``lateness``, if that is longer) behind the watermark is held until it
  is known whether the clock was put back (``clock_back``: open ticks close, the watermark starts again there, a new
  trip begins) or the reading is ``late``; `tickover.core.arrivals` has the rule, and tells ``repeated`` readings.
- Memory is bounded: at most ``MAX_OPEN_VALUES / F`` times wait in open ticks; readings of further times are dropped
  (``overflow``). A time beyond +-``MAX_TIME`` is dropped (``bad_time``).
"""

from collections import Counter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core import tick_state, windows
from tickover.core.arrivals import MAX_TIME, Arrivals, possible, readings_in
from tickover.core.manifest import Manifest, Signal
from tickover.core.once import once
from tickover.core.open_rows import OpenRows
from tickover.core.outside import OutsideReadings
from tickover.core.tick_columns import NO_TICK, LentTicks, most_open
from tickover.core.tick_state import TickState
from tickover.core.values import (
    SECOND,
    DoubleArray,
    FloatArray,
    Readings,
    TickBlock,
    TimeArray,
)

MAX_OPEN_VALUES: Final = 2**20
"""Values that may wait in one vehicle's open ticks: 8 MiB."""


class _Shared:
    """What the ticks of all vehicles with these signals need: ``names``, the plausible range ``low`` to ``high``
    ``[F]``, how many rows may be open, and the time and values of no ticks."""

    def __init__(self, signals: tuple[Signal, ...]) -> None:
        self.names = tuple(signal.name for signal in signals)
        # Values become float32 for the graph; beyond its range they would turn into infinity there.
        largest = float(np.finfo(np.float32).max)
        self.low: DoubleArray = np.clip([signal.low for signal in signals], -largest, largest)
        self.high: DoubleArray = np.clip([signal.high for signal in signals], -largest, largest)
        self.max_rows = max(1, MAX_OPEN_VALUES // len(signals))
        self.nothing = np.empty(0, np.int64), np.empty((0, len(signals)), np.float32)


class Ticks:
    """One vehicle's readings to ticks; the module's docstring has the rules.

    ``period``, ``gap_limit``, ``lateness`` and ``window`` (how long a repeat is known; 0: not) in microseconds.
    ``counts`` holds readings dropped or repaired, by
    reason; ``signal_counts`` the same by reason and signal, int64 ``[F]``, plus ``missing`` values in ticks.
    """

    __slots__ = (
        *("_arrivals", "_closed", "_grid", "_open", "_outside", "_restart", "_shared", "_watermark", "counts"),
        *("gap_limit", "lateness", "period", "signal_counts", "vehicle"),
    )

    def __init__(
        self,
        vehicle: str,
        signals: tuple[Signal, ...],
        period: int,
        gap_limit: int,
        lateness: int,
        window: int = 0,
    ) -> None:
        self.vehicle = vehicle
        self._shared = once(_Shared, signals)
        self.period, self.gap_limit, self.lateness = period, gap_limit, lateness
        # Within the lateness a reading is only late; a clock that was put back must be behind by more than that.
        self._arrivals = Arrivals(len(signals), max(gap_limit, lateness), self._count, window)
        self.counts: Counter[str] = Counter()
        self.signal_counts: dict[str, windows.IndexArray] = {}
        self._grid = windows.Grid(signals, period, gap_limit)
        self._open = OpenRows(period, len(signals), self._count_repeated)
        self._outside = OutsideReadings(*self.in_range)
        self._watermark: int | None
        self._closed: int
        self._begin()

    @classmethod
    def of(cls, vehicle: str, manifest: Manifest, window: int = 0) -> "Ticks":
        """Ticks as a model's manifest wants them."""
        gap, late = round(manifest.gap_limit_s * SECOND), round(manifest.lateness_s * SECOND)
        return cls(vehicle, manifest.signals, manifest.period, gap, late, window)

    @property
    def names(self) -> tuple[str, ...]:
        """The signals' names, in order."""
        return self._shared.names

    @property
    def _nothing(self) -> TickBlock:
        time, values = self._shared.nothing
        return TickBlock(self.vehicle, time, time, values)

    @property
    def watermark(self) -> int | None:
        """The largest event time seen or advanced to since the clock last started; None before the first."""
        return self._watermark

    @property
    def closed_until(self) -> int | None:
        """All ticks that start before this time are closed; None before the first reading."""
        return None if self._closed == NO_TICK else self._closed * self.period

    @property
    def closes_at(self) -> int:
        """Rows in order, ahead of all before them and before this event time, close no tick; ``NO_TICK``: any may."""
        if self._restart or self._watermark is None:
            return NO_TICK
        first = min(self._open.first_tick, self._watermark // self.period)
        return (first + 1) * self.period + self.lateness

    def add(self, block: Readings) -> TickBlock:
        """Take readings in order of arrival; the ticks that they close, possibly none."""
        time, values = possible(*self._arranged(block), self._count)
        parts: list[TickBlock] = []
        if not len(time):
            return self._nothing
        # Only now, not in `restart`: until a reading comes, open ticks close as ever, when time advances.
        if self._restart:
            self._arrivals.begin()
            parts.append(self._start_anew())
        for step in self._arrivals.add(time, values):
            if step.anew:
                self.counts["clock_back"] += 1
                parts.append(self._start_anew())
            parts += self._take(self._checked(step.time, step.values))
        return self._joined(parts)

    def advance(self, time: int) -> TickBlock:
        """Say that event time has reached ``time`` without a reading; the ticks that this closes."""
        time = min(max(time, -MAX_TIME), MAX_TIME)
        self._arrivals.advance(time)
        self._move_watermark(time)
        return self._close(self._closed)

    def flush(self) -> TickBlock:
        """Close every tick that holds a reading, as at the end of a log."""
        self._arrivals.give_up()
        return self._close_all()

    def _close_all(self) -> TickBlock:
        if len(self._open):
            self._closed = max(self._closed, self._open.last_tick + 1)
        return self._close(self._closed)

    def restart(self) -> None:
        """The next reading starts a new trip whatever its time, and the watermark with it."""
        self._restart = True

    def drop(self) -> None:
        """Nobody needs them any more; what repeats among the open rows is counted."""
        self._open.compact()

    def lend(self) -> LentTicks | None:
        """What `tickover.core.tick_columns` goes on from, until it is given back; None when it cannot."""
        grid, rows = self._grid, self._open.in_order(most_open(self.period, self.lateness))
        plain = self._arrivals.is_plain and self._arrivals.newest == self._watermark and self._outside.is_empty
        if self._restart or self._watermark is None or rows is None or not plain:
            return None
        number = rows[0] // self.period
        if not (number[1:] > number[:-1]).all():
            return None
        last_tick = NO_TICK if grid.last_tick is None else grid.last_tick
        clock = (self._watermark, self._closed, grid.trip, last_tick, grid.last_time)
        return LentTicks(*clock, grid.held_time, grid.held_value, *rows)

    def drop_lent(self) -> None:
        """What was lent is somewhere else, until it is given back."""
        self._grid.hold_nothing()
        self._open.clear()

    def give(self, lent: LentTicks) -> None:
        """Go on from what was lent."""
        grid = self._grid
        self._watermark = self._arrivals.newest = lent.watermark
        self._closed, grid.trip, grid.last_time = lent.closed, lent.trip, lent.last_time
        grid.last_tick = None if lent.last_tick == NO_TICK else lent.last_tick
        grid.held_time, grid.held_value = lent.held_time, lent.held_value
        self._open.hold(lent.open_time, lent.open_values)

    @property
    def in_range(self) -> tuple[DoubleArray, DoubleArray]:
        """The lowest and the highest plausible value of each signal, ``[F]``."""
        return self._shared.low, self._shared.high

    def state(self) -> bytes:
        """All that the next reading's fate depends on; counts are not part of it."""
        grid, arrivals, of_times, of_values = self._grid, self._arrivals, tick_state.of_times, tick_state.of_values
        open_time, open_values = self._open.compact()
        outside_tick, outside_low, outside_high = self._outside.rows()
        return tick_state.encode(
            TickState(
                signals=self.names,
                period=self.period,
                watermark=self._watermark,
                closed=self._closed,
                restart=self._restart,
                trip=grid.trip,
                last_tick=grid.last_tick,
                last_time=grid.last_time,
                held_time=of_times(grid.held_time),
                held_value=of_values(grid.held_value),
                open_time=of_times(open_time),
                open_values=of_values(open_values),
                outside_tick=of_times(outside_tick),
                outside_low=of_values(outside_low),
                outside_high=of_values(outside_high),
                arrivals=b"" if arrivals.is_plain else arrivals.state(),
                seen={number: arrivals.seen.page(number) for number in arrivals.seen.pages},
            )
        )

    def restore(self, state: bytes) -> None:
        """Continue from :meth:`state`; StateError when it is damaged or of other signals or another period."""
        saved, signals = tick_state.decode(state, self.names, self.period), len(self.names)
        held_time, held_value = tick_state.times(saved.held_time), tick_state.values(saved.held_value, signals)
        open_time, outside_tick = tick_state.times(saved.open_time), tick_state.times(saved.outside_tick)
        open_values = tick_state.values(saved.open_values, len(open_time), signals)
        outside = [
            tick_state.values(part, len(outside_tick), signals) for part in (saved.outside_low, saved.outside_high)
        ]
        self._watermark, self._closed, self._restart = saved.watermark, saved.closed, saved.restart
        self._grid.trip, self._grid.last_tick, self._grid.last_time = saved.trip, saved.last_tick, saved.last_time
        self._grid.held_time, self._grid.held_value = held_time, held_value
        self._open.hold(open_time, open_values)
        self._outside.hold(outside_tick, *outside)
        self._arrivals.begin()
        if saved.arrivals:
            self._arrivals.restore(saved.arrivals, saved.seen.get)
        self._arrivals.newest = saved.watermark

    def _begin(self) -> None:
        """Forget clock, holds and open readings; the next reading starts a trip."""
        self._restart = False
        self._watermark = None
        self._closed = NO_TICK
        self._grid.begin()
        self._open.clear()
        self._outside.clear()

    def _count(self, reason: str, by_signal: windows.IndexArray) -> None:
        self.counts[reason] += int(by_signal.sum())
        self.signal_counts[reason] = self.signal_counts.get(reason, 0) + by_signal

    def _count_repeated(self, duplicates: windows.IndexArray, conflicts: windows.IndexArray) -> None:
        self._count("duplicate", duplicates)
        if conflicts.any():
            self._count("conflict", conflicts)

    def _arranged(self, block: Readings) -> tuple[TimeArray, DoubleArray]:
        """The block's columns in this object's order; signals that are not ours are counted and left out."""
        if block.signals == self.names:
            return block.time, block.values
        values = np.full((len(block.time), len(self.names)), np.nan)
        for column, name in enumerate(block.signals):
            if name in self.names:
                values[:, self.names.index(name)] = block.values[:, column]
            else:
                self.counts["not_in_model"] += int(np.count_nonzero(~np.isnan(block.values[:, column])))
        return block.time, values

    def _checked(self, time: TimeArray, values: DoubleArray) -> "_Rows":
        """Make implausible values missing, keeping their row as a sign of life."""
        # Each walk over the values that cannot find anything is left out: most blocks have nothing to refuse.
        missing = np.isnan(values)
        alive: npt.NDArray[np.bool_] = (
            np.logical_not(missing.all(axis=1)) if missing.any() else np.ones(len(time), bool)
        )
        low, high = self.in_range
        bad = (values < low) | (values > high)
        if bad.any():  # NaN compares false, so a missing value is never bad
            infinite = np.isinf(values)
            self._count("not_finite", infinite.sum(axis=0))
            outside = bad & ~infinite
            self._count("out_of_range", outside.sum(axis=0))
            return _Rows(time, np.where(bad, np.nan, values), alive, np.where(outside, values, np.nan))
        return _Rows(time, values, alive)

    def _start_anew(self) -> TickBlock:
        closed = self._close_all()
        self._begin()
        return closed

    def _take(self, rows: "_Rows") -> list[TickBlock]:
        """Accept rows on one running clock, and close what they close."""
        if len(self._open) + len(rows.time) > self._shared.max_rows:
            return self._take_with_care(rows)
        self._accept(rows)
        return [self._close(self._closed)]

    def _take_with_care(self, rows: "_Rows") -> list[TickBlock]:
        """As :meth:`_take` when open ticks may overflow: halves, down to single rows, so that blocks do not matter."""
        self._open.compact()  # repeated times may be all that is too many
        if len(self._open) + len(rows.time) <= self._shared.max_rows:
            return self._take(rows)
        # The limit falls inside this block, and rows before it may close ticks and so make room for rows behind it:
        # halves find where, in few steps, without going row by row.
        if len(rows.time) > 1:
            half = len(rows.time) // 2
            return self._take(rows.part(0, half)) + self._take(rows.part(half, len(rows.time)))
        self._accept_when_full(rows)
        return [self._close(self._closed)]

    def _accept_when_full(self, row: "_Rows") -> None:
        """One row, no room: it may only add to a time that is already open."""
        self._move_watermark(int(row.time[0]))
        if int(row.time[0]) // self.period < self._closed:
            self._count("late", readings_in(row.values))
            return
        if not self._open.join(row.time, row.values):
            self._count("overflow", readings_in(row.values))
        elif row.outside is not None:
            self._outside.add(row.time // self.period, row.outside)

    def _accept(self, rows: "_Rows") -> None:
        """Add rows to the open ticks, leaving out late and silent ones; moves the watermark."""
        keep = rows.alive
        # A reading is late by the watermark as it stood when the reading came, not by the block's last: else the same
        # readings in one block and in many would be late differently.
        if (self._watermark is not None and rows.time[0] < self._watermark) or not windows.in_order(rows.time):
            start = rows.time[0] if self._watermark is None else self._watermark
            # For each row the largest time before it, of the rows in order of arrival and of the blocks before.
            before = np.maximum.accumulate(np.concatenate([[start], rows.time[:-1]]))
            closed = np.maximum((before - self.lateness) // self.period, self._closed)
            keep = self._drop_late(rows, rows.time // self.period < closed)
        elif rows.time[0] // self.period < self._closed:
            keep = self._drop_late(rows, rows.time // self.period < self._closed)
        # Late and silent rows move the watermark too: they show that event time went on.
        self._move_watermark(int(rows.time.max()))
        if not keep.all():
            rows = rows.chosen(keep)
        if len(rows.time):
            self._open.add(rows.time, rows.values)
            if rows.outside is not None:
                self._outside.add(rows.time // self.period, rows.outside)

    def _drop_late(self, rows: "_Rows", late: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Count late readings; which rows to keep."""
        if late.any():
            self._count("late", readings_in(rows.values[late]))
        return rows.alive & ~late

    def _move_watermark(self, time: int) -> None:
        if self._watermark is None or time > self._watermark:
            self._watermark = time
            self._closed = max(self._closed, (time - self.lateness) // self.period)

    def _close(self, limit: int) -> TickBlock:
        """Emit the ticks before tick number ``limit``."""
        if self._open.first_tick >= limit:
            return self._nothing
        return self._emit(*self._open.before(limit))

    def _emit(self, time: TimeArray, values: DoubleArray) -> TickBlock:
        """Closed rows, one per time, in order, at least one, as ticks."""
        tick_time, trip, filled = self._grid.write(time, values)
        missing = np.isnan(filled)
        if missing.any():
            self._count("missing", missing.sum(axis=0))
        outside = self._outside.take(tick_time // self.period)
        return TickBlock(self.vehicle, tick_time, trip, filled.astype(np.float32), outside)

    def _joined(self, parts: list[TickBlock]) -> TickBlock:
        return join([part for part in parts if len(part.time)]) or self._nothing


class _Rows(NamedTuple):
    """Rows on their way in; ``alive`` bool [N]: the row holds a reading, plausible or not. ``outside`` [N, F]: what is
    out of range, and so not among the ``values``; None: nothing."""

    time: TimeArray
    values: DoubleArray
    alive: npt.NDArray[np.bool_]
    outside: DoubleArray | None = None

    def part(self, start: int, end: int) -> "_Rows":
        return self.chosen(slice(start, end))

    def chosen(self, rows: slice | npt.NDArray[np.bool_]) -> "_Rows":
        outside = None if self.outside is None else self.outside[rows]
        return _Rows(self.time[rows], self.values[rows], self.alive[rows], outside)


def back_limit(manifest: Manifest) -> int:
    """A reading further behind the newest than this (microseconds) means that the clock was put back."""
    return round(max(manifest.gap_limit_s, manifest.lateness_s) * SECOND)


def join(parts: list[TickBlock]) -> TickBlock | None:
    """Blocks of one vehicle after one another; None when there is none."""
    if len(parts) <= 1:
        return parts[0] if parts else None
    return TickBlock(
        parts[0].vehicle,
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.trip for part in parts]),
        np.concatenate([part.values for part in parts]),
        _joined_outside(parts),
    )


def _joined_outside(parts: list[TickBlock]) -> FloatArray | None:
    if all(part.outside is None for part in parts):
        return None
    nothing = (np.full_like(part.values, np.nan) if part.outside is None else part.outside for part in parts)
    return np.concatenate(list(nothing))

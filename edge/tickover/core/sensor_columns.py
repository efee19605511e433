"""The sensors of many vehicles side by side, a tick of each at a time, as long as nothing is wrong with them.

The same arithmetic as ``sensor_bins`` and ``sensor_counters`` do for many ticks of one vehicle; both work in integers,
and tests hold them equal. V vehicles, F signals. A vehicle that has a sensor at its limit, a reading out of range or a
new trip is for ``sensors``.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.core.chart_signals import BoolArray
from tickover.core.columns import any_of
from tickover.core.sensor_bins import Binner, Bins, IntArray
from tickover.core.sensor_counters import (
    COUNTERS,
    KINDS,
    MOVES_TO_BE_LIVELY,
    NEVER,
    NOT_YET,
    RECENT_S,
    WORKING,
    Counts,
    up_or_down,
)
from tickover.core.sensor_limits import SensorLimits
from tickover.core.values import SECOND, FloatArray, TimeArray

PLACE: Final = {name: place for place, name in enumerate(COUNTERS)}
TALLIES: Final = ("present", "plausible", "outside", "departed")
"""The counts of a bin, in order."""


class SensorRow(NamedTuple):
    """What `tickover.core.sensors.Sensors` lends: ``numbers`` int64 ``[COUNTERS, F]``, the newest ``value`` ``[F]``,
    the unfinished ``bin``, the times of the ``last`` tick and of the end of what is ``counted``."""

    numbers: IntArray
    value: FloatArray
    bin: Bins | None
    last: int
    counted: int


@dataclass(slots=True)
class Side:
    """The same of V vehicles, a copy to go on with; ``filled`` ``[V]``: there is an unfinished bin, which ``begin`` and
    ``end`` ``[V]`` bound, with the ``tallies`` ``[V, 4, F]``. ``sound`` ``[V]``: no sensor is at its limit."""

    numbers: IntArray
    value: FloatArray
    filled: BoolArray
    begin: TimeArray
    end: TimeArray
    tallies: IntArray
    moved: BoolArray
    worst: FloatArray
    last: TimeArray
    counted: TimeArray
    sound: BoolArray


class SensorStep:
    """Advances a `Side`; ``reported`` bool ``[F]``: the signals whose sensors are reported on."""

    def __init__(self, binner: Binner, limits: SensorLimits, reported: BoolArray) -> None:
        self._binner, self._limits, self._reported = binner, limits, reported
        self._off, self._any_watched = binner.off_constant, binner.watches

    def advance(self, side: Side, time: TimeArray, values: FloatArray) -> None:
        """One tick of each: ``time`` ``[V]``, ``values`` ``[V, F]``, all within the trip."""
        width, period = self._binner.width, self._binner.period
        new = side.begin // width != time // width
        passed = side.filled & new
        if any_of(passed):
            self._close(side, np.flatnonzero(passed))
        fresh = ~side.filled | new
        if any_of(fresh):
            side.begin[fresh], side.filled[fresh], side.moved[fresh] = time[fresh], True, False
            side.tallies[fresh], side.worst[fresh] = 0, np.nan
        self._add(side, values)
        side.end[:] = side.last[:] = time
        full = (time + period) % width == 0
        if any_of(full):
            self._close(side, np.flatnonzero(full))
            side.filled[full] = False

    def _add(self, side: Side, values: FloatArray) -> None:
        missing = np.isnan(values)
        any_missing = any_of(missing)
        value = np.where(missing, side.value, values) if any_missing else values
        # A first value after none is no movement: the sensor may have stood there before.
        side.moved |= (value != side.value) & ~np.isnan(side.value)
        side.tallies[:, :2] += (~missing)[:, None] if any_missing else 1
        if self._any_watched:
            side.tallies[:, 3] += self._off(values)
        side.value[:] = value

    def _close(self, side: Side, rows: npt.NDArray[np.int64]) -> None:
        """The unfinished bins of these vehicles are whole: count them."""
        everyone = len(rows) == len(side.last)
        at = slice(None) if everyone else rows
        counted, counts = counted_on(
            side.numbers[at], side.tallies[at], side.moved[at], side.begin[at], self._binner.width
        )
        present, plausible, outside, departed = (side.tallies[at, place] for place in range(len(TALLIES)))
        bins = Bins(
            side.begin[at], side.end[at], side.begin[at], present, plausible, outside, departed,
            side.moved[at], side.worst[at], side.value[at],
        )  # fmt: skip
        for places in self._limits.over(counts, bins).values():
            side.sound[at] &= ~(places & self._reported).any(axis=-1)
        side.numbers[at] = counted
        side.counted[at] = side.end[at]


def counted_on(
    numbers: IntArray, tallies: IntArray, moved: BoolArray, begin: TimeArray, width: int
) -> tuple[IntArray, Counts]:
    """`sensor_counters.Counters.count` over one bin of each of V vehicles: ``numbers`` ``[V, COUNTERS, F]`` after it.

    ``tallies`` ``[V, 4, F]`` and ``moved`` ``[V, F]`` are of the bins, which began at ``begin`` ``[V]``.
    """
    before = {name: numbers[:, place] for name, place in PLACE.items()}
    present, plausible, outside, departed = (tallies[:, place] for place in range(len(TALLIES)))
    there = (present > 0) | (outside > 0)
    known = there | before["known"].astype(bool)
    moves = before["moves"] + moved
    lively = moves >= MOVES_TO_BE_LIVELY
    quiet = np.where(moved, 0, before["quiet"] + width)
    work = _at_work(there, known, lively & there, quiet < RECENT_S * SECOND)
    counters = {
        "outside": _up_and_down(before["outside"], outside, plausible, width),
        "departed": _up_and_down(before["departed"], departed, present - departed, width),
        "absent": np.where(there, 0, before["absent"] + width * (~there & work)),
        "stood": np.where(moved, 0, before["stood"] + width * ((present > 0) & work)),
    }
    seen = there | (work & before["seen"].astype(bool))
    longest = np.where(moved, np.maximum(before["stood"], before["longest"]), before["longest"])
    since = {kind: before[f"since.{kind}"] for kind in KINDS}
    after: dict[str, IntArray | BoolArray] = {
        **counters,
        **{
            f"since.{kind}": np.where(
                counters[kind] > 0, np.where(since[kind] == NOT_YET, begin[:, None], since[kind]), NOT_YET
            )
            for kind in KINDS
        },
        "quiet": np.minimum(quiet, NEVER),
        "moves": np.minimum(moves, MOVES_TO_BE_LIVELY),
        "known": known,
        "seen": seen,
        "longest": longest,
    }
    counted = np.stack([after[name] for name in COUNTERS], axis=1, dtype=np.int64, casting="unsafe")
    return counted, Counts(counters, seen, lively, longest, begin, since)


def _at_work(there: BoolArray, known: BoolArray, lively: BoolArray, recent: BoolArray) -> BoolArray:
    """`Counters._at_work` of one bin."""
    read, all_ = there.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True)
    come = ((2 * read > all_) | (read == all_ - 1)) & (read >= 1)
    at_work = lively & recent
    moving = at_work.sum(axis=1, keepdims=True) - at_work
    others = lively.sum(axis=1, keepdims=True) - lively
    work: BoolArray = come & (moving >= 1) & (WORKING * moving >= others)
    return work


def _up_and_down(before: IntArray, bad: IntArray, good: IntArray, width: int) -> IntArray:
    """`Counters._up_and_down` of one bin."""
    if not (bad.any() or before.any()):
        return np.zeros_like(before)
    after: IntArray = np.maximum(before + up_or_down(width, bad, good), 0)
    return after

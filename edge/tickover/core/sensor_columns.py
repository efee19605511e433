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
from tickover.core.columns import all_of, any_but_zero, any_of
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
CHANGING: Final = PLACE["longest"]
"""How many numbers of a signal change while it moves: all but the last."""
TALLIES: Final = ("present", "plausible", "outside", "departed")
"""The counts of a bin, in order."""
UNCOUNTED: Final = -(2**62)
"""The end of what is counted before there is any."""


class SensorRow(NamedTuple):
    """What `tickover.core.sensors.Sensors` lends: ``numbers`` int64 ``[COUNTERS, F]``, the newest ``value`` ``[F]``,
    the unfinished ``bin``, the times of the ``last`` tick and of the end of what is ``counted`` (or `UNCOUNTED`)."""

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
        self._moving = _of_moving_signals(len(reported))

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

    def closes(self, filled: bool, begin: int, time: int) -> bool:
        """Whether a tick fills the unfinished bin, which began at ``begin``, or a new one, or comes after it."""
        return (time + self._binner.period) % self._binner.width == 0 or self.is_passed(filled, begin, time)

    def is_passed(self, filled: bool, begin: int, time: int) -> bool:
        """Whether a tick comes after the unfinished bin."""
        width = self._binner.width
        return filled and begin // width != time // width

    def counted_one(
        self, numbers: IntArray, tallies: IntArray, moved: BoolArray, begin: int, value: FloatArray
    ) -> IntArray | None:
        """The ``numbers`` ``[COUNTERS, F]`` of one vehicle after its bin, ``tallies`` ``[4, F]``, is counted; None when
        that is for `advance`: not all is well, or a sensor may be at its limit."""
        if all_of(moved) and numbers[:CHANGING].tobytes() == self._moving:
            return numbers  # one more bin with a movement of every signal changes nothing
        if not _is_all_well(numbers, tallies):
            return None
        counted, counts = _counted_on_all_well(numbers, moved, begin, self._binner.width)
        return None if any_of(self._limits.frozen(counts, value) & self._reported) else counted

    def add_one(self, tallies: IntArray, moved: BoolArray, value: FloatArray, values: FloatArray) -> None:
        """Add a tick of one vehicle to the ``tallies`` ``[4, F]``, ``moved`` ``[F]`` and newest ``value`` ``[F]``,
        in place."""
        missing, newest = np.isnan(values), values
        any_missing = any_of(missing)
        if any_missing:
            newest = np.where(missing, value, values)
        tallies[:2] += ~missing if any_missing else 1
        moved |= (newest != value) & ~np.isnan(value)
        if self._any_watched:
            tallies[3] += self._off(values)
        value[:] = newest

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
    if _is_all_well(numbers, tallies):
        return _counted_on_all_well(numbers, moved, begin[:, None], width)
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


def _of_moving_signals(signals: int) -> bytes:
    """The ``CHANGING`` numbers of signals that are well and move in each bin."""
    settled = {"moves": MOVES_TO_BE_LIVELY, "known": 1, "seen": 1} | {f"since.{kind}": NOT_YET for kind in KINDS}
    return b"".join(np.full(signals, settled.get(name, 0), np.int64).tobytes() for name in COUNTERS[:CHANGING])


def _is_all_well(numbers: IntArray, tallies: IntArray) -> bool:
    """Whether every signal was read, none was out of range or off its constant, and none was before."""
    if any_but_zero(tallies[..., 2:, :]) or any_but_zero(numbers[..., : PLACE["absent"], :]):
        return False
    return all_of(tallies[..., 0, :] > 0)


def _counted_on_all_well(
    numbers: IntArray, moved: BoolArray, begin: IntArray | int, width: int
) -> tuple[IntArray, Counts]:
    """`counted_on` where `_is_all_well`, in a third of the time: ``numbers`` ``[..., COUNTERS, F]``, ``moved``
    ``[..., F]``, ``begin`` ``[..., 1]``."""
    counted, still = numbers.copy(), ~moved
    after = {name: counted[..., place, :] for name, place in PLACE.items()}
    after["absent"][...], after["since.absent"][...] = 0, NOT_YET
    after["known"][...] = after["seen"][...] = 1
    moves = after["moves"]
    moves += moved
    np.minimum(moves, MOVES_TO_BE_LIVELY, out=moves)
    lively = moves == MOVES_TO_BE_LIVELY
    quiet = after["quiet"]
    quiet += width
    quiet *= still
    work = _moves_at_work(lively, lively & (quiet < RECENT_S * SECOND))
    np.minimum(quiet, NEVER, out=quiet)
    stood, longest, since = after["stood"], after["longest"], after["since.stood"]
    np.maximum(longest, stood * moved, out=longest)
    stood += work * width
    stood *= still
    stands = stood > 0
    np.copyto(since, begin, where=stands & (since == NOT_YET))
    np.copyto(since, NOT_YET, where=~stands)
    started = {"stood": numbers[..., PLACE["since.stood"], :]}
    return counted, Counts({"stood": stood}, np.ones_like(moved), lively, longest, np.asarray(begin), started)


def _at_work(there: BoolArray, known: BoolArray, lively: BoolArray, recent: BoolArray) -> BoolArray:
    """`Counters._at_work` of one bin."""
    read, all_ = there.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True)
    come = ((2 * read > all_) | (read == all_ - 1)) & (read >= 1)
    work: BoolArray = come & _moves_at_work(lively, lively & recent)
    return work


def _moves_at_work(lively: BoolArray, at_work: BoolArray) -> BoolArray:
    """Whether enough of each signal's companions moved."""
    moving = np.add.reduce(at_work, axis=-1, keepdims=True, dtype=np.int64) - at_work
    others = np.add.reduce(lively, axis=-1, keepdims=True, dtype=np.int64) - lively
    work: BoolArray = (moving >= 1) & (WORKING * moving >= others)
    return work


def _up_and_down(before: IntArray, bad: IntArray, good: IntArray, width: int) -> IntArray:
    """`Counters._up_and_down` of one bin."""
    if not (bad.any() or before.any()):
        return np.zeros_like(before)
    after: IntArray = np.maximum(before + up_or_down(width, bad, good), 0)
    return after

"""For how long each sensor has looked faulty, bin by bin, and whether its companions show that the vehicle is at work.

A counter is a time in microseconds. ``outside`` and ``departed`` rise with the ticks out of range (off the constant)
and fall, ``OUTWEIGH`` times slower and not below 0, with those that are not; both start anew with a trip. ``absent``
rises while the signal is missing, ``stood`` while it is there and does not move; a reading (a movement) takes them back
to 0, and they hold while the companions do not show that the vehicle is at work: with the ignition off, in a parked
vehicle, or when all signals are missing at once, nobody can know. Training measures the same counters on trips without
faults.
"""

from functools import cache
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.sensor_bins import Bins, IntArray, packed, unpacked
from tickover.core.values import SECOND
from tickover.errors import StateError

RECENT_S: Final = 60
"""A companion that moved within this time is at work."""
WORKING: Final = 2
"""One in so many of the companions that are there must be at work."""
MOVES_TO_BE_LIVELY: Final = 3
"""A signal that moved in fewer bins of the vehicle's life shows nothing by standing still."""
OUTWEIGH: Final = 9
"""So many sound readings outweigh a faulty one: a loose contact, or a lamp that flashes, is faulty some of the time."""
UNSTEADY: Final = 5
"""A bin that has both counts one part in so many more as faulty: a sound signal does not change sides, and a loose
contact that is faulty two times in ten is found within a minute."""
NEVER: Final = 2**40
"""Microseconds since a movement that never was: longer than RECENT_S, small enough to be added to."""
NOT_YET: Final = -(2**62)
"""An event time before all others."""
KINDS: Final = ("outside", "departed", "absent", "stood")
COUNTERS: Final = (*KINDS, *(f"since.{kind}" for kind in KINDS), "quiet", "moves", "known", "seen", "longest")
"""All that is counted of a signal."""


class CounterState(msgspec.Struct, frozen=True, array_like=True):
    """What :meth:`Counters.state` saves: int64 ``[F]`` as little-endian bytes (`packed`)."""

    arrays: dict[str, bytes]


class Counts(NamedTuple):
    """The ``counters`` by kind after each of K bins, ``[K, F]`` each.

    ``seen`` says whether the signal was read in this trip and since the vehicle was last not at work; ``lively``
    whether it moves at all; ``longest`` how long it ever stood still before it moved. All ``[K, F]``. ``time`` ``[K]``
    is that of the bins; ``since`` by kind ``[F]``: since when a counter that was above 0 before them was so, else
    ``NOT_YET``.
    """

    counters: dict[str, IntArray]
    seen: BoolArray
    lively: BoolArray
    longest: IntArray
    time: IntArray
    since: dict[str, IntArray]

    def began(self, kind: str, row: int, column: int) -> int:
        """Since when a counter that is above 0 in a bin has been so, event time."""
        zeros = np.flatnonzero(self.counters[kind][: row + 1, column] == 0)
        if len(zeros):
            return int(self.time[zeros[-1] + 1])
        before = int(self.since[kind][column])
        return int(self.time[0]) if before == NOT_YET else before


class Counters:
    """Those of one vehicle's F signals; ``width`` is that of a bin, microseconds."""

    __slots__ = ("_f", "_state", "_width")

    def __init__(self, signals: int, width: int) -> None:
        self._width = width
        self._f = signals
        self._state = _fresh(signals)

    def begin_trip(self) -> None:
        """What a trip ends with says nothing about the next."""
        for kind in ("outside", "departed"):
            self._start_anew(kind)
        self._state = self._state | {"seen": np.zeros(self._f, np.int64), "quiet": np.full(self._f, NEVER, np.int64)}

    def copy(self) -> "Counters":
        """The same counters, to go on from twice; arrays and tables are never written to."""
        twin = Counters(self._f, self._width)
        twin._state = self._state
        return twin

    def clear(self, kind: str, column: int) -> None:
        """A counter starts anew, as after an episode."""
        for name, start in ((kind, 0), (f"since.{kind}", NOT_YET)):
            counter = self._state[name].copy()
            counter[column] = start
            self._state = self._state | {name: counter}

    def forget_times(self) -> None:
        """The clock was put back: all counters start anew."""
        for kind in KINDS:
            self._start_anew(kind)

    def count(self, bins: Bins) -> Counts:
        """Go on over bins of one trip."""
        self._state = dict(self._state)  # from here on it is written to
        there = (bins.present > 0) | (bins.outside > 0)
        work = self._at_work(bins, there)
        counters = {
            "outside": self._up_and_down("outside", bins.outside, bins.plausible),
            "departed": self._up_and_down("departed", bins.departed, bins.present - bins.departed),
            "absent": self._up_or_reset("absent", ~there & work, there),
            "stood": self._up_or_reset("stood", (bins.present > 0) & ~bins.moved & work, bins.moved),
        }
        seen = self._seen(there, work)
        lively = self._state["moves"] + np.cumsum(bins.moved, axis=0) >= MOVES_TO_BE_LIVELY
        stood = np.concatenate([self._state["stood"][None], counters["stood"]])
        natural = np.maximum.accumulate(np.where(bins.moved, stood[:-1], 0))
        longest = np.maximum(natural, self._state["longest"])
        # Where a counter is 0 nothing is remembered of when it began.
        since = {kind: self._state[f"since.{kind}"] for kind in KINDS}
        counts = Counts(counters, seen, lively, longest, bins.time, since)
        self._remember(counts, bins)
        return counts

    def lend(self) -> IntArray:
        """All of them, int64 ``[COUNTERS, F]``."""
        return np.stack([self._state[name] for name in COUNTERS])

    def drop(self) -> None:
        """Forget them all, until `give`."""
        self._state = _NOTHING

    def give(self, numbers: IntArray) -> None:
        """Go on from what was lent."""
        self._state = dict(zip(COUNTERS, numbers.copy(), strict=True))

    def state(self) -> bytes:
        """All that the next bin's fate depends on."""
        return msgspec.msgpack.encode(
            CounterState({name: packed(array.astype("<i8")) for name, array in self._state.items()})
        )

    def restore(self, state: bytes) -> None:
        """Continue from :meth:`state`; StateError when damaged."""
        try:
            arrays = msgspec.msgpack.decode(state, type=CounterState).arrays
            found = {name: unpacked(part, "<i8", self._f).astype(np.int64) for name, part in arrays.items()}
        except (msgspec.MsgspecError, ValueError) as error:
            raise StateError(f"state of sensors: damaged: {error}") from error
        if found.keys() != self._state.keys() or any(len(array) != self._f for array in found.values()):
            raise StateError(f"state of sensors: damaged: expected {len(self._state)} counters of {self._f} signals")
        self._state = found

    def _start_anew(self, kind: str) -> None:
        fresh, names = _fresh(self._f), (kind, f"since.{kind}")
        self._state = self._state | {name: fresh[name] for name in names}

    def _at_work(self, bins: Bins, there: BoolArray) -> BoolArray:
        """Whether each signal's companions, the other signals, show that the vehicle is at work, ``[K, F]``.

        Of all signals ever read more than half are there, or all but one; and of the lively ones that are there,
        other than the signal itself, one in ``WORKING`` and one at least moved within ``RECENT_S``. A source that
        falls silent takes many of its signals along, and what goes on with the ignition off (a battery's voltage, the
        outside temperature) is little.
        """
        known = np.logical_or.accumulate(there) | self._state["known"].astype(bool)
        moves = self._state["moves"] + np.cumsum(bins.moved, axis=0)
        lively = (moves >= MOVES_TO_BE_LIVELY) & there
        recent = lively & (self._quiet(bins.moved) < RECENT_S * SECOND)

        def others(flags: BoolArray) -> IntArray:
            number: IntArray = flags.sum(axis=1, keepdims=True, dtype=np.int64) - flags
            return number

        read, all_ = there.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True)
        come = ((2 * read > all_) | (read == all_ - 1)) & (read >= 1)
        moving = others(recent)
        work = (moving >= 1) & (WORKING * moving >= others(lively))
        at_work: BoolArray = come & work
        return at_work

    def _seen(self, there: BoolArray, work: BoolArray) -> BoolArray:
        """Whether each signal was read since the vehicle was last not at work, ``[K, F]``."""
        row = np.arange(len(there))[:, None]
        read = np.maximum.accumulate(np.where(there, row, -1))
        rest = np.maximum.accumulate(np.where(work | there, -1, row))
        seen: BoolArray = (read > rest) | ((read == rest) & self._state["seen"].astype(bool))
        return seen

    def _quiet(self, moved: BoolArray) -> IntArray:
        """Microseconds since each signal's newest bin with a movement, ``[K, F]``, 0 in that bin."""
        step = np.full(moved.shape, self._width, np.int64)
        quiet = _reset_sum(self._state["quiet"], step, moved)
        self._state["quiet"] = np.minimum(quiet[-1], NEVER)
        return quiet

    def _up_and_down(self, kind: str, bad: IntArray, good: IntArray) -> IntArray:
        """Lindley's recursion ``max(0, c + step)``."""
        before = self._state[kind]
        if not (bad.any() or before.any()):
            return np.zeros_like(bad)
        total = before + np.cumsum(up_or_down(self._width, bad, good), axis=0)
        above: IntArray = total - np.minimum(np.minimum.accumulate(total), 0)
        return above

    def _up_or_reset(self, kind: str, up: BoolArray, reset: BoolArray) -> IntArray:
        return _reset_sum(self._state[kind], np.where(up, self._width, 0), reset)

    def _remember(self, counts: Counts, bins: Bins) -> None:
        for kind, counter in counts.counters.items():
            began = _fresh(self._f)["since.outside"]
            if counter[-1].any():
                zero = counter == 0
                after = np.minimum(len(counter) - np.argmax(zero[::-1], axis=0), len(counter) - 1)
                earlier = np.where(counts.since[kind] == NOT_YET, bins.time[0], counts.since[kind])
                began = np.where(zero.any(axis=0), bins.time[after], earlier)
                began = np.where(counter[-1] > 0, began, NOT_YET)
            # A view of the last bin would keep those of all bins alive.
            self._state |= {kind: counter[-1].copy(), f"since.{kind}": began}
        self._state["seen"] = counts.seen[-1].astype(np.int64)
        there = (bins.present > 0) | (bins.outside > 0)
        self._state["known"] = self._state["known"] | there.any(axis=0)
        self._state["moves"] = np.minimum(self._state["moves"] + bins.moved.sum(axis=0), MOVES_TO_BE_LIVELY)
        self._state["longest"] = counts.longest[-1].copy()


_NOTHING: Final[dict[str, IntArray]] = {}


@cache
def _fresh(signals: int) -> dict[str, IntArray]:
    """The counters of a vehicle that was never seen: all vehicles share them until there is something to count."""
    zero, never = np.zeros(signals, np.int64), np.full(signals, NOT_YET, np.int64)
    state = {**dict.fromkeys(KINDS, zero), **dict.fromkeys((f"since.{kind}" for kind in KINDS), never)}
    state |= {"quiet": np.full(signals, NEVER, np.int64), "moves": zero, "known": zero, "seen": zero, "longest": zero}
    for array in state.values():
        array.flags.writeable = False
    return state


def up_or_down(width: int, bad: IntArray, good: IntArray) -> IntArray:
    """A bin's step: its width times ``(bad - good / OUTWEIGH) / (bad + good)``, by readings that are faulty and sound,
    and ``1 / UNSTEADY`` of it more where it has both."""
    step: IntArray = width * (OUTWEIGH * bad - good) // (OUTWEIGH * np.maximum(bad + good, 1))
    step += width // UNSTEADY * ((bad > 0) & (good > 0))
    return step


def _reset_sum(before: IntArray, step: IntArray, reset: BoolArray) -> IntArray:
    """The running sum of ``step`` ``[K, F]`` from ``before``, 0 at each ``reset``; no step is negative."""
    total = np.cumsum(np.where(reset, 0, step), axis=0)
    base = np.maximum.accumulate(np.where(reset, total, -before))
    since: IntArray = total - base
    return since

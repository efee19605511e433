"""What trips without known faults say of each sensor: what the device would count of them, and limits that are longer.

The counters are the device's own (``sensor_counters``), so that a limit means in a truck what it was measured as. Trips
without faults are not free of them: of several trips the one with the longest counter decides nothing.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from msgspec import UNSET, UnsetType, structs

from tickover.core.chart_signals import BoolArray
from tickover.core.manifest import SensorPolicy, Signal, StandsAt
from tickover.core.sensor_bins import CONSTANT_DIGITS, Binner, IntArray
from tickover.core.sensor_counters import MOVES_TO_BE_LIVELY, Counters
from tickover.core.values import SECOND, DoubleArray, FloatArray, TickBlock

MARGIN: Final = 2.0
"""A limit is so many times the longest that was measured ..."""
CUT_MARGIN: Final = 6.0
"""... and so many times a silence that only the trip's end cut short, as of a lamp that is sent when it changes."""
LEAST_CUT_S: Final = 300.0
"""A shorter one at the end is how vehicles are switched off: sensors stop one after another."""
LEAST_FROZEN_S: Final = 120.0
AT_ONCE_S: Final = 10.0
"""A signal that no trip was without for longer, but for one, comes with the ignition ..."""
UNSEEN_SOON_S: Final = 45.0
"""... and is missed after this."""
UNSEEN_PART: Final = 4
"""A signal that is not read in more than one in so many trips is one that is sent seldom."""
TRIPS_TO_DOUBT: Final = 5
"""Of so many trips or more, the one with the longest counter is left out: it may hold a fault."""
LEAST_CONSTANT_S: Final = 600.0
"""A signal is a constant after so much driving at one value."""
LEAST_CONSTANT_TRIPS: Final = 3
"""And, unless that is 0 (a lamp that is off), in so many trips: in one or two the outside temperature may stand."""


LEVELS: Final = 32
"""A signal's range is cut into so many levels, to see at which of them it stands for long."""
BEYOND: Final = 2
"""So many more levels on either side stand for all that lies beyond the range."""
LEVEL_TRIPS: Final = 5
"""Trips that came by a level before anything is said of it."""
FAR: Final = 4
"""So many levels above all that training saw is where nothing is known to rest: an eighth of the range ..."""
FAR_SOON_S: Final = 45.0
"""... so that a signal that changes slowly, and is there and stands, is called frozen after this."""
SOON_S: Final = 240.0
"""The limit of a level at which a signal always moved on in half of that. None is shorter: on cold days an engine warms
up slowly (150 s at one value where no summer trip had more than 30). Nor is one longer: what stands for long somewhere
in the summer may do so anywhere in the winter (the outside temperature)."""


def with_habits(signals: tuple[Signal, ...], period: int, trips: Iterable[TickBlock]) -> tuple[Signal, ...]:
    """The signals with ``constant``, ``outside_s``, ``stale_s`` and ``frozen_s`` measured on trips, ticks of ``period``
    microseconds. None where the policy's own limit is long enough, and where too little was seen."""
    binner = Binner(signals, period)
    longest: dict[str, list[IntArray]] = {kind: [] for kind in ("outside", "absent", "unseen", "stood")}
    stood: list[tuple[IntArray, FloatArray]] = []
    low, high = np.full(len(signals), np.inf), np.full(len(signals), -np.inf)
    fastest: list[FloatArray] = []
    present, moves, read_in = (np.zeros(len(signals), np.int64) for _ in range(3))
    for trip in trips:
        if not len(trip.time):
            continue
        bins = binner.summarise(trip, binner.starts(trip), np.full(len(signals), np.nan, np.float32))
        counters = Counters(len(signals), binner.width)
        counts = counters.count(bins)
        counter = counts.counters
        longest["outside"].append(counter["outside"].max(axis=0))
        longest["stood"].append(counter["stood"].max(axis=0))
        longest["absent"].append(_silence(np.where(counts.seen, counter["absent"], 0)))
        longest["unseen"].append(_silence(np.where(counts.seen, 0, counter["absent"])))
        stood.append((counter["stood"], np.where(bins.present > 0, bins.value, np.float32(np.nan))))
        low = np.fmin(low, np.fmin.reduce(trip.values, axis=0))
        high = np.fmax(high, np.fmax.reduce(trip.values, axis=0))
        fastest.append(_fastest(bins.value))
        there = bins.present.sum(axis=0)
        present += there
        read_in += there > 0
        moves += bins.moved.sum(axis=0)
    if not longest["stood"]:
        return signals
    policy = SensorPolicy()
    typical = {kind: MARGIN * _typical(found) / SECOND for kind, found in longest.items()}
    # Two trips without a signal are two with a broken sensor; many are how it is sent.
    typical["unseen"] = MARGIN * _typical(longest["unseen"], len(longest["unseen"]) // UNSEEN_PART) / SECOND
    slow = np.sort(np.stack(fastest), axis=0)[-1 - (len(fastest) >= TRIPS_TO_DOUBT)] * LEVELS <= high - low
    at_once = typical["unseen"] <= MARGIN * AT_ONCE_S if len(longest["unseen"]) >= TRIPS_TO_DOUBT else slow & False
    constant = (high - low <= CONSTANT_DIGITS * np.abs(low)) & (present * period >= LEAST_CONSTANT_S * SECOND)
    constant &= (low == 0) | (read_in >= LEAST_CONSTANT_TRIPS)
    measured = []
    for place, signal in enumerate(signals):
        is_constant, is_lively = bool(constant[place]), bool(moves[place] >= MOVES_TO_BE_LIVELY)
        outside, stale, unseen, frozen = (float(typical[kind][place]) for kind in longest)
        frozen = max(frozen, LEAST_FROZEN_S)
        by_level = [(counter[:, place], value[:, place]) for counter, value in stood] if is_lively else []
        measured.append(
            structs.replace(
                signal,
                constant=float(low[place]) if is_constant else None,
                outside_s=outside if outside > policy.outside_s else None,
                stale_s=stale if stale > policy.stale_s else None,
                unseen_s=_unseen_limit(unseen, policy.unseen_s, at_once=bool(at_once[place]))
                if read_in[place]
                else UNSET,
                frozen_s=frozen if is_lively else None,
                frozen_at=_at_levels(by_level, float(low[place]), float(high[place]), frozen, slow[place]) or UNSET,
            )
        )
    return tuple(measured)


def _silence(counter: IntArray) -> IntArray:
    """The longest of a trip's silences ``[K, F]``, ``[F]``; one that its end cut short counts for more."""
    cut = np.where(counter[-1] >= LEAST_CUT_S * SECOND, CUT_MARGIN / MARGIN * counter[-1], 0).astype(np.int64)
    found: IntArray = np.maximum(counter.max(axis=0), cut)
    return found


def _typical(found: list[IntArray], doubted: int = 0) -> IntArray:
    """Each signal's longest counter, of all trips or of all but the longest, at least ``doubted`` of them, ``[F]``."""
    ordered = np.sort(np.stack(found), axis=0)
    typical: IntArray = ordered[-1 - max(doubted, len(ordered) >= TRIPS_TO_DOUBT)]
    return typical


def _fastest(value: FloatArray) -> FloatArray:
    """By how much each signal changed at most from one bin of a trip to the next ``[F]``; ``value`` ``[K, F]``."""
    change = np.abs(np.diff(value, axis=0, prepend=value[:1]))
    found: FloatArray = np.where(np.isfinite(change), change, 0.0).max(axis=0)
    return found


def _unseen_limit(measured: float, usual: float, *, at_once: bool) -> float | UnsetType:
    """A signal's own ``unseen_s``: longer than the policy's where it was measured so, short where it always came
    ``at_once``."""
    if at_once:
        return UNSEEN_SOON_S
    return measured if measured > usual else UNSET


def _at_levels(
    trips: list[tuple[IntArray, FloatArray]], low: float, high: float, frozen_s: float, is_slow: bool
) -> tuple[StandsAt, ...]:
    """Where a signal between ``low`` and ``high`` never stood for nearly as long as elsewhere; ``trips``: its counter
    and its value in each bin ``[K]``. Empty where all levels are alike.
    """
    if not high > low or frozen_s <= SOON_S:
        return ()
    step = (high - low) / LEVELS
    edges = low + step * np.arange(-BEYOND, LEVELS + BEYOND)
    longest, seen = (np.zeros((len(trips), len(edges)), np.int64) for _ in range(2))
    for row, (counter, value) in enumerate(trips):
        there = np.isfinite(value)
        # The highest value is of the highest level, and not beyond it.
        level = np.minimum(np.searchsorted(edges, value[there], "right") - 1, BEYOND + LEVELS - 1)
        np.maximum.at(longest[row], level, counter[there])
        seen[row, level] = 1
    known: BoolArray = seen.sum(axis=0) >= LEVEL_TRIPS
    if not known.any():
        return ()
    usual = MARGIN * _of_levels(np.sort(longest, axis=0)[-2], known)
    limits = np.where(usual <= SOON_S * SECOND, SOON_S, frozen_s).tolist()
    steps = [place for place, limit in enumerate(limits) if not place or limit != limits[place - 1]]
    if min(limits) >= frozen_s:
        return ()
    found = [StandsAt(above=float(edges[place]), frozen_s=limits[place]) for place in steps]
    # Below, all is otherwise: a cold engine stands for minutes where no summer trip was.
    if is_slow and limits[-1] == SOON_S and _moves_on(longest, known):
        found.append(StandsAt(above=high + FAR * step, frozen_s=FAR_SOON_S))
    return tuple(found)


def _moves_on(longest: IntArray, known: BoolArray) -> bool:
    """Whether a signal always moves on soon at the highest level that is known; ``longest`` ``[trips, levels]``."""
    top = np.flatnonzero(known)[-1]
    return bool(MARGIN * np.sort(longest[:, top])[-2] <= LEAST_FROZEN_S * SECOND)


def _of_levels(longest: IntArray, known: BoolArray) -> DoubleArray:
    """For how long a signal stands at each level.

    A known level counts as the highest of itself and the known ones beside it, an unknown one as the nearest known.
    Well beyond an outermost known one at which the signal always moves on soon, that one alone says what is usual: what
    is beside it lies the other way.
    """
    counted = np.where(known, longest, 0)
    beside = np.maximum(counted, np.maximum(np.append(counted[1:], 0), np.append(0, counted[:-1])))
    places, level = np.flatnonzero(known), np.arange(len(known))
    nearest = places[np.abs(level[:, None] - places).argmin(axis=1)]
    beyond = (level <= places[0] - BEYOND) | (level >= places[-1] + BEYOND)
    beyond &= MARGIN * counted[nearest] <= LEAST_FROZEN_S * SECOND
    found: DoubleArray = np.where(beyond, counted[nearest], beside[nearest]).astype(np.float64)
    return found

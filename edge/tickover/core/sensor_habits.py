"""What trips without known faults say of each sensor: what the device would count of them, and limits that are longer.

The counters are the device's own (``sensor_counters``), so that a limit means in a truck what it was measured as. Trips
without faults are not free of them: of several trips the one with the longest counter decides nothing.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from msgspec import structs

from tickover.core.manifest import SensorPolicy, Signal
from tickover.core.sensor_bins import CONSTANT_DIGITS, Binner, IntArray
from tickover.core.sensor_counters import MOVES_TO_BE_LIVELY, Counters
from tickover.core.values import SECOND, TickBlock

MARGIN: Final = 2.0
"""A limit is so many times the longest that was measured."""
LEAST_FROZEN_S: Final = 120.0
TRIPS_TO_DOUBT: Final = 5
"""Of so many trips or more, the one with the longest counter is left out: it may hold a fault."""
LEAST_CONSTANT_S: Final = 600.0
"""A signal is a constant after so much driving at one value."""
LEAST_CONSTANT_TRIPS: Final = 3
"""And, unless that is 0 (a lamp that is off), in so many trips: in one or two the outside temperature may stand."""


def with_habits(signals: tuple[Signal, ...], period: int, trips: Iterable[TickBlock]) -> tuple[Signal, ...]:
    """The signals with ``constant``, ``outside_s``, ``stale_s`` and ``frozen_s`` measured on trips, ticks of ``period``
    microseconds. None where the policy's own limit is long enough, and where too little was seen."""
    binner = Binner(signals, period)
    longest: dict[str, list[IntArray]] = {kind: [] for kind in ("outside", "absent", "stood")}
    low, high = np.full(len(signals), np.inf), np.full(len(signals), -np.inf)
    present, moves, read_in = (np.zeros(len(signals), np.int64) for _ in range(3))
    for trip in trips:
        if not len(trip.time):
            continue
        bins = binner.summarise(trip, binner.starts(trip), np.full(len(signals), np.nan, np.float32))
        counters = Counters(len(signals), binner.width)
        counts = counters.count(bins)
        for kind, found in longest.items():
            counter = counts.counters[kind]
            found.append((np.where(counts.seen, counter, 0) if kind == "absent" else counter).max(axis=0))
        low = np.fmin(low, np.fmin.reduce(trip.values, axis=0))
        high = np.fmax(high, np.fmax.reduce(trip.values, axis=0))
        there = bins.present.sum(axis=0)
        present += there
        read_in += there > 0
        moves += bins.moved.sum(axis=0)
    if not longest["stood"]:
        return signals
    policy = SensorPolicy()
    typical = {kind: MARGIN * _typical(found) / SECOND for kind, found in longest.items()}
    constant = (high - low <= CONSTANT_DIGITS * np.abs(low)) & (present * period >= LEAST_CONSTANT_S * SECOND)
    constant &= (low == 0) | (read_in >= LEAST_CONSTANT_TRIPS)
    measured = []
    for place, signal in enumerate(signals):
        is_constant, is_lively = bool(constant[place]), bool(moves[place] >= MOVES_TO_BE_LIVELY)
        outside, stale, frozen = (float(typical[kind][place]) for kind in ("outside", "absent", "stood"))
        measured.append(
            structs.replace(
                signal,
                constant=float(low[place]) if is_constant else None,
                outside_s=outside if outside > policy.outside_s else None,
                stale_s=stale if stale > policy.stale_s else None,
                frozen_s=max(frozen, LEAST_FROZEN_S) if is_lively else None,
            )
        )
    return tuple(measured)


def _typical(found: list[IntArray]) -> IntArray:
    """Each signal's longest counter, of all trips or of all but the longest, ``[F]``."""
    ordered = np.sort(np.stack(found), axis=0)
    typical: IntArray = ordered[-2] if len(ordered) >= TRIPS_TO_DOUBT else ordered[-1]
    return typical

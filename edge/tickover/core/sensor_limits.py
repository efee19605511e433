"""How long a sensor may look faulty before it is called so, and how bad that is then."""

from typing import Final

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.columns import any_of
from tickover.core.frozen_limits import FrozenLimits
from tickover.core.manifest import EpisodePolicy, Manifest, SensorKind, SensorPolicy
from tickover.core.sensor_bins import Binner, Bins, IntArray
from tickover.core.sensor_counters import Counts
from tickover.core.values import SECOND, FloatArray

COUNTER: Final[dict[SensorKind, str]] = {
    "out_of_range": "outside",
    "no_data": "absent",
    "frozen": "stood",
    "departed_constant": "departed",
}
"""The counter of each kind."""
LONGER: Final = 60
"""Without a limit from training, a signal must stand so many times longer than it ever did on this vehicle."""
LARGEST_LEVEL: Final = 1e6
AT_LIMIT: Final = 1.0
"""The level of a kind that has no magnitude."""


class SensorLimits:
    """Limits in microseconds ``[F]``: a signal's own from training, else the policy's."""

    def __init__(self, manifest: Manifest, policy: EpisodePolicy, sensors: SensorPolicy, binner: Binner) -> None:
        signals = manifest.signals
        self._kinds, self._policy, self._binner = sensors.kinds, policy, binner
        # One reading decides nothing, however slow the ticks.
        least = 2 * manifest.period

        def limits(own: list[float | None], default: float) -> IntArray:
            chosen = [default if number is None else number for number in own]
            return np.array([max(round(number * SECOND), least) for number in chosen], np.int64)

        self._outside = limits([signal.outside_s for signal in signals], sensors.outside_s)
        self._departed = limits([None] * len(signals), sensors.departed_s)
        self._stale = limits([signal.stale_s for signal in signals], sensors.stale_s)
        # Whoever raised the policy's limit means each signal.
        least_s = sensors.unseen_s if sensors.unseen_s > SensorPolicy().unseen_s else 0.0
        own = [max(one.unseen_s, least_s) if one.unseen_s else None for one in signals]
        unseen = limits(own, sensors.unseen_s)
        self._unseen = np.maximum(self._stale, unseen)
        self._frozen = FrozenLimits(signals, round(sensors.frozen_s * SECOND), least)
        self._trained = np.array([signal.frozen_s is not None for signal in signals], np.bool_)
        self._constant = np.array([signal.constant is not None for signal in signals], np.bool_)
        self._edge = np.array([max(policy.major_level, _reach(manifest, name)) for name in manifest.names])

    def over(self, counts: Counts, bins: Bins) -> dict[SensorKind, BoolArray]:
        """By kind, where the counters are at their limits, ``[K, F]``; kinds that are nowhere are left out.

        A counter that is not given is 0 everywhere.
        """
        counters, found = counts.counters, {}
        for kind in self._kinds:
            counter = counters.get(COUNTER[kind])
            if counter is not None and counter.any() and (places := self._over(kind, counter, counts, bins)).any():
                found[kind] = places
        return found

    def is_gone(self, column: int, counts: Counts, row: int) -> bool:
        """Whether a signal has been missing for so long that nothing else can be said of it."""
        limit = self._stale if counts.seen[row, column] else self._unseen
        return bool(counts.counters["absent"][row, column] >= limit[column])

    def level(self, kind: SensorKind, column: int, bins: Bins, row: int) -> float:
        """How bad a bin is, as a score.

        A reading out of range is at least as bad as the signal's own charts can say of one that is just inside: a
        larger fault is never told as a smaller one. From there it grows with the distance, in widths of the range.
        """
        if kind == "out_of_range":
            beyond = float(self._binner.excess(bins.worst[row])[column])
            return float(min(self._edge[column] * (1.0 + beyond), LARGEST_LEVEL))
        return self._policy.major_level if kind == "departed_constant" else AT_LIMIT

    def _over(self, kind: SensorKind, counter: IntArray, counts: Counts, bins: Bins) -> BoolArray:
        if kind == "out_of_range":
            return np.asarray(counter >= self._outside)
        if kind == "departed_constant":
            return np.asarray((counter >= self._departed) & self._constant)
        if kind == "no_data":
            # Some sensors say nothing before they are warm: what follows a rest is judged by the longer limit.
            return np.asarray(counter >= np.where(counts.seen, self._stale, self._unseen))
        return self._stands_too_long(counter, counts, bins.value)

    def frozen(self, counts: Counts, value: FloatArray) -> BoolArray:
        """Where `over` says that a sensor is frozen; ``value`` are the newest values."""
        counter = counts.counters["stood"]
        if "frozen" not in self._kinds:
            return np.zeros(counter.shape, np.bool_)
        return self._stands_too_long(counter, counts, value)

    def _stands_too_long(self, counter: IntArray, counts: Counts, value: FloatArray) -> BoolArray:
        long: BoolArray = counter >= self._frozen.lowest
        if not any_of(long):
            return long
        # A lamp, a gear, a speed of 0 in a queue stand for hours: without a limit from training only a signal that
        # moves often, and is not at rest, is judged.
        learnt = np.maximum(self._frozen.whole, LONGER * counts.longest)
        unknown = (counter >= learnt) & counts.lively & (value != 0)
        return np.where(self._trained, counter >= self._frozen.at(value), unknown) & ~self._constant


def usual_silences(manifest: Manifest) -> dict[str, int]:
    """For how long a signal may be silent that was seldom sent in training, microseconds."""
    usual = SensorPolicy().unseen_s  # a shorter one of its own says that it was never sent late
    longest = {
        one.name: max(one.stale_s or 0.0, one.unseen_s if one.unseen_s and one.unseen_s > usual else 0.0)
        for one in manifest.signals
    }
    return {one.name: round((one.hold_s + longest[one.name]) * SECOND) for one in manifest.signals if longest[one.name]}


def _reach(manifest: Manifest, signal: str) -> float:
    """The highest level that a chart of the signal can reach."""
    charts = (chart for chart in manifest.charts if signal in chart.signals and chart.limit is not None)
    return max((chart.bound / chart.limit for chart in charts if chart.limit), default=0.0)

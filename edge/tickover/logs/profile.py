"""Robust figures of recorded signals: rates, ranges, outliers, and the rules proposed from them.

An *outlier* here is a short excursion far beyond the values that last: it tells where a plausible range ends, and is
missing under that range. What ``tickover evaluate`` calls a *glitch* is another thing: a jump away from the value just
before and back, which may lie within the range.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import SECOND, FloatArray, TimeArray

LASTING_S: Final = 60.0
"""Values between two jumps last when the jumps are at least this far apart, seconds."""
JUMP_QUANTILE: Final = 0.9
"""A jump is a change larger than this quantile of the signal's changes."""
USUAL: Final = (0.05, 0.95)
"""Quantiles that are usual values, for signals too restless to last anywhere."""
LOG_QUANTILES: Final = (0.2, 0.8)
"""Of many logs, those at the ends may be faulty throughout: the lasting edges are these quantiles of the logs'."""
OUTLIER_SHARE: Final = 0.5
"""Where less of the readings far out than this is in short excursions, the signal behaves so: no outliers."""
OUTLIER_REACH: Final = 1.5
"""How far out at least one outlier must be, in margins: real peaks of a restless signal go a little beyond."""
RANGE_MARGIN: Final = 1.0
"""Where there are outliers, the proposed range ends this many spans beyond the lasting and usual values,"""
OUTLIER_SIDE: Final = 0.5
"""or this part of the way to the nearest outlier, if that is further."""
OPEN_MARGIN: Final = 5.0
"""Where there are none, it ends this many spans beyond all values: a log of one season must not shut out another."""
REPEATS: Final = 3.0
"""A signal whose values change this many times more slowly than the rows come is refreshed more slowly."""
REFRESH_QUANTILE: Final = 0.25
HOLD_QUANTILE: Final = 0.95
HOLD_INTERVALS: Final = 3
NICE: Final = (1.0, 2.0, 5.0, 10.0)
SHOWN_OUTLIERS: Final = 20


@dataclass(frozen=True, slots=True)
class Series:
    """One log of one vehicle: times int64 ``[N]`` and values float32 ``[N, F]``; NaN = no reading."""

    time: TimeArray
    values: FloatArray

    @property
    def seconds(self) -> float:
        """From the first row to the last."""
        return float(self.time[-1] - self.time[0]) / SECOND if len(self.time) else 0.0


@dataclass(frozen=True, slots=True)
class SignalStatistics:
    """What was seen of one signal.

    ``missing``: share of rows without a reading. ``interval_s``: between readings (95 % are shorter);
    ``refresh_s``: between changes (a quarter is shorter). ``lasting_*``: range of the levels that last and of the
    usual values. ``outliers``: short excursions ``RANGE_MARGIN`` outside of that range or further, single readings
    among them, with ``outlier_values`` the extremes of their peaks. ``outside``: readings outside the mapping's range.
    """

    rows: int
    readings: int
    low: float
    median: float
    high: float
    lasting_low: float
    lasting_high: float
    interval_s: float
    refresh_s: float
    outliers: int
    outlier_values: tuple[float, ...]
    outside: int = 0
    values: FloatArray = field(default_factory=lambda: np.empty(0, np.float32), repr=False)

    @property
    def missing(self) -> float:
        """Share of rows without a reading."""
        return 1 - self.readings / self.rows if self.rows else 1.0

    @property
    def empty(self) -> bool:
        """No reading at all."""
        return self.readings == 0

    @property
    def constant(self) -> bool:
        """One value, or none."""
        return self.empty or self.low == self.high

    @property
    def proposed_low(self) -> float:
        """A plausible low end: outliers below are out, and no value of another season."""
        below = [self.lasting_low - peak for peak in self.outlier_values if peak < self.lasting_low]
        if below:
            return _round_outward(
                self.lasting_low - max(self._margin, OUTLIER_SIDE * min(below)), self._margin, down=True
            )
        return _round_outward(self.low - OPEN_MARGIN * self._margin, self._margin, down=True)

    @property
    def proposed_high(self) -> float:
        """A plausible high end: outliers above are out, and no value of another season."""
        above = [peak - self.lasting_high for peak in self.outlier_values if peak > self.lasting_high]
        if above:
            return _round_outward(
                self.lasting_high + max(self._margin, OUTLIER_SIDE * min(above)), self._margin, down=False
            )
        return _round_outward(self.high + OPEN_MARGIN * self._margin, self._margin, down=False)

    @property
    def _margin(self) -> float:
        return _margin(self.lasting_low, self.lasting_high)


def signal_statistics(series: Sequence[Series], index: int, low: float, high: float) -> SignalStatistics:
    """Figures of the signal in column ``index``; ``low`` and ``high`` are the mapping's range for it."""
    pairs = [_readings(one, index) for one in series]
    values = np.concatenate([value for _, value in pairs] or [np.empty(0, np.float32)])
    if not len(values):
        nan = math.nan
        return SignalStatistics(sum(len(one.time) for one in series), 0, nan, nan, nan, nan, nan, nan, nan, 0, ())
    runs = [_runs(time, value) for time, value in pairs]
    lasting_low, lasting_high = _lasting_range(runs, values)
    outliers = _outliers(pairs, lasting_low, lasting_high)
    return with_range(
        SignalStatistics(
            rows=sum(len(one.time) for one in series),
            readings=len(values),
            low=float(values.min()),
            median=float(np.median(values)),
            high=float(values.max()),
            lasting_low=lasting_low,
            lasting_high=lasting_high,
            interval_s=_quantile_of_steps([time for time, _ in pairs], HOLD_QUANTILE),
            refresh_s=_quantile_of_steps([time for time, _ in runs], REFRESH_QUANTILE),
            outliers=len(outliers),
            outlier_values=_extremes(outliers),
            values=values,
        ),
        low,
        high,
    )


def with_range(seen: SignalStatistics, low: float, high: float) -> SignalStatistics:
    """The same, with the readings outside ``low`` to ``high`` counted."""
    return replace(seen, outside=int(((seen.values < low) | (seen.values > high)).sum()))


def row_period(series: Sequence[Series]) -> float:
    """The usual time between rows, seconds; 1 when there are no two rows."""
    steps = np.concatenate([np.diff(one.time) for one in series] or [np.empty(0, np.int64)])
    steps = steps[steps > 0]
    return float(np.median(steps)) / SECOND if len(steps) else 1.0


def tick_period(signals: Sequence[SignalStatistics], rows_s: float) -> float:
    """A round period at which the faster signals have a new value; never shorter than the rows' own."""
    refresh = [seen.refresh_s for seen in signals if not seen.constant and math.isfinite(seen.refresh_s)]
    fastest = float(np.quantile(refresh, REFRESH_QUANTILE, method="lower")) if refresh else rows_s
    return _nice(fastest if fastest > REPEATS * rows_s else rows_s)


def hold_limit(seen: SignalStatistics, period: float) -> float:
    """How long a last value may stand: a few usual intervals between readings, seconds."""
    interval = max(seen.interval_s, period) if math.isfinite(seen.interval_s) else period
    return float(f"{HOLD_INTERVALS * interval:.2g}")


def _readings(one: Series, index: int) -> tuple[TimeArray, FloatArray]:
    value = one.values[:, index]
    there = np.isfinite(value)
    return one.time[there], value[there]


def _runs(time: TimeArray, value: FloatArray) -> tuple[TimeArray, FloatArray]:
    """Only the readings where the value changes: a logger repeats its cells between refreshes."""
    if not len(value):
        return time, value
    new = np.concatenate(([True], value[1:] != value[:-1]))
    return time[new], value[new]


def _lasting_range(runs: Sequence[tuple[TimeArray, FloatArray]], values: FloatArray) -> tuple[float, float]:
    """The range of all values that lasted, and of the usual ones."""
    # What counts as a jump is learnt from the signal itself: the same step is noise in a throttle and a fault in a
    # coolant temperature.
    changes = np.concatenate([np.abs(np.diff(value)) for _, value in runs])
    jump = float(np.quantile(changes, JUMP_QUANTILE)) if len(changes) else 0.0
    lasting = [value[_lasts(time, value, jump)] for time, value in runs]
    edges = np.array([(part.min(), part.max()) for part in lasting if len(part)], np.float64).reshape(-1, 2)
    low, high = (float(edge) for edge in np.quantile(values, USUAL))
    # Each log has one vote on each edge, whatever its length, so that one long faulty log cannot set the range.
    if len(edges):
        low = min(low, float(np.quantile(edges[:, 0], LOG_QUANTILES[0])))
        high = max(high, float(np.quantile(edges[:, 1], LOG_QUANTILES[1])))
    return low, high


def _lasts(time: TimeArray, value: FloatArray, jump: float) -> npt.NDArray[np.bool_]:
    """Which values lie between jumps that are far apart."""
    stretch = np.concatenate(([0], np.cumsum(np.abs(np.diff(value)) > jump))) if len(value) else np.empty(0, np.int64)
    # A stretch lasts until the first reading of the next one: its last value holds until then.
    _, first = np.unique(stretch, return_index=True)
    ends = np.append(time[first[1:]], time[-1:])
    lasts: npt.NDArray[np.bool_] = (ends - time[first] >= LASTING_S * SECOND)[stretch]
    return lasts


def _margin(low: float, high: float) -> float:
    return RANGE_MARGIN * (high - low if high > low else max(abs(high), 1.0))


def _outliers(pairs: Sequence[tuple[TimeArray, FloatArray]], low: float, high: float) -> FloatArray:
    """The peaks of short excursions far out of the lasting range.

    None when most of what is far out lasts, or when no peak is so far out that no real one would be.
    """
    # All excursions are judged together: a signal that spends much time far out, or never goes much further than its
    # margin, behaves so, and a range that removed those readings would hide faults.
    margin, middle = _margin(low, high), (low + high) / 2
    peaks, short, all_of_them = [], 0, 0
    for time, value in pairs:
        for part in _excursions(value, low - margin, high + margin):
            all_of_them += len(value[part])
            if time[part][-1] - time[part][0] <= LASTING_S * SECOND:
                short += len(value[part])
                peaks.append(max(value[part], key=lambda one: abs(one - middle)))
    reach = max((abs(peak - middle) for peak in peaks), default=0.0) - (high - low) / 2
    outliers = reach > OUTLIER_REACH * margin and short > OUTLIER_SHARE * all_of_them
    return np.array(peaks if outliers else [], np.float32)


def _excursions(value: FloatArray, low: float, high: float) -> list[slice]:
    """The stretches of readings outside ``low`` to ``high``."""
    outside = np.concatenate(([False], (value < low) | (value > high), [False]))
    edges = np.flatnonzero(outside[1:] != outside[:-1])
    return [slice(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _extremes(values: FloatArray) -> tuple[float, ...]:
    """The lowest and highest, from the outside in."""
    ordered = np.sort(values)
    half = SHOWN_OUTLIERS // 2
    shown = ordered if len(ordered) <= SHOWN_OUTLIERS else np.concatenate((ordered[:half], ordered[-half:]))
    return tuple(float(value) for value in shown[::-1])


def _quantile_of_steps(times: Sequence[TimeArray], quantile: float) -> float:
    steps = np.concatenate([np.diff(time) for time in times] or [np.empty(0, np.int64)])
    return float(np.quantile(steps, quantile)) / SECOND if len(steps) else math.nan


def _nice(seconds: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten; a millisecond at least."""
    seconds = max(seconds, 1e-3)
    power = 10.0 ** math.floor(math.log10(seconds))
    return float(f"{min((nice * power for nice in NICE), key=lambda nice: abs(math.log(nice / seconds))):.3g}")


def _round_outward(value: float, margin: float, down: bool) -> float:
    """Rounded away from the middle: to two significant digits, for a value near 0 to those of a tenth of the margin."""
    size = max(abs(value), margin / 10)
    if size == 0 or not math.isfinite(size):
        return 0.0
    step = 10.0 ** (math.floor(math.log10(size)) - 1)
    steps = round(value / step, 2)  # a rounding error is not a step further out
    return float(f"{(math.floor if down else math.ceil)(steps) * step:.6g}")

"""Figures of recorded signals: rates, ranges, outliers, and the rules proposed from them.

An *outlier* here is an isolated single reading far from all others (`glitches`): the plausible range that is proposed
leaves it out, and contains every other value. What ``tickover evaluate`` calls a *glitch* is another thing: a jump away
from the value just before and back, which may lie within the range.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from tickover.core.values import SECOND, FloatArray, TimeArray
from tickover.logs.glitches import find_glitches
from tickover.logs.physics import Possible

LASTING_S: Final = 60.0
"""An excursion that is longer is a level that lasts, seconds."""
OPEN_MARGIN: Final = 5.0
"""The proposed range ends this many spans beyond all values: a log of one season must not shut out another."""
LEAST_SPAN: Final = 0.1
"""The span is taken to be at least this part of the largest value: a log may show a small part of what is normal."""
TIMES_HIGHEST: Final = 2.0
"""A quantity that is never negative may be at least so many times the highest value seen."""
OUTLIER_SIDE: Final = 0.5
"""Where there are outliers, the range ends at the latest this part of the way to the nearest."""
REPEATS: Final = 3.0
"""A signal whose values change this many times more slowly than the rows come is refreshed more slowly."""
REFRESH_QUANTILE: Final = 0.25
HOLD_QUANTILE: Final = 0.95
HOLD_INTERVALS: Final = 3
NICE: Final = (1.0, 2.0, 5.0, 10.0)
ROUND_S: Final = (
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.25,
    0.5,
    1,
    2,
    3,
    4,
    5,
    6,
    10,
    12,
    15,
    20,
    30,
    60,
    120,
    180,
    300,
    600,
    900,
    3600,
)
"""Periods that loggers are set to, seconds,"""
ROUND_SHARE: Final = 0.04
"""taken where the rows' own is this near."""
REGULAR_SHARE: Final = 0.6
"""Rows are regular when at least this share of their steps is near the usual one; their period is then kept."""
SHOWN_OUTLIERS: Final = 20


@dataclass(frozen=True, slots=True)
class Series:
    """One log of one vehicle: times int64 ``[N]`` and values float32 ``[N, F]``; NaN = no reading."""

    time: TimeArray
    values: FloatArray

    @property
    def seconds(self) -> float:
        """From the earliest row to the latest."""
        return float(self.time.max() - self.time.min()) / SECOND if len(self.time) else 0.0


@dataclass(frozen=True, slots=True)
class SignalStatistics:
    """What was seen of one signal.

    ``missing``: share of rows without a reading. ``interval_s``: between readings (95 % are shorter);
    ``refresh_s``: between changes (a quarter is shorter). ``lasting_*``: range of all readings that are no outliers.
    ``outliers``: isolated single readings far from all others, with ``outlier_values`` the extremes of them.
    ``outside``: readings outside the mapping's range. ``first``, ``last``: the first and last reading.
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
    first: float = math.nan
    last: float = math.nan
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

    def proposed(self, possible: Possible) -> tuple[float, float]:
        """A plausible range: every value seen but the outliers, those of another season, and what is ``possible``."""
        low, high = self.lasting_low, self.lasting_high
        largest = max(abs(low), abs(high))
        # A constant may be a switch that was never used: its other state is plausible.
        margin = OPEN_MARGIN * max(high - low, LEAST_SPAN * largest, 0.0 if high > low else 1.0)
        below = [low - peak for peak in self.outlier_values if peak < low]
        above = [peak - high for peak in self.outlier_values if peak > high]
        first = low - min([margin, *(OUTLIER_SIDE * gap for gap in below)])
        last = high + min([margin, *(OUTLIER_SIDE * gap for gap in above)])
        if low >= possible.low:
            first = possible.low if possible.to_low and not below else max(first, possible.low)
        if possible.never_negative and not above:
            last = max(last, TIMES_HIGHEST * high, possible.least_high)
        first = first if first == possible.low else _round_outward(first, low, margin, down=True)
        return first, _round_outward(last, high, margin, down=False)


def signal_statistics(series: Sequence[Series], index: int, low: float, high: float) -> SignalStatistics:
    """Figures of the signal in column ``index``; ``low`` and ``high`` are the mapping's range for it."""
    pairs = [_readings(one, index) for one in series]
    values = np.concatenate([value for _, value in pairs] or [np.empty(0, np.float32)])
    if not len(values):
        nan = math.nan
        return SignalStatistics(sum(len(one.time) for one in series), 0, nan, nan, nan, nan, nan, nan, nan, 0, ())
    runs = [_runs(time, value) for time, value in pairs]
    glitches = find_glitches([one.values for one in series], index)
    peaks = np.concatenate([one.values[rows, index] for one, rows in zip(series, glitches, strict=True)])
    rest = np.concatenate([np.delete(one.values[:, index], rows) for one, rows in zip(series, glitches, strict=True)])
    return with_range(
        SignalStatistics(
            rows=sum(len(one.time) for one in series),
            readings=len(values),
            low=float(values.min()),
            median=float(np.median(values)),
            high=float(values.max()),
            lasting_low=float(np.nanmin(rest)),
            lasting_high=float(np.nanmax(rest)),
            interval_s=_quantile_of_steps([time for time, _ in pairs], HOLD_QUANTILE),
            refresh_s=_quantile_of_steps([time for time, _ in runs], REFRESH_QUANTILE),
            outliers=len(peaks),
            outlier_values=_extremes(peaks),
            first=float(values[0]),
            last=float(values[-1]),
            values=values,
        ),
        low,
        high,
    )


def with_range(seen: SignalStatistics, low: float, high: float) -> SignalStatistics:
    """The same, with the readings outside ``low`` to ``high`` counted."""
    return replace(seen, outside=int(((seen.values < low) | (seen.values > high)).sum()))


def widened(seen: SignalStatistics, low: float, high: float) -> SignalStatistics:
    """The same with values seen elsewhere, from ``low`` to ``high``; NaN: none."""
    if seen.empty or not (math.isfinite(low) and math.isfinite(high)):
        return seen
    return replace(
        seen,
        low=min(seen.low, low),
        high=max(seen.high, high),
        lasting_low=min(seen.lasting_low, low),
        lasting_high=max(seen.lasting_high, high),
    )


def row_period(series: Sequence[Series]) -> float:
    """The usual time between rows, seconds; 1 when there are no two rows."""
    steps = np.concatenate([np.diff(one.time) for one in series] or [np.empty(0, np.int64)])
    steps = steps[steps > 0]
    return float(np.median(steps)) / SECOND if len(steps) else 1.0


def tick_period(signals: Sequence[SignalStatistics], series: Sequence[Series]) -> float:
    """The rows' own period, or the slower one at which the faster signals have a new value."""
    rows_s = row_period(series)
    refresh = [seen.refresh_s for seen in signals if not seen.constant and math.isfinite(seen.refresh_s)]
    fastest = float(np.quantile(refresh, REFRESH_QUANTILE, method="lower")) if refresh else rows_s
    if fastest > REPEATS * rows_s:
        return _nice(fastest)
    return _own_period(rows_s, series)


def _own_period(rows_s: float, series: Sequence[Series]) -> float:
    """A period that loggers are set to when the rows' own is near one, or the own one when the rows are regular."""
    near = min(ROUND_S, key=lambda one: abs(math.log(one / max(rows_s, 1e-3))))
    if abs(near - rows_s) <= ROUND_SHARE * near:
        return float(near)
    steps = np.concatenate([np.diff(one.time) for one in series]) / SECOND
    steps = steps[steps > 0]
    regular = len(steps) and float(np.mean(np.abs(steps - rows_s) <= ROUND_SHARE * rows_s)) >= REGULAR_SHARE
    return max(float(f"{rows_s:.3g}"), 1e-3) if regular else _nice(rows_s)


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


def _extremes(values: FloatArray) -> tuple[float, ...]:
    """The lowest and highest, from the outside in."""
    ordered = np.sort(values)
    half = SHOWN_OUTLIERS // 2
    shown = ordered if len(ordered) <= SHOWN_OUTLIERS else np.concatenate((ordered[:half], ordered[-half:]))
    return tuple(float(value) for value in shown[::-1])


def _quantile_of_steps(times: Sequence[TimeArray], quantile: float) -> float:
    steps = np.concatenate([np.diff(time) for time in times] or [np.empty(0, np.int64)])
    if not len(steps):
        return math.nan
    # By hand: numpy's own quantile takes ten times as long for the few values of a log with thousands of columns.
    place = quantile * (len(steps) - 1)
    steps.sort()
    low, part = int(place), place - int(place)
    high = min(low + 1, len(steps) - 1)
    return float(steps[low] + part * (steps[high] - steps[low])) / SECOND


def _nice(seconds: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten; a millisecond at least."""
    seconds = max(seconds, 1e-3)
    power = 10.0 ** math.floor(math.log10(seconds))
    return float(f"{min((nice * power for nice in NICE), key=lambda nice: abs(math.log(nice / seconds))):.3g}")


def _round_outward(value: float, seen: float, margin: float, down: bool) -> float:
    """Rounded away from the values, to two digits of the margin; never to within what was ``seen``."""
    if value == 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(margin)) - 1)
    steps = round(value / step, 2)  # a rounding error is not a step further out
    rounded = float(f"{(math.floor if down else math.ceil)(steps) * step:.12g}")
    inside = rounded > seen if down else rounded < seen
    return value if inside else rounded

"""Isolated glitches: single readings far from all others, which a proposed plausible range may leave out.

Anything that lasts, comes often, or happens while another signal steps too is behaviour of the vehicle, however far out
it is: cranking pulls the battery's voltage down for a second, and full throttle is rare.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import FloatArray

MOST_SHARE: Final = 0.01
MOST_FEW: Final = 3
"""Glitches are few: up to this share of the readings, or this many."""
LONGEST_ROWS: Final = 3
"""A logger repeats its cells: a glitch is one value that stands for at most so many rows."""
BACK_SHARE: Final = 0.25
"""The values before and after it differ by less than this part of the jump."""
REACH: Final = 1.5
"""It lies further from all other values than this many times their span."""
FLAT: Final = 0.5
"""The span is taken to be at least this part of the largest value, and ``UNIT``: steps of a lamp or a gear are none."""
UNIT: Final = 1.0
SHARED_STEP: Final = 6.0
"""Another signal shares it when it steps by this many times its usual step at the same time."""
UNSHARED: Final = 0.8
"""Where fewer of a signal's candidates than this are its own alone, none is a glitch."""

Places = npt.NDArray[np.int64]


def find_glitches(values: Sequence[FloatArray], index: int) -> list[Places]:
    """The rows of each log, ``[N, F]``, in which signal ``index`` has a glitch."""
    columns = [one[:, index] for one in values]
    found = [_spikes(column) for column in columns]
    total = sum(int(np.isfinite(column).sum()) for column in columns)
    number = sum(len(rows) for rows in found)
    if not number or number > max(MOST_FEW, MOST_SHARE * total):
        return [np.empty(0, np.int64) for _ in values]
    found = _far_out(columns, found)
    mine = [~_shared(one, rows, index) for one, rows in zip(values, found, strict=True)]
    number = sum(len(rows) for rows in found)
    if not number or sum(int(own.sum()) for own in mine) < UNSHARED * number:
        return [np.empty(0, np.int64) for _ in values]
    return found


def _spikes(column: FloatArray) -> Places:
    """Rows of values that jump away from those before and after, which agree."""
    rows = np.flatnonzero(np.isfinite(column))
    value = column[rows].astype(np.float64)
    if len(value) < 3:
        return np.empty(0, np.int64)
    starts = np.concatenate(([0], np.flatnonzero(value[1:] != value[:-1]) + 1))
    level = value[starts]
    length = np.diff(np.append(starts, len(value)))
    if len(level) < 3:
        return np.empty(0, np.int64)
    before, here, after = level[:-2], level[1:-1], level[2:]
    jump = np.minimum(np.abs(here - before), np.abs(here - after))
    spike = (np.abs(before - after) < BACK_SHARE * jump) & (length[1:-1] <= LONGEST_ROWS)
    if not spike.any():
        return np.empty(0, np.int64)
    # Only what no usual value reaches can be a glitch: everything within the middle of the values is left at once.
    low, high = np.quantile(value, (0.01, 0.99))
    spike &= (here < low) | (here > high)
    places = [
        np.arange(start, start + size) for start, size in zip(starts[1:-1][spike], length[1:-1][spike], strict=True)
    ]
    return rows[np.concatenate(places)] if places else np.empty(0, np.int64)


def _far_out(columns: Sequence[FloatArray], found: list[Places]) -> list[Places]:
    """Those that lie far from all that is no candidate."""
    rest = [np.delete(column, rows) for column, rows in zip(columns, found, strict=True)]
    whole = np.concatenate(rest)
    whole = whole[np.isfinite(whole)]
    if not len(whole):
        return [np.empty(0, np.int64) for _ in columns]
    low, high = float(whole.min()), float(whole.max())
    span = max(high - low, FLAT * max(abs(low), abs(high)), UNIT)
    return [
        rows[(column[rows] < low - REACH * span) | (column[rows] > high + REACH * span)]
        for column, rows in zip(columns, found, strict=True)
    ]


def _shared(values: FloatArray, rows: Places, index: int) -> npt.NDArray[np.bool_]:
    """Whether another signal steps at these rows, too."""
    if not len(rows) or values.shape[1] < 2:
        return np.zeros(len(rows), np.bool_)
    with np.errstate(invalid="ignore"):
        sample = values[: 1 + 20_000]
        steps = np.abs(np.diff(sample, axis=0))
        usual = np.nansum(steps, axis=0) / np.maximum(np.isfinite(steps).sum(axis=0), 1)
        step = np.zeros((len(rows), values.shape[1]))
        for shift in (0, 1):
            here = np.clip(rows + shift, 1, len(values) - 1)
            step = np.fmax(step, np.abs(values[here] - values[here - 1]))
    step[:, index] = 0
    shared: npt.NDArray[np.bool_] = (step > SHARED_STEP * usual).any(axis=1)
    return shared

"""The exact interval of a Poisson mean, without scipy: a device has none."""

import math
from typing import Final

SUMMED: Final = 100
"""Counts up to this are summed; above, Wilson and Hilferty's formula is right to a thousandth."""
STEPS: Final = 60
"""Newton's; a handful is enough, from counts of 0 at any ``z`` on."""
PRECISE: Final = 1e-15


def interval(count: int, z: float) -> tuple[float, float]:
    """The means for which ``count`` or more, and ``count`` or fewer, events are as unlikely as a normal variable beyond
    ``z`` (Garwood 1936); the low end is 0 without an event."""
    return low_end(count, z), _mean(count, z, _tail(z), upper=True)


def low_end(count: int, z: float) -> float:
    """Where :func:`interval` begins."""
    return _mean(count - 1, z, _tail(z), upper=False) if count else 0.0


def _tail(z: float) -> float:
    """The probability of a normal variable beyond ``z``."""
    return math.erfc(z / math.sqrt(2.0)) / 2.0


def _mean(count: int, z: float, tail: float, *, upper: bool) -> float:
    """The mean at which ``count`` or fewer events have probability ``tail`` (``upper``), or all but ``tail``."""
    if count > SUMMED:
        # Half a chi-square quantile of 2 (count + 1) degrees of freedom (Wilson and Hilferty 1931).
        n = count + 1.0
        return n * (1.0 - 1.0 / (9.0 * n) + (z if upper else -z) / (3.0 * math.sqrt(n))) ** 3
    wanted = tail if upper else 1.0 - tail
    # Half a chi-square quantile again, which Newton's steps make exact: the slope of the sum is its last term.
    n = count + 1.0
    mean = n * max(0.1, 1.0 - 1.0 / (9.0 * n) + (z if upper else -z) / (3.0 * math.sqrt(n))) ** 3
    for _ in range(STEPS):
        total, last = _at_most(count, mean)
        step = (total - wanted) / last
        mean = max(mean + step, mean / 2.0)
        if abs(step) <= PRECISE * mean:
            break
    return mean


def _at_most(count: int, mean: float) -> tuple[float, float]:
    """The probability of ``count`` or fewer events, and of ``count``."""
    term = total = math.exp(-mean)
    for k in range(1, count + 1):
        term *= mean / k
        total += term
    return total, term

"""How often something happens: a Poisson rate an hour with its exact interval. No torch."""

from dataclasses import dataclass
from typing import Final

from scipy.stats import chi2

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` events in ``hours``: the rate ``per_hour`` with its exact two-sided interval, ``low`` to ``high``."""

    count: int
    hours: float
    per_hour: float
    low: float
    high: float


def poisson_rate(count: int, hours: float, confidence: float = CONFIDENCE) -> Rate:
    """The rate of ``count`` events in ``hours`` with its exact interval (Garwood 1936, chi-square form).

    No hours bound nothing: the rate is then NaN and the interval 0 to infinity.
    """
    if hours <= 0:
        return Rate(count, hours, float("nan"), 0.0, float("inf"))
    tail = (1.0 - confidence) / 2.0
    # The interval is the pair of Poisson means for which `count` or more, and `count` or fewer, events have probability
    # `tail`. Without an event the low end is 0: the chi-square distribution has no 0 degrees of freedom.
    low = float(chi2.ppf(tail, 2 * count)) / 2.0 if count else 0.0
    high = float(chi2.ppf(1.0 - tail, 2 * count + 2)) / 2.0
    return Rate(count, hours, count / hours, low / hours, high / hours)

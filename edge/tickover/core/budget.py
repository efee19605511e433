"""Budgets of false alarms as people write them, and the ladder of budgets that a model is made for."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from tickover.core.manifest import Budget
from tickover.errors import ConfigError

HOUR_S: Final = 3600.0
WEEK_S: Final = 604_800.0
UNITS: Final = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": HOUR_S,
    "hour": HOUR_S,
    "d": 86_400.0,
    "day": 86_400.0,
    "w": WEEK_S,
    "week": WEEK_S,
}
"""Seconds in the units of ``N/DURATION``; a plural s is read too."""
FORMS: Final = "N/DURATION, such as 1/h, 0.1/h, 1/10h, 2/8h, 1/day or 1/week (of driving)"
SAME: Final = 1e-6
"""Two budgets are one when their rates differ by less than this part."""

LADDER: Final = tuple(
    Budget(episodes=1.0, per_s=per_s) for per_s in (HOUR_S, 5 * HOUR_S, 10 * HOUR_S, 50 * HOUR_S, WEEK_S)
)
"""From the most frequent to the rarest; durations are hours of driving."""


def parse_budget(text: str, where: str = "--false-alarms") -> Budget:
    """``1/1h``, ``0.1/h``, ``2/8h``, ``1/week`` as a Budget; ConfigError, which names ``where``, on anything else."""
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*/\s*(\d+\.?\d*|\.\d+)?\s*([a-z]+)\s*", text.lower(), re.ASCII)
    try:
        if match is None:
            raise ValueError
        unit = UNITS.get(match[3]) or UNITS[match[3].removesuffix("s")]
        return msgspec.convert({"episodes": float(match[1]), "per_s": float(match[2] or 1) * unit}, Budget)
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise ConfigError(f"{where}: expected {FORMS}, got {text[:80]!r}") from error


def is_same(one: Budget, other: Budget) -> bool:
    """Whether both allow the same rate."""
    return abs(one.per_hour - other.per_hour) <= SAME * other.per_hour


def ladder_with(asked: Budget | None) -> tuple[Budget, ...]:
    """The ladder, and the budget asked for where it is not on it, from the most frequent to the rarest."""
    more: Iterable[Budget] = () if asked is None or any(is_same(asked, one) for one in LADDER) else (asked,)
    return tuple(sorted([*LADDER, *more], key=lambda one: -one.per_hour))


def budget_words(budget: Budget) -> str:
    """As people write it: ``1/h``, ``1/10h``, ``1/week``."""
    for unit, name in ((WEEK_S, "week"), (HOUR_S, "h"), (60.0, "min"), (1.0, "s")):
        times = budget.per_s / unit
        if round(times) >= 1 and abs(times - round(times)) < SAME * times:
            many = f"{round(times)}{name}{'s' if name == 'week' else ''}"
            return f"{budget.episodes:g}/{name if round(times) == 1 else many}"
    return f"{budget.episodes:g}/{budget.per_s:g}s"

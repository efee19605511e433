"""What a back-fill comes to: figures of each vehicle and of the fleet, by day and month."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tickover.core.manifest import Budget
from tickover.core.poisson import interval
from tickover.core.time_format import iso_day
from tickover.core.values import SECOND, Severity
from tickover.jobs.backfill.labels import Repair
from tickover.jobs.backfill.task import Dropped, Result

DAY_S: Final = 86_400
Z: Final = 1.959964
"""The normal quantile of a 95 % interval, two-sided."""
CAUSES: Final = 1_000
"""Different charts and sensors that episodes are counted by, of one vehicle."""


class Episode(NamedTuple):
    """What is kept of one: its first tick, its last, how bad it was, and what opened it."""

    start: int
    end: int
    severity: Severity
    cause: str


class Rate(NamedTuple):
    """Episodes in hours of driving: a rate an hour with its 95 % interval (Garwood 1936)."""

    episodes: int
    hours: float
    per_hour: float
    low: float
    high: float

    @classmethod
    def of(cls, episodes: int, hours: float) -> "Rate":
        """The rate; NaN without driving."""
        if hours <= 0:
            return cls(episodes, 0.0, math.nan, math.nan, math.nan)
        low, high = interval(episodes, Z)
        return cls(episodes, hours, episodes / hours, low / hours, high / hours)


class Recalled(NamedTuple):
    """A known repair: the episodes that were open in its time, the first of them, and the chance of that.

    ``chance``: that one begins there anyway, at the vehicle's rate. ``hours`` driven in that time; none: not judged.
    """

    repair: Repair
    episodes: int
    first: int | None
    hours: float
    chance: float


@dataclass(slots=True)
class VehicleSummary:
    """One vehicle: ``months`` and ``days`` count episodes by the month (``2024-05``) and the day that they began in."""

    result: Result
    period_s: float
    severities: Counter[str] = field(default_factory=Counter)
    days: dict[int, Counter[str]] = field(default_factory=dict)
    months: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    repairs: list[Recalled] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return self.result.vehicle

    @property
    def hours(self) -> float:
        """Of driving."""
        return self.result.ticks * self.period_s / 3600.0

    @property
    def episodes(self) -> int:
        """Those that began in its logs."""
        return self.severities.total()

    @property
    def rate(self) -> Rate:
        """Of its episodes."""
        return Rate.of(self.episodes, self.hours)

    def hours_of_months(self) -> dict[str, float]:
        """Hours of driving by month."""
        hours: Counter[str] = Counter()
        for day, ticks in self.result.days.items():
            hours[month_of(day)] += ticks  # whole numbers: the sum is the same in any order
        return {month: ticks * self.period_s / 3600.0 for month, ticks in hours.items()}

    def take(self, episodes: Sequence[Episode], repairs: Sequence[Repair]) -> None:
        """Count what its alerts tell."""
        for one in episodes:
            day = one.start // (DAY_S * SECOND)
            self.severities[one.severity.value] += 1
            self.days.setdefault(day, Counter())[one.severity.value] += 1
            self.months[month_of(day)] += 1
            if one.cause in self.causes or len(self.causes) < CAUSES:
                self.causes[one.cause] += 1
        self.repairs = [self._recalled(repair, episodes) for repair in repairs]

    def _recalled(self, repair: Repair, episodes: Sequence[Episode]) -> Recalled:
        there = [one for one in episodes if one.start <= repair.end and one.end >= repair.start]
        hours = self._hours_between(repair.start, repair.end)
        rest = max(self.hours - hours, 0.0)
        chance = -math.expm1(-(len(episodes) - len(there)) / rest * hours) if rest > 0 else math.nan
        first = min((one.start for one in there), default=None)
        return Recalled(repair, len(there), first, hours, chance)

    def _hours_between(self, start: int, end: int) -> float:
        """Hours driven in this time, by whole days at its ends, in proportion."""
        day = DAY_S * SECOND
        ticks = 0.0
        for number, count in self.result.days.items():
            inside = min(end, (number + 1) * day) - max(start, number * day)
            ticks += count * min(1.0, max(0.0, inside / day))
        return ticks * self.period_s / 3600.0


@dataclass(slots=True)
class FleetSummary:
    """All vehicles: ``vehicles`` in order of their names; ``failed`` and logs that were ``broken`` with the reasons."""

    budget: Budget
    period_s: float
    vehicles: list[VehicleSummary] = field(default_factory=list)
    failed: list[Result] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    shared_dropped: list[tuple[str, Dropped]] = field(default_factory=list)
    """Of logs of several vehicles: what was dropped before it was known whose it is."""

    @property
    def hours(self) -> float:
        """Of driving."""
        return sum(one.result.ticks for one in self.vehicles) * self.period_s / 3600.0

    @property
    def rate(self) -> Rate:
        """Of all episodes."""
        return Rate.of(sum(one.episodes for one in self.vehicles), self.hours)

    @property
    def months(self) -> list[str]:
        """All months with driving or episodes, in order."""
        return sorted({month for one in self.vehicles for month in (*one.hours_of_months(), *one.months)})

    @property
    def repairs(self) -> list[tuple[str, Recalled]]:
        """All known repairs, by vehicle."""
        return [(one.name, repair) for one in self.vehicles for repair in one.repairs]

    def worst(self, most: int) -> list[VehicleSummary]:
        """The vehicles with the most episodes an hour, by the low end of the interval: few hours prove little."""
        some = [one for one in self.vehicles if one.episodes]
        return sorted(some, key=lambda one: (-one.rate.low, -one.episodes, one.name))[:most]

    def dropped(self) -> Counter[tuple[str, str]]:
        """What was dropped, by reason and signal; an empty signal where it belongs to none."""
        total: Counter[tuple[str, str]] = Counter()
        for dropped in (*(one.result.dropped for one in self.vehicles), *(one for _, one in self.shared_dropped)):
            for key, count in dropped_rows(dropped):
                total[key] += count
        return total


def dropped_rows(dropped: Dropped) -> list[tuple[tuple[str, str], int]]:
    """Reason, signal, count."""
    rows = [((reason, ""), count) for reason, count in dropped.counts.items()]
    rows += [((reason, name), count) for reason, of in dropped.signals.items() for name, count in of.items()]
    return sorted(rows)


def month_of(day: int) -> str:
    """``2024-05`` of a day since 1970 (UTC)."""
    return day_text(day)[:7]


def day_text(day: int) -> str:
    """``2024-05-17`` of a day since 1970; a day before the year 1 or beyond 9999 by the nearest one."""
    return iso_day(day * DAY_S * SECOND)

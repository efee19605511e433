"""The promise meter: how often one vehicle really raises an episode, against the budget that its limits were set for.

It counts the episodes that no person has judged real or known, over the vehicle's newest driving: ``BUCKETS`` times as
long as the budget allows one episode. Time is that of ticks, so a parked vehicle counts none. The promise is *broken*
once the interval's low end is above the budget, and kept again once the rate itself is down to it. A first while, until
the budget allows one episode, counts as that long. Whoever looks at an
interval after each episode finds it above the truth sooner or later: hence one that a vehicle just within its budget
leaves once in some 10,000 episodes.
"""

from collections import Counter
from typing import Final, NamedTuple

import msgspec

from tickover.core.manifest import Budget
from tickover.core.poisson import interval, low_end
from tickover.core.values import TimeArray

BUCKETS: Final = 24
CONFIDENCE: Final = 0.999
"""Of the interval, two-sided."""
Z: Final = 3.29053
"""The normal quantile of that."""
BLAMED: Final = 3
"""The most charts that a notice names."""


class Meter(NamedTuple):
    """What a promise meter reads: ``episodes`` in ``hours`` of driving, their rate an hour with its interval, the
    ``budget`` an hour, whether the promise is ``broken``, and how many of the episodes each chart opened."""

    budget: float
    hours: float
    episodes: int
    per_hour: float
    low: float
    high: float
    broken: bool
    blame: dict[str, int]

    def text(self) -> str:
        """For people."""
        rate = f"{self.episodes} episodes in {self.hours:.1f} h, {self.per_hour:.2g} an hour"
        most = ", ".join(f"{name} {count}" for name, count in list(self.blame.items())[:BLAMED])
        span = f"{CONFIDENCE:.1%} interval {self.low:.2g} to {self.high:.2g}"
        if not self.broken:
            return f"the budget of {self.budget:.2g} an hour is kept again: {rate}"
        return f"the budget of {self.budget:.2g} an hour is broken: {rate} ({span}); most by {most}"


_NONE: Final[dict[str, int]] = {}
"""What is said of the episodes of a part without any; such tables are replaced, never written to."""


class _Bucket(msgspec.Struct, array_like=True):
    """A part of the window: its number, its ticks, and how many episodes each chart opened."""

    number: int
    ticks: int = 0
    opened: dict[str, int] = msgspec.field(default_factory=lambda: _NONE)


class PromiseState(msgspec.Struct, frozen=True, array_like=True):
    """All of it."""

    buckets: list[_Bucket]
    broken: bool


class Promise:
    """That of one vehicle under one model, whose ticks last ``period`` microseconds."""

    __slots__ = ("_broken", "_buckets", "_budget", "_hours", "_length")

    def __init__(self, budget: Budget, period: int) -> None:
        self._budget, self._hours = budget.per_hour, period / 3.6e9
        self._length = max(1, round(1.0 / (self._budget * self._hours)))
        self._buckets = [_Bucket(0)]
        self._broken = False

    @property
    def number(self) -> int:
        """That of the part of the window that is being filled."""
        return self._buckets[-1].number

    @property
    def driven_s(self) -> float:
        """Seconds of driving since the vehicle was first seen."""
        bucket = self._buckets[-1]
        return (bucket.number * self._length + bucket.ticks) * self._hours * 3600.0

    @property
    def broken(self) -> bool:
        """Whether the promise is."""
        return self._broken

    @property
    def used(self) -> float:
        """The share of the budget that the vehicle uses, above 1 when it is more."""
        return self.episodes / self._over / self._budget

    @property
    def episodes(self) -> int:
        """How many count."""
        return sum(sum(bucket.opened.values()) for bucket in self._buckets)

    @property
    def has_episodes(self) -> bool:
        """Whether any counts; costs less than how many. Ticks do not change it."""
        return any(bucket.opened for bucket in self._buckets)

    @property
    def _over(self) -> float:
        """The hours of driving that episodes are counted over."""
        hours = sum(bucket.ticks for bucket in self._buckets) * self._hours
        return max(hours, 1.0 / self._budget)

    def passed(self, time: TimeArray) -> list[int]:
        """Ticks passed; the times of those that changed whether the promise is broken."""
        bucket, turned, done = self._buckets[-1], [], 0
        while bucket.ticks + len(time) - done > self._length:
            done += self._length - bucket.ticks
            bucket.ticks = self._length
            bucket = _Bucket(bucket.number + 1)
            self._buckets = [*self._buckets[1 - BUCKETS :], bucket]
            if self._judge():
                turned.append(int(time[done]))
        bucket.ticks += len(time) - done
        return turned

    @property
    def room(self) -> int:
        """The ticks left in the part of the window that is being filled."""
        return self._length - self._buckets[-1].ticks

    def passed_within(self, ticks: int) -> None:
        """As :meth:`passed`, of no more ticks than there is room for: they change nothing but their number."""
        self._buckets[-1].ticks += ticks

    def opened(self, chart: str) -> bool:
        """An episode did, by this chart; whether that broke the promise."""
        return self._count(self.number, chart, 1)

    def count(self, number: int, chart: str, change: int) -> bool:
        """An episode of a part of the window counts (1) or does not (-1) after all; whether the promise changed."""
        return self._count(number, chart, change)

    def read(self) -> Meter:
        """What it says now."""
        opened: Counter[str] = Counter()
        for bucket in self._buckets:
            opened.update(bucket.opened)
        count, hours = opened.total(), sum(bucket.ticks for bucket in self._buckets) * self._hours
        blame = dict(sorted(opened.items(), key=lambda item: (-item[1], item[0])))
        (low, high), over = interval(count, Z), self._over
        return Meter(self._budget, hours, count, count / over, low / over, high / over, self._broken, blame)

    def state(self) -> PromiseState:
        """All that the meter will say depends on."""
        return PromiseState(self._buckets, self._broken)

    def restore(self, state: PromiseState) -> None:
        """Continue from :meth:`state`."""
        if state.buckets:
            self._buckets, self._broken = list(state.buckets), state.broken

    def _count(self, number: int, chart: str, change: int) -> bool:
        for bucket in self._buckets:
            if bucket.number == number:
                count = bucket.opened.get(chart, 0) + change
                bucket.opened = {name: n for name, n in (bucket.opened | {chart: count}).items() if n > 0}
        return self._judge()

    def _judge(self) -> bool:
        """Look again; whether the answer is another."""
        before, count = self._broken, self.episodes
        fewest = count if before else low_end(count, Z)
        self._broken = fewest / self._over > self._budget
        return self._broken != before

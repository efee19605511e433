"""What one vehicle's episodes came to: the ledger of the newest, the promise meter, and limits that follow.

``Watch`` shows it every alert and every tick. Limits move only where a block of ticks is cut for other reasons: at the
start of a trip, behind the tick that ends an episode, and at a verdict.
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from tickover.core.adaptation import LEAST_EPISODES, Adaptation
from tickover.core.episode_alerts import Told
from tickover.core.ledger import Entry, Ledger, Verdict
from tickover.core.manifest import EpisodePolicy, Manifest
from tickover.core.once import once
from tickover.core.promise import Promise, PromiseState
from tickover.core.slow_levels import SlowLevels
from tickover.core.values import Alert, EndReason, FloatArray, Phase, Remark, TimeArray
from tickover.errors import StateError

NEW_S: Final = 300.0
"""Driving in which a vehicle is new: nobody knows what is usual for it. An episode that opens then by level charts
alone does not hold what follows the vehicle slowly, or a truck that is first seen in another season than the model's
would stay in that episode for ever. A chart of changes tells of something that happened: that holds."""
BROKEN: Final = "budget_broken"
DRIFT: Final = "drift"
ENDED: Final = (EndReason.RECOVERED, EndReason.QUIET, EndReason.NO_DATA)
"""Reasons that are in the data."""


class Judged(NamedTuple):
    """What a verdict did: the episode's entry as it is now, its verdict before, what is to be told, and by how much the
    limits of its charts are above the trained ones."""

    entry: Entry
    before: Verdict
    remarks: list[Remark]
    factors: dict[str, float]


class _State(msgspec.Struct, frozen=True, array_like=True):
    """What :meth:`Record.state` saves."""

    entries: list[Entry]
    promise: PromiseState
    logs: dict[str, float]
    told: dict[str, float]
    since: int
    slow: dict[str, list[float]]
    reached: int
    began_new: bool = False


class Record:
    """That of one vehicle under one model. ``moved``: the factors of the limits changed since they were last taken;
    ``reached``: the time of the newest tick."""

    __slots__ = (
        *("_adapts", "_charts", "_levels", "_limits", "_remarks", "_slow"),
        *("began_new", "ledger", "moved", "promise", "reached"),
    )

    def __init__(self, manifest: Manifest, policy: EpisodePolicy) -> None:
        self._charts = once(_charts_of, manifest)
        self._levels = once(_levels_of, manifest)
        self.ledger, self.promise = Ledger(), Promise(manifest.false_alarms, manifest.period)
        self._adapts = policy.adapt_limits
        self._limits, self._slow = Adaptation(manifest), SlowLevels(manifest)
        self._remarks: list[Remark] | None = None
        self.reached = 0
        self.moved = False
        self.began_new = False  # whether the charts' newest episode opened by its level in the first ``NEW_S``

    @property
    def factors(self) -> FloatArray | None:
        """By how much each chart's limit is above the trained one ``[C]``; None: by nothing. Clears ``moved``."""
        self.moved = False
        if not self._limits.logs:
            return None
        return np.array([self._limits.factor(name) for name in self._charts], np.float32)

    @property
    def adapted(self) -> dict[str, float]:
        """The factors above 1, by chart."""
        return {name: self._limits.factor(name) for name in sorted(self._limits.logs)}

    def passed(self, time: TimeArray, told: list[Told]) -> None:
        """Ticks passed, at least one, and the alerts that they caused, in order."""
        if not told and len(time) <= self.promise.room:
            self.passed_quietly(len(time), int(time[-1]))
            return
        done = 0
        for tick, alert in told:
            self._tick(time[done : tick + 1])
            done = max(done, tick + 1)
            self.note(alert)
        self._tick(time[done:])

    @property
    def follows(self) -> bool:
        """Whether a limit is not the trained one."""
        return bool(self._limits.logs)

    def passed_quietly(self, ticks: int, newest: int) -> None:
        """Ticks up to ``newest`` passed without an alert, no more of them than the promise meter has room for."""
        self.promise.passed_within(ticks)
        self.reached = newest

    def note(self, alert: Alert) -> None:
        """An alert was made."""
        entry = self.ledger.note(alert, self.promise.number)
        if entry is None:
            return
        if alert.phase is Phase.START and entry.charts:
            self.began_new = self.promise.driven_s < NEW_S and self._levels.issuperset(entry.charts)
        if alert.reason is EndReason.ADAPTED:
            self._remark(Remark(DRIFT, True, alert.time, _adapted(alert)))
        if alert.phase is Phase.START and self.promise.opened(entry.blamed):
            self._say_promise(alert.time)
        # A sensor's episode may end within a block of ticks, and has no limit: it moves none.
        if alert.reason in ENDED and self._adapts and entry.charts:
            moved = self._limits.relax(self.promise.number)
            moved |= self._limits.ended(entry, too_often=self._too_often())
            self._say_limits(moved, alert.time)

    def begin_trip(self, time: int, numbers: FloatArray) -> None:
        """A trip begins at ``time``, with the vehicle's flat state."""
        for moved in self._slow.news(numbers):
            self._remark(Remark(DRIFT, True, time, moved.text()))
        if self._adapts:
            self._say_limits(self._limits.relax(self.promise.number), time)

    def judge(self, name: str, verdict: Verdict) -> Judged | None:
        """A person's verdict on an episode, by the id of it or of an alert; None when no such is remembered."""
        entry = self.ledger.find(name)
        if entry is None:
            return None
        before, entry.verdict = entry.verdict, verdict
        if before.counts is not verdict.counts:
            change = 1 if verdict.counts else -1
            if self.promise.count(entry.bucket, entry.blamed, change):
                self._say_promise(self.reached)
        if self._adapts:
            self._say_limits(self._limits.judged(entry), self.reached)
        factors = {chart: self._limits.factor(chart) for chart in entry.charts}
        return Judged(entry, before, self.take(), factors)

    def take(self) -> list[Remark]:
        """What is to be told since the last call."""
        remarks, self._remarks = self._remarks, None
        return remarks or []

    def state(self) -> bytes:
        """All that the future of the record depends on."""
        limits = self._limits
        saved = _State(
            self.ledger.entries or [],
            self.promise.state(),
            limits.logs,
            limits.told,
            limits.since,
            self._slow.told,
            self.reached,
            self.began_new,
        )
        return msgspec.msgpack.encode(saved)

    def restore(self, state: bytes) -> None:
        """Continue from :meth:`state`; StateError when it is damaged."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
        except msgspec.MsgspecError as error:
            raise StateError(f"state of the record: damaged: {error}") from error
        if any(len(levels) != self._slow.width for levels in saved.slow.values()):
            raise StateError(f"state of the record: damaged: expected slow means of {self._slow.width} signals")
        self.ledger.entries = saved.entries or None
        self.promise.restore(saved.promise)
        self._limits.logs, self._limits.told, self._limits.since = dict(saved.logs), dict(saved.told), saved.since
        self._slow.told, self.reached = dict(saved.slow), saved.reached
        self.moved, self.began_new = bool(saved.logs), saved.began_new

    def _too_often(self) -> bool:
        """Whether there are more episodes than the budget allows, as far as can be said."""
        # Of a vehicle that drove for less than the budget allows one episode nothing can.
        known = self.promise.number > 0 and self.promise.episodes >= LEAST_EPISODES
        return known and self.promise.used > 1.0

    def _tick(self, time: TimeArray) -> None:
        if len(time):
            self.reached = int(time[-1])
            for when in self.promise.passed(time):
                self._say_promise(when)

    def _say_promise(self, when: int) -> None:
        meter = self.promise.read()
        self._remark(Remark(BROKEN, meter.broken, when, meter.text()))

    def _say_limits(self, moved: bool, when: int) -> None:
        if not moved:
            return
        self.moved = True
        for chart, signals, before, now in self._limits.news():
            text = (
                f"{', '.join(signals)}: the limit of chart {chart} went from {before:.2f} to {now:.2f} times the "
                "trained one"
            )
            self._remark(Remark(DRIFT, True, when, text))

    def _remark(self, remark: Remark) -> None:
        self._remarks = [*(self._remarks or ()), remark]


def _charts_of(manifest: Manifest) -> tuple[str, ...]:
    """The names of the charts, in order."""
    return tuple(chart.name for chart in manifest.charts)


def _levels_of(manifest: Manifest) -> frozenset[str]:
    """The level charts; all charts of a model that does not say which are."""
    levels = frozenset(chart.name for chart in manifest.charts if chart.level)
    return levels or frozenset(chart.name for chart in manifest.charts)


def _adapted(alert: Alert) -> str:
    """For people: what an episode that ended as adapted was about."""
    parts = [
        f"{one.signal} (observed {one.observed:.4g}, expected {one.expected:.4g} {one.unit}".rstrip() + ")"
        for one in alert.signals
        if one.observed is not None and one.expected is not None
    ]
    return f"the episode ended with its deviation still there, and the model follows it from now on: {', '.join(parts)}"

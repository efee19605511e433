"""When an episode opens, updates and closes. A pure function of ticks, scores and state: no clock, no I/O.

Charts of signals that are present in a tick, once the trip is past its warm-up, are *fresh*; the others are held by the
graph. An episode's *witnesses* are the charts that were fresh and at or over the level while it lasted. Against a level
(1.0 before opening, ``close_level`` after) each tick is

- ``HIGH``: a fresh chart is at or over the level;
- ``BLIND``: none is, and a witness that is held stands at or over the level, or nothing is fresh: nobody can know;
- ``LOW``: the rest.

An episode opens at a ``HIGH`` tick once that has lasted ``open_after_s`` with no ``LOW`` between, so a held chart
alone opens nothing. It ends as ``recovered`` at the first ``LOW`` tick ``close_after_s`` or more after a ``LOW`` tick
with no ``HIGH`` between, and as ``no_data`` once nothing was known (neither ``HIGH`` nor ``LOW``) for ``no_data_s``:
missing ticks, a gap between trips, or a clock that was put back. It stays shut for ``hold_off_s`` after that. Peak
and severity count fresh charts only. How ticks are cut into blocks never matters.
"""

import uuid
from enum import IntEnum
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from tickover.core.attribution import Attribution
from tickover.core.chart_signals import ChartSignals
from tickover.core.freeze_frame import Ring, number
from tickover.core.manifest import EpisodePolicy, Manifest
from tickover.core.values import (
    SECOND,
    Alert,
    Contribution,
    EndReason,
    FloatArray,
    Phase,
    Scores,
    Severity,
    TickBlock,
)
from tickover.errors import StateError

BoolArray = npt.NDArray[np.bool_]

ALARM_LEVEL: Final = 1.0
"""The score at which an episode opens."""
WINDOW: Final = 64
"""Ticks judged at once while an episode is open."""
NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "tickover")
"""Namespace of episode ids."""
MISSING_DIGITS: Final = 4


class Evidence(IntEnum):
    """What one tick says against a level."""

    LOW = 0
    BLIND = 1
    HIGH = 2


class _Current(msgspec.Struct):
    """The episode at hand.

    ``told``: time of its newest alert, None while it waits for ``open_after_s``; ``known``: the newest tick that was
    not BLIND; ``low_since``: the first LOW tick after the newest HIGH; ``last``: the newest tick at which it was open.
    """

    start: int
    rewinds: int
    known: int
    witness: list[bool]
    low_since: int | None = None
    peak: float = 0.0
    worst: tuple[Contribution, ...] = ()
    told: int | None = None
    last: int = 0
    sequence: int = 0
    severity: Severity = Severity.WARNING


class _State(msgspec.Struct, frozen=True):
    """What :meth:`Episodes.state` saves."""

    digest: str
    vehicle: str
    ring: bytes
    last_time: int | None
    trip: int
    age: int
    rewinds: int
    shut_until: int | None
    shut_rewinds: int
    current: _Current | None


class _Block:
    """One block's arrays while it is worked through; ``fresh`` [T, C], ``highest`` fresh chart [T], both weighed."""

    def __init__(self, ticks: TickBlock, scores: Scores, fresh: BoolArray, back: BoolArray, rewinds: int) -> None:
        self.ticks, self.scores, self.fresh = ticks, scores, fresh
        self.highest: FloatArray = np.where(fresh, scores.chart, -np.inf).max(axis=1)
        self.over = np.flatnonzero(self.highest >= ALARM_LEVEL)
        self.time: list[int] = ticks.time.tolist()
        self.rewinds: list[int] = (rewinds + np.cumsum(back)).tolist()
        self.open = np.zeros(len(self.time), np.bool_)
        self.alerts: list[Alert] = []
        self.peak_at: int | None = None


class Episodes:
    """One vehicle's episodes under one detector; see the module's docstring.

    ``sensitivity`` multiplies the charts of a signal (default 1.0). Durations shorter than a tick count as the tick.
    """

    def __init__(
        self,
        manifest: Manifest,
        digest: str,
        vehicle: str,
        detector: str = "anomaly",
        policy: EpisodePolicy | None = None,
        sensitivity: dict[str, float] | None = None,
    ) -> None:
        self.vehicle, self._digest, self._detector = vehicle, digest, detector
        self._policy = policy or manifest.episodes
        self._warm_up = manifest.warm_up_ticks
        self._attribution = Attribution(manifest, self._policy.top_signals)
        self._ring = Ring(self._policy.freeze_frame_ticks, manifest.names)
        self._charts = ChartSignals.of(manifest)
        factors = np.array([(sensitivity or {}).get(name, 1.0) for name in manifest.names], np.float32)
        weights = self._charts.least(factors)
        self._weights = None if (weights == 1.0).all() else weights
        self._no_data = max(round(self._policy.no_data_s * SECOND), manifest.period)
        self._last_time: int | None = None
        self._trip, self._age, self._rewinds = -1, 0, 0
        self._shut_until: int | None = None
        self._shut_rewinds = 0
        self._current: _Current | None = None

    @property
    def is_open(self) -> bool:
        """Whether an episode is open now."""
        return self._current is not None and self._current.told is not None

    def weigh(self, scores: Scores) -> Scores:
        """Scores with each signal's sensitivity applied; unchanged, and not copied, when there is none."""
        if self._weights is None:
            return scores
        chart = scores.chart * self._weights
        highest = chart.max(axis=1, initial=0.0)
        return Scores(np.where(np.isnan(scores.score), np.float32(np.nan), highest), chart, scores.expected)

    def feed(self, ticks: TickBlock, scores: Scores) -> tuple[BoolArray, list[Alert]]:
        """Work through ticks with their (unweighed) scores: whether an episode is open after each, and the alerts."""
        if not len(ticks.time):
            return np.zeros(0, np.bool_), []
        scores = self.weigh(scores)
        self._ring.show(ticks, scores)
        previous = ticks.time[0] - 1 if self._last_time is None else self._last_time
        back = np.diff(ticks.time, prepend=previous) <= 0
        open_, alerts = np.zeros(len(ticks.time), np.bool_), []
        if self._current or (scores.score >= ALARM_LEVEL).any():
            block = _Block(ticks, scores, self._fresh(ticks), back, self._rewinds)
            self._walk(block)
            open_, alerts = block.open, block.alerts
        self._ring.keep()
        self._rewinds += int(np.count_nonzero(back))
        self._age = int(self._ages(ticks)[-1]) + 1
        self._last_time, self._trip = int(ticks.time[-1]), int(ticks.trip[-1])
        return open_, alerts

    def advance(self, time: int) -> list[Alert]:
        """Event time reached ``time`` with no further tick before it: ends an episode that lost its evidence."""
        current = self._current
        if current is None or current.known + self._no_data >= time:
            return []
        return self._ended(EndReason.NO_DATA, current.known + self._no_data)

    def end(self, reason: EndReason) -> list[Alert]:
        """End the open episode, if any, after the last tick; without cool-down when the state starts anew."""
        if self._last_time is None:
            return []
        alerts = self._ended(reason, self._last_time)
        if reason in (EndReason.RESET, EndReason.MODEL_CHANGED):
            self._shut_until = None
        return alerts

    def state(self) -> bytes:
        """All that the next tick's fate depends on."""
        return msgspec.msgpack.encode(
            _State(
                digest=self._digest,
                vehicle=self.vehicle,
                ring=self._ring.state(),
                last_time=self._last_time,
                trip=self._trip,
                age=self._age,
                rewinds=self._rewinds,
                shut_until=self._shut_until,
                shut_rewinds=self._shut_rewinds,
                current=self._current,
            )
        )

    def restore(self, state: bytes) -> None:
        """Continue from :meth:`state`; StateError when it is damaged, or of another model or vehicle."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
        except msgspec.MsgspecError as error:
            raise StateError(f"state of episodes: damaged: {error}") from error
        if saved.digest != self._digest or saved.vehicle != self.vehicle:
            raise StateError(
                f"state of episodes: expected vehicle {self.vehicle} and model {self._digest[:12]}, "
                f"got {saved.vehicle} and {saved.digest[:12]}"
            )
        if saved.current is not None and len(saved.current.witness) != len(self._charts.matrix):
            raise StateError("state of episodes: damaged: it has another number of charts")
        self._ring.restore(saved.ring)
        self._last_time, self._trip, self._age, self._rewinds = saved.last_time, saved.trip, saved.age, saved.rewinds
        self._shut_until, self._shut_rewinds, self._current = saved.shut_until, saved.shut_rewinds, saved.current

    def _ages(self, ticks: TickBlock) -> npt.NDArray[np.int64]:
        """How many ticks of its trip came before each tick, [T]."""
        place = np.arange(len(ticks.trip))
        first = np.diff(ticks.trip, prepend=self._trip) != 0
        start = np.maximum.accumulate(np.where(first, place, -1))
        return np.where(start < 0, place + self._age, place - start)

    def _fresh(self, ticks: TickBlock) -> BoolArray:
        """Which charts moved with data, [T, C]."""
        warm = self._ages(ticks) >= self._warm_up
        present: BoolArray = ~np.isnan(ticks.values) & warm[:, None]
        return self._charts.fresh(present)

    def _walk(self, block: _Block) -> None:
        """Work through a block, leaping over ticks where nothing is open and nothing is over the limit."""
        tick = 0
        while tick < len(block.time):
            if self._current is None:
                tick = self._next_over(block, tick)
                if tick == len(block.time):
                    break
                self._current = _Current(
                    start=block.time[tick],
                    rewinds=block.rewinds[tick],
                    known=block.time[tick],
                    witness=[False] * block.fresh.shape[1],
                )
            tick = self._window(block, tick)
        self._settle_worst(block)

    def _next_over(self, block: _Block, tick: int) -> int:
        """The next tick with a fresh chart over the limit, out of cool-down; the block's length when there is none."""
        for found in block.over[np.searchsorted(block.over, tick) :].tolist():
            shut = self._shut_until is not None and self._shut_rewinds == block.rewinds[found]
            if not shut or block.time[found] >= (self._shut_until or 0):
                return int(found)
        return len(block.time)

    def _window(self, block: _Block, start: int) -> int:
        """Judge up to ``WINDOW`` ticks of the episode at hand; the tick to go on from."""
        current = self._current
        assert current is not None
        end = min(start + WINDOW, len(block.time))
        waiting = current.told is None
        level = ALARM_LEVEL if waiting else self._policy.close_level
        evidence, witness = _judge(block, start, end, level, np.array(current.witness))
        tick = start
        for tick in range(start, end):
            if block.rewinds[tick] != current.rewinds:
                self._close(block, tick, EndReason.NO_DATA, int(self._ring.rows(tick).time[-1]))
                return tick
            if current.known + self._no_data < block.time[tick]:
                self._close(block, tick, EndReason.NO_DATA, current.known + self._no_data)
                return tick
            self._step(block, tick, evidence[tick - start])
            if self._current is None or waiting != (current.told is None):
                break
        current.witness = witness[tick - start].tolist()
        return tick + 1

    def _step(self, block: _Block, tick: int, evidence: int) -> None:
        """One tick of the episode at hand."""
        current, time, policy = self._current, block.time[tick], self._policy
        assert current is not None
        if evidence != Evidence.BLIND:
            current.known = time
        if evidence == Evidence.HIGH:
            current.low_since = None
        elif evidence == Evidence.LOW and current.low_since is None:
            current.low_since = time
        if evidence == Evidence.BLIND and time - current.known >= self._no_data:
            self._close(block, tick + 1, EndReason.NO_DATA, time)
            return
        if evidence == Evidence.LOW and current.low_since is not None:
            wait = 0 if current.told is None else round(policy.close_after_s * SECOND)
            if time - current.low_since >= wait:
                self._close(block, tick + 1, EndReason.RECOVERED, time)
                return
        self._tell(block, tick, evidence)

    def _tell(self, block: _Block, tick: int, evidence: int) -> None:
        """Follow the peak; start or update the episode when that is due."""
        current, time = self._current, block.time[tick]
        assert current is not None
        if block.highest[tick] > current.peak:
            current.peak = number(block.highest[tick]) or 0.0
            block.peak_at = tick
        severity = self._severity(current.peak)
        if current.told is None:
            if evidence != Evidence.HIGH or time - current.start < round(self._policy.open_after_s * SECOND):
                return
            due, phase = True, Phase.START
        else:
            rises = list(Severity).index(severity) > list(Severity).index(current.severity)
            due, phase = rises or time - current.told >= round(self._policy.update_every_s * SECOND), Phase.UPDATE
        block.open[tick], current.last = True, time
        current.severity = severity
        if due:
            named = self._attribution.at(tick, block.ticks, block.scores, block.fresh[tick], self._ring)
            block.alerts.append(self._alert(current, phase, named, tick + 1, time))
            current.told = time

    def _severity(self, peak: float) -> Severity:
        if peak >= self._policy.critical_level:
            return Severity.CRITICAL
        return Severity.MAJOR if peak >= self._policy.major_level else Severity.WARNING

    def _settle_worst(self, block: _Block) -> None:
        """Name the signals at the peak, if it lies in this block."""
        if self._current is not None and block.peak_at is not None:
            at = block.peak_at
            self._current.worst = self._attribution.at(at, block.ticks, block.scores, block.fresh[at], self._ring)
        block.peak_at = None

    def _close(self, block: _Block, upto: int, reason: EndReason, time: int) -> None:
        """End the episode at hand; the block's ticks before ``upto`` are the past."""
        self._settle_worst(block)
        block.alerts += self._ended(reason, time, upto)

    def _ended(self, reason: EndReason, time: int, upto: int = 0) -> list[Alert]:
        """Forget the episode at hand; its end alert when it had opened."""
        current, self._current = self._current, None
        if current is None or current.told is None:
            return []
        self._shut_until = time + round(self._policy.hold_off_s * SECOND)
        self._shut_rewinds = current.rewinds
        return [self._alert(current, Phase.END, current.worst, upto, time, reason)]

    def _alert(
        self,
        current: _Current,
        phase: Phase,
        named: tuple[Contribution, ...],
        upto: int,
        time: int,
        reason: EndReason | None = None,
    ) -> Alert:
        """The next message about an episode; the ring's ticks before ``upto`` are its freeze-frame."""
        past, sequence = self._ring.rows(upto), current.sequence
        current.sequence += 1
        episode = episode_id(self.vehicle, self._digest, self._detector, current.start, current.rewinds)
        return Alert(
            alert_id=str(uuid.uuid5(episode, f"{phase.value}:{sequence}")),
            episode_id=str(episode),
            vehicle=self.vehicle,
            detector=self._detector,
            model_digest=self._digest,
            phase=phase,
            sequence=sequence,
            severity=current.severity,
            reason=reason,
            start=current.start,
            time=time,
            end=current.last if phase == Phase.END else None,
            score=number(past.score[-1]),
            peak=current.peak,
            signals=named,
            freeze_frame=self._ring.frame(upto),
            missing=round(float(np.isnan(past.observed).mean()), MISSING_DIGITS),
        )


def episode_id(vehicle: str, digest: str, detector: str, start: int, rewinds: int = 0) -> uuid.UUID:
    """UUIDv5 of what makes an episode unique; ``rewinds`` counts how often the vehicle's clock was put back before."""
    parts = [vehicle, digest, detector, str(start), *([str(rewinds)] if rewinds else [])]
    return uuid.uuid5(NAMESPACE, "\n".join(parts))


def _judge(block: _Block, start: int, end: int, level: float, witness: BoolArray) -> tuple[list[int], BoolArray]:
    """Each tick's :class:`Evidence`, and the witnesses after it, [ticks, C]."""
    fresh, chart = block.fresh[start:end], block.scores.chart[start:end]
    witnesses = np.logical_or.accumulate(np.concatenate([witness[None], fresh & (chart >= level)]))[1:]
    held = np.where(~fresh & witnesses, chart, -np.inf).max(axis=1) >= level
    blind = held | ~fresh.any(axis=1)
    evidence = np.where(block.highest[start:end] >= level, Evidence.HIGH, np.where(blind, Evidence.BLIND, Evidence.LOW))
    return evidence.tolist(), witnesses

"""When an episode opens, updates and closes. A pure function of ticks, scores and state: no clock, no I/O.

Each tick is ``HIGH``, ``BLIND`` or ``LOW`` against a level (see ``evidence``): 1.0 before an episode opens,
``close_level`` after. An episode opens at a ``HIGH`` tick once that has lasted ``open_after_s`` with no ``LOW``
between, so a held chart alone opens nothing. It ends as ``recovered`` at the first ``LOW`` tick ``close_after_s`` or
more after a ``LOW`` tick with no ``HIGH`` between (as ``quiet`` when nothing shows that the fault is gone, see
``proven``), and as ``no_data`` once nothing was known (neither ``HIGH`` nor
``LOW``) for ``no_data_s``: missing ticks, a gap between trips, or a clock that was put back. After that, none opens for
``hold_off_s``. Peak and severity count fresh charts only. How ticks are cut into blocks never matters.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from tickover.core.attribution import Attribution
from tickover.core.chart_signals import BoolArray
from tickover.core.decimals import number
from tickover.core.episode_alerts import AlertMaker, Episode, Told, severity_of, worse
from tickover.core.episode_block import Block, Stops, Walked
from tickover.core.evidence import ALARM_LEVEL, ChartEvidence, Evidence, groups_of
from tickover.core.freeze_frame import Ring
from tickover.core.manifest import EpisodePolicy, Manifest, names_of
from tickover.core.once import once
from tickover.core.standing import Standing, State, is_back, spreads_of
from tickover.core.values import (
    SECOND,
    Alert,
    Contribution,
    EndReason,
    FloatArray,
    Phase,
    Scores,
    TickBlock,
)
from tickover.errors import StateError

LOW, BLIND, HIGH = map(int, (Evidence.LOW, Evidence.BLIND, Evidence.HIGH))
"""As plain numbers, for a loop over many ticks."""
FEWEST: Final = 6
"""Ticks of an episode whose signals may stand that are looked ahead at: fewer cost less one by one."""
WINDOW: Final = 128
"""Ticks judged at once while an episode is open."""


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
    current: Episode | None
    carried: list[float] = []
    carried_fresh: list[int] = []
    standing: State | None = None
    standing_since: int | None = None


class Episodes:
    """One vehicle's episodes under one detector; see the module's docstring.

    ``sensitivity`` multiplies the charts of a signal (default 1.0). Durations shorter than a tick count as the tick.
    """

    __slots__ = (
        *("_attribution", "_current", "_digest", "_evidence", "_groups", "_last_time", "_maker", "_no_data", "_policy"),
        *("_rewinds", "_shut_rewinds", "_shut_until", "_spreads", "_standing", "_standing_since", "ring", "vehicle"),
    )

    def __init__(
        self,
        manifest: Manifest,
        digest: str,
        vehicle: str,
        detector: str = "anomaly",
        policy: EpisodePolicy | None = None,
        sensitivity: Mapping[str, float] | None = None,
    ) -> None:
        self.vehicle, self._digest = vehicle, digest
        self._policy = policy or manifest.episodes
        self.ring = Ring(self._policy.freeze_frame_ticks, once(names_of, manifest))
        self._attribution = once(Attribution, manifest, self._policy.top_signals)
        self._maker = AlertMaker(digest, vehicle, detector, self.ring)
        self._evidence = ChartEvidence(manifest, sensitivity, self._policy.skip_carried)
        self._groups = once(groups_of, manifest)
        self._no_data = max(round(self._policy.no_data_s * SECOND), manifest.period)
        self._last_time: int | None = None
        self._rewinds = 0
        self._shut_until: int | None = None
        self._shut_rewinds = 0
        self._current: Episode | None = None
        self._spreads = once(spreads_of, manifest)
        self._standing: Standing | None = None
        self._standing_since: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether an episode is open now."""
        return self._current is not None and self._current.told is not None

    @property
    def about(self) -> BoolArray:
        """The signals that were over a limit since the episode opened ``[F]``; all where the model does not tell."""
        over = self._standing.over if self._standing is not None else self._spreads.all
        return over if over.any() else self._spreads.all

    @property
    def back(self) -> BoolArray:
        """Those of :attr:`about` whose slow means follow at once, as they have come back (``follow_back``) ``[F]``."""
        if self._standing is None or not self._policy.follow_back:
            return ~self._spreads.all
        return self._standing.back

    @property
    def is_near(self) -> bool:
        """Whether an episode is open or waits for ``open_after_s``."""
        return self._current is not None

    @property
    def calm_since(self) -> tuple[int, int] | None:
        """The time of the newest tick and how many of its trip came, while nothing is open, waits or is carried over;
        ticks under the alarm limit in the same trip then change no more than these."""
        if self._current is not None or self._evidence.carried.any or self._last_time is None:
            return None
        return self._last_time, self._evidence.age

    def calm_until(self, time: int, age: int) -> None:
        """Such ticks came."""
        self._last_time, self._evidence.age = time, age

    @property
    def trip(self) -> int:
        """That of the newest tick; -1: none."""
        return self._evidence.trip

    def raise_limits(self, factors: FloatArray | None) -> None:
        """See :meth:`ChartEvidence.raise_limits`."""
        self._evidence.raise_limits(factors)

    def weigh(self, scores: Scores) -> Scores:
        """Scores with each signal's sensitivity applied; unchanged, and not copied, when there is none."""
        return self._evidence.weigh(scores)

    def feed(self, ticks: TickBlock, scores: Scores) -> tuple[BoolArray, list[Alert]]:
        """Work through ticks with their (unweighed) scores: whether an episode is open after each, and the alerts."""
        if not len(ticks.time):
            return np.zeros(0, np.bool_), []
        scores = self.weigh(scores)
        self.ring.show(ticks, scores)
        walked = self.walk(ticks, scores)
        self.ring.keep()
        return walked.open, [one.alert for one in walked.told]

    def walk(self, ticks: TickBlock, scores: Scores, stops: Stops = "") -> Walked:
        """As :meth:`feed`, at least one tick with weighed scores, while the ring shows the block to several.

        ``stops``: where it ends before the block does; the rest of the ticks is as if they had not come.
        """
        # A tick at or before the one ahead of it says that the clock was put back; a vehicle's first tick never does.
        previous = ticks.time[0] - 1 if self._last_time is None else self._last_time
        back = np.diff(ticks.time, prepend=previous) <= 0
        walked: Walked | None = None
        # Almost every block of a healthy truck ends here: nothing is open, and no chart, fresh or held, is high.
        carried = self._evidence.carried
        if self._current or carried.any or (scores.score >= ALARM_LEVEL).any():
            before = carried.copy() if stops else None
            block = Block(ticks, scores, self._evidence.of(ticks, scores, back), back, self._rewinds, stops)
            self._walk(block)
            walked = block.walked()
            if before and block.upto < len(ticks.time):
                ticks, scores, back = ticks.part(slice(block.upto)), scores.at(np.s_[: block.upto]), back[: block.upto]
                carried.put(before)
                self._evidence.of(ticks, scores, back)
        self._rewinds += int(np.count_nonzero(back))
        self._evidence.passed(ticks)
        self._last_time = int(ticks.time[-1])
        return walked or Walked(np.zeros(len(ticks.time), np.bool_), [], None)

    def advance(self, time: int) -> list[Alert]:
        """Event time reached ``time`` with no further tick before it: ends an episode that lost its evidence."""
        current = self._current
        if current is None or current.known + self._no_data >= time:
            return []
        return self._ended(EndReason.NO_DATA, current.known + self._no_data)

    def end(self, reason: EndReason) -> list[Alert]:
        """End the open episode, if any, after the last tick; without a hold-off when the state starts anew."""
        if self._last_time is None:
            return []
        alerts = self._ended(reason, self._last_time)
        # Whoever resets a vehicle, or brings another model, wants to hear of what is wrong now, not after a hold-off.
        if reason in (EndReason.RESET, EndReason.MODEL_CHANGED):
            self._shut_until = None
        return alerts

    def state(self) -> bytes:
        """All that the next tick's fate depends on."""
        carried, carried_fresh = self._evidence.carried.state()
        return msgspec.msgpack.encode(
            _State(
                digest=self._digest,
                vehicle=self.vehicle,
                ring=self.ring.state(),
                last_time=self._last_time,
                trip=self._evidence.trip,
                age=self._evidence.age,
                rewinds=self._rewinds,
                shut_until=self._shut_until,
                shut_rewinds=self._shut_rewinds,
                current=self._current,
                carried=carried,
                carried_fresh=carried_fresh,
                standing=self._standing.state() if self._standing else None,
                standing_since=self._standing_since,
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
        if saved.current is not None and len(saved.current.witness) != self._evidence.charts:
            raise StateError(
                f"state of episodes: damaged: expected {self._evidence.charts} charts, got {len(saved.current.witness)}"
            )
        if not {len(saved.carried), len(saved.carried_fresh)} <= {0, self._evidence.charts}:
            raise StateError(f"state of episodes: damaged: expected {self._evidence.charts} carried charts")
        try:
            known = self._spreads.spread is not None and saved.standing is not None
            close_after_s = self._policy.close_after_s
            standing = Standing.of(self._spreads, saved.standing, close_after_s) if known and saved.standing else None
        except ValueError as error:
            raise StateError(f"state of episodes: damaged: {error}") from error
        self.ring.restore(saved.ring)
        self._standing, self._standing_since = standing, saved.standing_since
        self._evidence.carried.restore(saved.carried, saved.carried_fresh)
        self._evidence.trip, self._evidence.age = saved.trip, saved.age
        self._last_time, self._rewinds = saved.last_time, saved.rewinds
        self._shut_until, self._shut_rewinds, self._current = saved.shut_until, saved.shut_rewinds, saved.current

    def _walk(self, block: Block) -> None:
        """Work through a block, leaping over ticks where nothing is open and nothing is over the limit."""
        tick = 0
        while tick < block.upto:
            if self._current is None:
                tick = self._next_over(block, tick)
                if tick >= block.upto:
                    break
                self._current = Episode(
                    start=block.time[tick],
                    rewinds=block.rewinds[tick],
                    known=block.time[tick],
                    witness=[False] * self._evidence.charts,
                )
                self._begin(block, tick)
            tick = self._window(block, tick)
        self._settle_worst(block)

    def _begin(self, block: Block, tick: int) -> None:
        """Remember where the signals were ahead of the episode at hand."""
        self._standing, self._standing_since = None, None
        if self._spreads.spread is not None and self._policy.persist_s:
            ahead, close_after_s = self.ring.rows(tick), self._policy.close_after_s
            self._standing = Standing(self._spreads, ahead, block.tick(tick), close_after_s)

    def _next_over(self, block: Block, tick: int) -> int:
        """The next tick with a fresh chart over the limit, past the hold-off; the block's length when there is none."""
        for found in block.over[np.searchsorted(block.over, tick) :].tolist():
            # A clock that was put back since ends the hold-off: its times say nothing about the new ones.
            shut = self._shut_until is not None and self._shut_rewinds == block.rewinds[found]
            if not shut or block.time[found] >= (self._shut_until or 0):
                return int(found)
        return len(block.time)

    def _window(self, block: Block, start: int) -> int:
        """Judge up to ``WINDOW`` ticks of the episode at hand; the tick to go on from."""
        current = self._current
        assert current is not None
        end = min(start + WINDOW, block.upto)
        waiting = current.told is None
        level = ALARM_LEVEL if waiting else self._policy.close_level
        evidence, witness = block.evidence.judge(start, end, level, np.array(current.witness), waiting=waiting)
        tick, quiet = start, start
        for tick in range(start, end):
            if tick < quiet:
                continue
            if not waiting and (quiet := self._quiet_until(block, tick, evidence[tick - start :])) > tick:
                continue
            if block.rewinds[tick] != current.rewinds:
                self._close(block, tick, EndReason.NO_DATA, int(self.ring.rows(tick).time[-1]), tick)
                return tick
            # Silence shows only at the tick that ends it; the episode ended when its time was up, not now.
            if current.known + self._no_data < block.time[tick]:
                self._close(block, tick, EndReason.NO_DATA, current.known + self._no_data, tick)
                return tick
            # What waits to open at the end of a trip is forgotten: the next trip starts with no evidence.
            if waiting and block.begins_trip(tick, self._evidence.trip) and block.time[tick] != current.start:
                self._current = self._standing = None
                return tick
            self._step(block, tick, evidence[tick - start])
            # The rest of the window was judged against the level that this tick made the wrong one.
            if self._current is None or waiting != (current.told is None) or block.upto <= tick + 1:
                break
        current.witness = witness[tick - start].tolist()
        return tick + 1

    def _quiet_until(self, block: Block, start: int, evidence: list[int]) -> int:
        """Pass over ticks at which the open episode only goes on: nothing is told, nothing ends. The first that is more
        than that; its ``evidence`` is the first one's at ``start``.

        As `_step` of each, in a loop without a call: of an hour with an open episode, nearly all ticks are such ones.
        """
        current, policy, end = self._current, self._policy, start + len(evidence)
        assert current is not None
        assert current.told is not None
        if severity_of(current.peak, policy) != current.severity or (self._standing and len(evidence) < FEWEST):
            return start
        known, low_since, standing_since = current.known, current.low_since, self._standing_since
        due, wait = current.told + round(policy.update_every_s * SECOND), round(policy.close_after_s * SECOND)
        persist, no_data = round(policy.persist_s * SECOND), self._no_data
        peak, top = current.peak, reached(current.peak)
        joined = block.joined(slice(start, end), self._groups if policy.update_on_signal else None, current.over)
        ahead = self._standing.ahead(block.rows(start, end), block.evidence.warm[start:end]) if self._standing else None
        if ahead and self._standing and block.stops == "held":
            grown: BoolArray = np.any(np.diff(ahead.over, axis=0, prepend=self._standing.over[None]), axis=1)
            if policy.follow_back:
                back = is_back(ahead.over, ahead.mean, ahead.most)
                grown |= np.any(np.diff(back, axis=0, prepend=self._standing.back[None]), axis=1)
            joined = [one or bool(other) for one, other in zip(joined, grown, strict=True)]
        tick = start
        for tick, one in enumerate(evidence, start):
            time = block.time[tick]
            if time >= due or joined[tick - start] or block.rewinds[tick] != current.rewinds or known + no_data < time:
                break
            if one == BLIND and time - known >= no_data:
                break
            if ahead and one == LOW and ahead.holds[tick - start]:
                if time - (time if standing_since is None else standing_since) >= persist:
                    break
                standing_since = time if standing_since is None else standing_since
            elif one == LOW and time - (time if low_since is None else low_since) >= wait:
                break
            if block.highest[tick] > top:
                highest = number(block.evidence.highest[tick]) or 0.0
                if severity_of(highest, policy) != current.severity:
                    break
                peak, top, block.peak_at = highest, block.highest[tick], tick
            if one == HIGH:
                standing_since = low_since = None
            elif one == LOW and low_since is None:
                low_since = time
            known = known if one == BLIND else time
        else:
            tick += 1
        if tick > start:
            current.known, current.low_since, current.last, current.peak = known, low_since, block.time[tick - 1], peak
            self._standing_since = standing_since
            block.open[start:tick] = True
            if ahead and self._standing:
                self._standing.go_to(ahead, tick - start)
                block.suspect(slice(start, tick), ahead.over[: tick - start])
        return tick

    def _step(self, block: Block, tick: int, evidence: int) -> None:
        """One tick of the episode at hand."""
        current, time, policy = self._current, block.time[tick], self._policy
        assert current is not None
        if evidence != Evidence.BLIND:
            current.known = time
        # BLIND leaves low_since as it is: a missing signal neither proves recovery nor undoes what was seen of it.
        if evidence == Evidence.HIGH:
            current.low_since = None
        elif evidence == Evidence.LOW and current.low_since is None:
            current.low_since = time
        if evidence == Evidence.BLIND and time - current.known >= self._no_data:
            self._close(block, tick + 1, EndReason.NO_DATA, time, tick)
            return
        if self._stands(block, tick, evidence):
            if self._standing_since is None:
                self._standing_since = time
            if time - self._standing_since >= round(policy.persist_s * SECOND):
                self._close(block, tick + 1, EndReason.ADAPTED, time, tick)
                return
            self._tell(block, tick, evidence)
            return
        if evidence == Evidence.LOW and current.low_since is not None:
            # One that has not opened yet is forgotten at its first LOW tick: open_after_s is without a LOW between.
            wait = 0 if current.told is None else round(policy.close_after_s * SECOND)
            if time - current.low_since >= wait:
                is_back = self._standing is None or self._standing.proven
                self._close(block, tick + 1, EndReason.RECOVERED if is_back else EndReason.QUIET, time, tick)
                return
        self._tell(block, tick, evidence)

    def _stands(self, block: Block, tick: int, evidence: int) -> bool:
        """Whether the charts have cleared and a signal is not back where it was before the episode; follows that."""
        standing, current = self._standing, self._current
        if standing is None or current is None:
            return False
        before, back = standing.over, self.back
        standing.follow(block.tick(tick))
        if block.stops == "held" and ((standing.over != before).any() or (self.back != back).any()):
            block.upto = tick + 1
        if evidence == Evidence.HIGH:
            self._standing_since = None
        if current.told is None or evidence != Evidence.LOW:
            return False
        return standing.holds

    def _tell(self, block: Block, tick: int, evidence: int) -> None:
        """Follow the peak; start or update the episode when that is due."""
        current, time = self._current, block.time[tick]
        assert current is not None
        if block.highest[tick] > reached(current.peak):
            current.peak = number(block.evidence.highest[tick]) or 0.0
            block.peak_at = tick
        severity = severity_of(current.peak, self._policy)
        if current.told is None:
            # Only a HIGH tick opens: at a BLIND one the alarm would stand on held charts alone.
            if evidence != Evidence.HIGH or time - current.start < round(self._policy.open_after_s * SECOND):
                return
            due, phase = True, Phase.START
        else:
            rises = worse(severity, current.severity) or self._is_joined(block, tick)
            due, phase = rises or time - current.told >= round(self._policy.update_every_s * SECOND), Phase.UPDATE
        block.open[tick], current.last = True, time
        if self._standing is not None:
            block.suspect(slice(tick, tick + 1), self._standing.over)
        if phase is Phase.START and block.stops == "held":
            block.upto = tick + 1
        current.severity = severity
        if due:
            alert = self._maker.alert(current, phase, self._named(tick, block), tick + 1, time)
            block.told.append(Told(tick, alert))
            current.told = time
            current.over = sorted({*(current.over or ()), *self._over(block, tick)})

    def _is_joined(self, block: Block, tick: int) -> bool:
        """Whether a signal, or a chart over several, is over its limit that was not in this episode so far."""
        current = self._current
        assert current is not None
        if not self._policy.update_on_signal or block.highest[tick] < ALARM_LEVEL:
            return False
        if current.over is None:
            current.over = sorted(self._over(block, tick))
        return not self._over(block, tick) <= set(current.over)

    def _over(self, block: Block, tick: int) -> set[int]:
        """What is over its limit at a tick: signals, and charts over several, by number."""
        evidence = block.evidence
        found: set[int] = set(self._groups[evidence.fresh[tick] & (evidence.chart[tick] >= ALARM_LEVEL)].tolist())
        return found

    def _named(self, tick: int, block: Block) -> tuple[Contribution, ...]:
        """The signals to name at one tick: an alert's is often the peak, too."""
        if tick not in block.named:
            fresh = block.evidence.fresh[tick]
            block.named[tick] = self._attribution.at(tick, block.ticks, block.scores, fresh, self.ring)
        return block.named[tick]

    def _settle_worst(self, block: Block) -> None:
        """Name the signals at the peak, if it lies in this block.

        Once a block or an episode is over, and not at every new peak: a rising fault has one at nearly every tick.
        """
        if self._current is not None and block.peak_at is not None:
            self._current.worst = self._named(block.peak_at, block)
        block.peak_at = None

    def _close(self, block: Block, upto: int, reason: EndReason, time: int, tick: int) -> None:
        """End the episode at hand at a tick; the block's ticks before ``upto`` are the past."""
        self._settle_worst(block)
        ended = self._ended(reason, time, upto)
        block.told += [Told(tick, alert) for alert in ended]
        if ended and block.stops:
            block.upto = tick + 1

    def _ended(self, reason: EndReason, time: int, upto: int = 0) -> list[Alert]:
        """Forget the episode at hand; its end alert when it had opened."""
        current, self._current = self._current, None
        self._standing, self._standing_since = None, None
        if current is None or current.told is None:
            return []
        self._shut_until = time + round(self._policy.hold_off_s * SECOND)
        self._shut_rewinds = current.rewinds
        return [self._maker.alert(current, Phase.END, current.worst, upto, time, reason)]


def reached(peak: float) -> float:
    """The chart that a peak, a decimal, stands for: float32, as charts are."""
    return float(np.float32(peak))

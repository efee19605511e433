"""Runs vehicles that may have something to report: each one's ticks in order, those of many in one call of the graph.

A call of the graph has one T for all its vehicles and cannot reset one of them midway: each vehicle's ticks are cut at
its trip starts, and pieces of equal length run together, round by round.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from tickover.core import resample as ticking
from tickover.core.episode_block import Stops
from tickover.core.manifest import Manifest
from tickover.core.slow_states import GROWTH, SlowStates
from tickover.core.values import FloatArray, Output, ScoredTicks, Scores, TickBlock
from tickover.core.watch import Watch, Watched
from tickover.core.watch_columns import Answer

HOLD_SPAN: Final = 64
"""Ticks that are run one by one, since slow states hold, before they are judged."""
LOOK: Final = 512
"""Ticks with scores that are judged at once behind one at which limits may have moved; then more and more."""


class BatchDetector(Protocol):
    """What the pipeline needs of :class:`tickover.model.detector.Detector`."""

    manifest: Manifest
    digest: str

    def new_state(self) -> FloatArray: ...

    def reset_trip(self, state: FloatArray) -> FloatArray: ...

    def run_batch(self, states: FloatArray, X: npt.ArrayLike) -> tuple[FloatArray, Scores]: ...


@dataclass(slots=True)
class Vehicle:
    """All that is known of one vehicle; ``trip`` is that of the newest tick scored (-1: none). With a ``row``,
    ``watch`` and ``state`` hold nothing, or what is out of date, and the columns hold it; so are ``ticks`` with a
    ``tick_row``. ``tried``: the columns did not take what waits first; ``answer``: what the graph says of its first
    tick, when they ran it.
    """

    ticks: ticking.Ticks
    watch: Watch
    state: FloatArray
    trip: int = -1
    waiting: list[TickBlock] = field(default_factory=list)
    tried: bool = False
    answer: Answer | None = None
    advanced: bool = False
    row: int | None = None
    tick_row: int | None = None


@dataclass(slots=True)
class _Job:
    """One vehicle's ticks while they are run: ``ends`` of the trips still to run. ``most`` bounds the next piece, which
    starts at tick ``done``; ``parts`` are judged already, ``scores`` are those of ticks behind them that are not."""

    vehicle: Vehicle
    ticks: TickBlock
    done: int
    ends: list[int]
    most: int
    answer: Answer | None
    parts: list[Watched] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)

    @property
    def upto(self) -> int:
        """Where the next piece ends."""
        return min(self.ends[0], self.done + self.most)

    @property
    def holds(self) -> bool:
        """Whether slow states hold, and several ticks are to be run one by one."""
        return self.most == 1 and self.ends[0] > self.done + 1 and self.vehicle.watch.holds

    def judge(self, scores: Scores, stops: Stops) -> int:
        """Judge the next ticks by their scores, as far as ``stops`` allows: how many."""
        ticks = self.ticks.part(slice(self.done, self.done + len(scores.score)))
        self.parts.append(self.vehicle.watch.feed(ticks, scores, stops))
        count = len(self.parts[-1].open)
        self.done += count
        return count

    def passed(self, upto: int) -> None:
        """The ticks before this one have been run."""
        self.done = upto
        if upto == self.ends[0]:
            self.ends.pop(0)


class Alone:
    """Runs jobs of one model; ``slow`` says where ticks must be run one by one."""

    def __init__(self, detector: BatchDetector, slow: SlowStates) -> None:
        self._detector, self._slow = detector, slow

    def run(self, vehicles: Sequence[Vehicle]) -> list[Output]:
        """Run the ticks that wait, at least one of each vehicle."""
        jobs = [self._job(vehicle) for vehicle in vehicles]
        while unfinished := [job for job in jobs if job.ends]:
            for batch in _equal_lengths(unfinished):
                if len(batch) == 1 and batch[0].holds:
                    self._hold(batch[0])
                else:
                    self._run(batch)
        return [self._output(job) for job in jobs]

    def _job(self, vehicle: Vehicle) -> _Job:
        ticks = ticking.join(vehicle.waiting)
        assert ticks is not None
        answer, vehicle.answer = vehicle.answer, None
        vehicle.waiting, vehicle.tried = [], False
        starts = np.flatnonzero(np.diff(ticks.trip)) + 1
        return _Job(vehicle, ticks, 0, [*starts.tolist(), len(ticks.time)], self._slow.most(vehicle.watch), answer)

    def _run(self, batch: list[_Job]) -> None:
        """The next piece of each job, all of the same length, in one call."""
        for job in batch:
            self._begin(job)
        states, scores = self._answers(batch)
        for row, job in enumerate(batch):
            self._accept(job, states[row], scores.at(np.s_[:, row]))

    def _answers(self, batch: list[_Job]) -> tuple[FloatArray, Scores]:
        """The states after the next piece of each job, and its scores."""
        if len(batch) == 1 and (answer := batch[0].answer) is not None and batch[0].upto == 1:
            return answer.state[None], answer.scores
        pieces = [job.ticks.values[job.done : job.upto] for job in batch]
        return self._detector.run_batch(np.stack([job.vehicle.state for job in batch]), np.stack(pieces, axis=1))

    def _begin(self, job: _Job) -> None:
        """Where the next piece begins a trip, the vehicle does."""
        trip = int(job.ticks.trip[job.done])
        # A vehicle's first trip starts from the initial state, which needs no reset.
        if job.vehicle.trip not in (-1, trip):
            job.vehicle.watch.begin_trip(int(job.ticks.time[job.done]), job.vehicle.state)
            job.vehicle.state = self._detector.reset_trip(job.vehicle.state)
        job.vehicle.trip = trip

    def _accept(self, job: _Job, after: FloatArray, scores: Scores) -> None:
        """Take the state after a job's next piece, and its scores; or run less of it, when slow states must hold."""
        upto, watch = job.upto, job.vehicle.watch
        if not self._slow.stops:
            job.scores.append(scores)
        elif self._slow.any:
            if watch.holds:  # one tick
                after = self._slow.held(job.vehicle.state, after, watch.held_signals, watch.following_signals)
            count = job.judge(scores, self._slow.stops)
            if upto > job.done:
                # The state behind the last tick judged: from there on, slow states are others.
                x = job.ticks.values[job.done - count : job.done]
                states, _ = self._detector.run_batch(job.vehicle.state[None], x[:, None])
                after, upto = states[0], job.done
                job.most = count
            job.most = self._slow.most(watch, job.most)
        else:
            self._judge_all(job, scores)
        job.vehicle.state = after.copy()  # a view would keep the whole batch alive
        job.passed(upto)

    def _judge_all(self, job: _Job, scores: Scores) -> None:
        """Judge a piece by scores that are known already, up to each tick behind which limits may have moved. Few at
        once first: those behind such a tick are looked at again."""
        most, done = LOOK, 0
        while done < len(scores.score):
            part = scores.at(np.s_[done : done + most])
            count = job.judge(part, self._slow.stops)
            most = LOOK if count < len(part.score) else most * GROWTH
            done += count

    def _hold(self, job: _Job) -> None:
        """The next ticks of a job whose slow states hold, one by one; they are judged together."""
        self._begin(job)
        watch, rows = job.vehicle.watch, job.ticks.values[job.done : min(job.ends[0], job.done + HOLD_SPAN)]
        about, back, states, said = watch.held_signals, watch.following_signals, [job.vehicle.state], []
        for row in rows:
            after, scores = self._detector.run_batch(states[-1][None], row[None, None])
            states.append(self._slow.held(states[-1], after[0], about, back))
            said.append(scores.at(np.s_[:, 0]))
        count = job.judge(_joined(said), self._slow.stops)
        job.vehicle.state = states[count].copy()
        job.most = self._slow.most(watch, job.most)
        job.passed(job.done)

    def _output(self, job: _Job) -> Output:
        parts = job.parts or [job.vehicle.watch.feed(job.ticks, _joined(job.scores))]
        scores = _joined([part.scores for part in parts])
        open_ = parts[0].open if len(parts) == 1 else np.concatenate([part.open for part in parts])
        alerts = [alert for part in parts for alert in part.alerts]
        return Output(ScoredTicks(job.ticks, scores, open_), alerts, job.vehicle.watch.remarks())


def _equal_lengths(jobs: list[_Job]) -> Iterator[list[_Job]]:
    """Jobs grouped by the length of their next piece."""
    groups: dict[int, list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.upto - job.done, []).append(job)
    yield from groups.values()


def _joined(parts: list[Scores]) -> Scores:
    if len(parts) == 1:
        return parts[0]
    return Scores(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.chart for part in parts]),
        np.concatenate([part.expected for part in parts]),
    )

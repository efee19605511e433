"""Runs vehicles that may have something to report: each one's ticks in order, those of many in one call of the graph.

A call of the graph has one T for all its vehicles and cannot reset one of them midway: each vehicle's ticks are cut at
its trip starts, and pieces of equal length run together, round by round.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tickover.core import resample as ticking
from tickover.core.manifest import Manifest
from tickover.core.slow_states import SlowStates
from tickover.core.values import FloatArray, Output, ScoredTicks, Scores, TickBlock
from tickover.core.watch import Watch, Watched


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
    ``tick_row``.
    """

    ticks: ticking.Ticks
    watch: Watch
    state: FloatArray
    trip: int = -1
    waiting: list[TickBlock] = field(default_factory=list)
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
    parts: list[Watched] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)

    @property
    def upto(self) -> int:
        """Where the next piece ends."""
        return min(self.ends[0], self.done + self.most)

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
                self._run(batch)
        return [self._output(job) for job in jobs]

    def _job(self, vehicle: Vehicle) -> _Job:
        ticks = ticking.join(vehicle.waiting)
        assert ticks is not None
        vehicle.waiting = []
        starts = np.flatnonzero(np.diff(ticks.trip)) + 1
        return _Job(vehicle, ticks, 0, [*starts.tolist(), len(ticks.time)], self._slow.most(vehicle.watch))

    def _run(self, batch: list[_Job]) -> None:
        """The next piece of each job, all of the same length, in one call."""
        for job in batch:
            trip = int(job.ticks.trip[job.done])
            # A vehicle's first trip starts from the initial state, which needs no reset.
            if job.vehicle.trip not in (-1, trip):
                job.vehicle.watch.begin_trip(int(job.ticks.time[job.done]), job.vehicle.state)
                job.vehicle.state = self._detector.reset_trip(job.vehicle.state)
            job.vehicle.trip = trip
        pieces = [job.ticks.values[job.done : job.upto] for job in batch]
        states, scores = self._detector.run_batch(
            np.stack([job.vehicle.state for job in batch]), np.stack(pieces, axis=1)
        )
        for row, job in enumerate(batch):
            self._accept(job, states[row], scores.at(np.s_[:, row]))

    def _accept(self, job: _Job, after: FloatArray, scores: Scores) -> None:
        """Take the state after a job's next piece, and its scores; or run less of it, when slow states must hold."""
        upto, watch = job.upto, job.vehicle.watch
        if self._slow.steps:
            if job.most > 1 and (over := watch.first_over(scores)) is not None:
                # From here on an episode may be open, and every tick decides whether slow states hold at the next.
                job.most = max(over, 1)
                if upto - job.done > job.most:
                    return
            if self._slow.any and watch.holds:
                after = self._slow.held(job.vehicle.state, after, watch.held_signals)
            job.parts.append(watch.feed(job.ticks.part(slice(job.done, upto)), scores))
            job.most = self._slow.most(watch, job.most)
        else:
            job.scores.append(scores)
        job.vehicle.state[:] = after  # a view would keep the whole batch alive
        job.passed(upto)

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

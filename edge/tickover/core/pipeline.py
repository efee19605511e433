"""Ticks, detector and episodes joined, for many vehicles: readings in, scored ticks and alerts out. No I/O, no clock.

``feed`` and ``advance`` only take in; ``pump`` runs every closed tick of every vehicle, vehicles with equally many
ticks in one call of the graph. Vehicles share nothing but that call: each result is what it would be alone.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from tickover.core import resample as ticking
from tickover.core.ledger import Entry, Verdict
from tickover.core.manifest import Manifest
from tickover.core.policy import Settings
from tickover.core.promise import Promise
from tickover.core.record import Judged
from tickover.core.slow_states import SlowStates
from tickover.core.state_codec import seal, unseal
from tickover.core.values import (
    Alert,
    EndReason,
    FloatArray,
    Readings,
    Remark,
    ScoredTicks,
    Scores,
    TickBlock,
)
from tickover.core.watch import Watch, Watched
from tickover.core.watch_columns import MOST_TICKS, WatchColumns
from tickover.core.windows import IndexArray
from tickover.errors import StateError

STATE_VERSION: Final = 1


class BatchDetector(Protocol):
    """What the pipeline needs of :class:`tickover.model.detector.Detector`."""

    manifest: Manifest
    digest: str

    def new_state(self) -> FloatArray: ...

    def reset_trip(self, state: FloatArray) -> FloatArray: ...

    def run_batch(self, states: FloatArray, X: npt.ArrayLike) -> tuple[FloatArray, Scores]: ...


@dataclass(frozen=True, slots=True)
class Output:
    """One vehicle's part of a pump: scored ticks (possibly none), the alerts that they and ``advance`` caused, and
    what is to be told apart from these."""

    scored: ScoredTicks
    alerts: list[Alert]
    remarks: list[Remark] = field(default_factory=list)


class _State(msgspec.Struct, frozen=True, array_like=True):
    """What :meth:`Pipeline.state` seals."""

    version: int
    digest: str
    vehicle: str
    ticks: bytes
    episodes: bytes
    trip: int
    numbers: bytes
    sensors: bytes = b""
    record: bytes = b""


@dataclass(slots=True)
class _Vehicle:
    """All that is known of one vehicle; ``trip`` is that of the newest tick scored (-1: none). With a ``row``,
    ``watch`` and ``state`` are out of date, and what they hold is in the columns."""

    ticks: ticking.Ticks
    watch: Watch
    state: FloatArray
    trip: int = -1
    waiting: list[TickBlock] = field(default_factory=list)
    advanced: bool = False
    row: int | None = None


@dataclass(slots=True)
class _Job:
    """One vehicle's ticks while they are run: ``ends`` of the trips still to run. ``most`` bounds the next piece, which
    starts at tick ``done``; ``parts`` are judged already, ``scores`` are those of ticks behind them that are not."""

    vehicle: _Vehicle
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


class Pipeline:
    """Runs one model over many vehicles' readings.

    ``sensors_of``: the signals whose sensors are reported on; None: all of the model's. ``window``: how long a reading
    that comes again is known, microseconds; 0 when somebody else takes care of it.
    """

    def __init__(
        self,
        detector: BatchDetector,
        settings: Settings | None = None,
        name: str = "anomaly",
        sensors_of: Collection[str] | None = None,
        window: int = 0,
    ) -> None:
        self._detector, self._name, self._sensors_of, self._window = detector, name, sensors_of, window
        self._settings = settings or Settings()
        self._settings.check(detector.manifest)
        self._policy = self._settings.policy(detector.manifest)
        self._slow = SlowStates(detector.manifest, self._policy)
        self._sensor_policy = self._settings.sensor_policy(detector.manifest)
        names = detector.manifest.names
        self._columns = WatchColumns(detector, self._watch(""), len(detector.new_state()), len(names))
        self._vehicles: dict[str, _Vehicle] = {}
        self._stirred: dict[str, None] = {}
        self._counts: Counter[str] = Counter()
        self._signal_counts: dict[str, IndexArray] = {}

    @property
    def vehicles(self) -> tuple[str, ...]:
        """The vehicles seen, in order of first sight."""
        return tuple(self._vehicles)

    def __contains__(self, vehicle: str) -> bool:
        return vehicle in self._vehicles

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals of the model, in its order."""
        return self._detector.manifest.names

    @property
    def adapts(self) -> bool:
        """Whether limits follow the vehicles."""
        return self._policy.adapt_limits

    @property
    def back_limit(self) -> int:
        """See :func:`resample.back_limit`."""
        return ticking.back_limit(self._detector.manifest)

    @property
    def counts(self) -> Counter[str]:
        """Readings dropped or repaired since the start, by reason, over all vehicles, also those forgotten since.

        See :class:`resample.Ticks`. A count never falls.
        """
        return self._counts.copy()

    @property
    def signal_counts(self) -> Mapping[str, IndexArray]:
        """The same by reason and signal, int64 ``[F]``."""
        return dict(self._signal_counts)

    def feed(self, block: Readings) -> None:
        """Take readings in order of arrival."""
        self._queue(block.vehicle, self._known(block.vehicle).ticks.add(block))

    def advance(self, vehicle: str, time: int) -> None:
        """Say that ``vehicle``'s event time has reached ``time`` without a reading."""
        known = self._known(vehicle)
        self._queue(vehicle, known.ticks.advance(time))
        known.advanced = True
        self._stirred[vehicle] = None

    def restart(self, vehicle: str) -> None:
        """The vehicle's next reading starts a new trip whatever its time, as when a log starts over."""
        self._known(vehicle).ticks.restart()

    def watermark(self, vehicle: str) -> int | None:
        """The largest event time that the vehicle has reached; None before its first reading."""
        return self._known(vehicle).ticks.watermark

    def is_open(self, vehicle: str) -> bool:
        """Whether the vehicle has an open episode, as of the last pump."""
        known = self._known(vehicle)
        return known.row is None and known.watch.is_open

    def pump(self) -> list[Output]:
        """Run all closed ticks of all vehicles; one output for each that has ticks or alerts, in order of arrival.

        The others cost nothing: a fleet reports a few at a time.
        """
        stirred = [self._vehicles[name] for name in self._stirred if name in self._vehicles]
        self._stirred.clear()
        waiting = [vehicle for vehicle in stirred if vehicle.waiting]
        made = self._run_calm(waiting)
        # A call of the graph has one T for all its vehicles and cannot reset one of them midway: each vehicle's ticks
        # are cut at its trip starts, and pieces of equal length run together, round by round.
        jobs = {place: self._job(vehicle) for place, vehicle in enumerate(waiting) if place not in made}
        while unfinished := [job for job in jobs.values() if job.ends]:
            for batch in _equal_lengths(unfinished):
                self._run(batch)
        made |= {place: self._output(job) for place, job in jobs.items()}
        outputs = [made[place] for place in range(len(waiting))]
        # Silence is judged after the ticks: they may hold the evidence whose absence would end an episode.
        for vehicle in stirred:
            if vehicle.advanced:
                vehicle.advanced = False
                self._silence(vehicle, outputs)
        return outputs

    def flush(self, vehicle: str | None = None) -> list[Output]:
        """The end of a log: close every tick, run them, and end open episodes with ``end_of_log``."""
        chosen = self.vehicles if vehicle is None else (vehicle,)
        for name in chosen:
            self._queue(name, self._known(name).ticks.flush())
        return self.pump() + [output for name in chosen for output in self.end(name, EndReason.END_OF_LOG)]

    def end(self, vehicle: str, reason: EndReason) -> list[Output]:
        """End the vehicle's open episode, if any, for a reason that is not in the data."""
        known = self._alone(vehicle)
        alerts = known.watch.end(reason)
        return [Output(self._no_ticks(known), alerts, known.watch.remarks())] if alerts else []

    def judge(self, vehicle: str, name: str, verdict: Verdict) -> Judged | None:
        """A person's verdict on an episode of the vehicle, by the id of it or of an alert; None for an unknown one."""
        return self._alone(vehicle).watch.judge(name, verdict) if vehicle in self._vehicles else None

    def entry(self, vehicle: str, name: str) -> Entry | None:
        """What is remembered of an episode of the vehicle, by the id of it or of an alert."""
        return self._vehicles[vehicle].watch.entry(name) if vehicle in self._vehicles else None

    def reached(self, vehicle: str) -> int:
        """The time of the vehicle's newest tick; 0 without one."""
        return self._alone(vehicle).watch.reached

    def promise(self, vehicle: str) -> Promise:
        """The vehicle's promise meter."""
        return self._alone(vehicle).watch.promise

    def adapted(self, vehicle: str) -> dict[str, float]:
        """The vehicle's limits that follow: chart to times the trained one."""
        return self._known(vehicle).watch.adapted

    def forget(self, vehicle: str) -> None:
        """Drop all that is known of a vehicle, as before its first reading; pump first, or its ticks are lost."""
        self._drop_row(vehicle)
        self._vehicles.pop(vehicle, None)

    def state(self, vehicle: str) -> bytes:
        """All that the vehicle's future depends on; pump first. StateError when closed ticks are waiting."""
        known = self._alone(vehicle)
        if known.waiting:
            raise StateError(f"vehicle {vehicle}: expected no ticks waiting to be run; pump before saving state")
        episodes, sensors, record = known.watch.state()
        state = _State(
            version=STATE_VERSION,
            digest=self._detector.digest,
            vehicle=vehicle,
            ticks=known.ticks.state(),
            episodes=episodes,
            trip=known.trip,
            numbers=known.state.astype("<f4").tobytes(),
            sensors=sensors,
            record=record,
        )
        return seal(msgspec.msgpack.encode(state))

    def restore(self, vehicle: str, state: bytes) -> None:
        """Continue from :meth:`state`; StateError, and nothing changed, when damaged or of another model or vehicle."""
        saved = _decode(state)
        if saved.version != STATE_VERSION:
            raise StateError(f"vehicle {vehicle}: expected state of version {STATE_VERSION}, got {saved.version}")
        if saved.digest != self._detector.digest:
            raise StateError(
                f"vehicle {vehicle}: expected state of the model {self._detector.digest[:12]}, "
                f"got state of {saved.digest[:12]}"
            )
        if saved.vehicle != vehicle:
            raise StateError(f"expected state of vehicle {vehicle}, got state of {saved.vehicle}")
        fresh = self._new(vehicle)  # not the vehicle itself: nothing may have changed when a check fails
        if len(saved.numbers) != fresh.state.nbytes:
            raise StateError(f"vehicle {vehicle}: expected {fresh.state.size} numbers of recurrent state")
        fresh.state = np.frombuffer(saved.numbers, "<f4").astype(np.float32)
        if not np.isfinite(fresh.state).all():
            raise StateError(f"vehicle {vehicle}: expected finite numbers of recurrent state")
        fresh.ticks.restore(saved.ticks)
        fresh.watch.restore(saved.episodes, saved.sensors, saved.record)
        fresh.trip = saved.trip
        self._drop_row(vehicle)
        self._vehicles[vehicle] = fresh

    def _known(self, vehicle: str) -> _Vehicle:
        if vehicle not in self._vehicles:
            self._vehicles[vehicle] = self._new(vehicle)
        return self._vehicles[vehicle]

    def _new(self, vehicle: str) -> _Vehicle:
        ticks = ticking.Ticks.of(vehicle, self._detector.manifest, self._window)
        # All vehicles count into one: counts of their own would be lost when a vehicle is forgotten.
        ticks.counts, ticks.signal_counts = self._counts, self._signal_counts
        return _Vehicle(ticks, self._watch(vehicle), self._detector.new_state())

    def _watch(self, vehicle: str) -> Watch:
        return Watch(
            self._detector.manifest,
            self._detector.digest,
            vehicle,
            self._name,
            policy=self._policy,
            sensors=self._sensor_policy,
            sensitivity=dict(self._settings.sensitivity),
            signals=self._sensors_of,
        )

    def _alone(self, vehicle: str) -> _Vehicle:
        """The vehicle, with what the columns hold of it."""
        known = self._known(vehicle)
        self._let_go(known)
        return known

    def _let_go(self, vehicle: _Vehicle) -> None:
        if vehicle.row is not None:
            self._columns.let_go(vehicle.row, vehicle.watch, vehicle.state)
            vehicle.row = None

    def _drop_row(self, vehicle: str) -> None:
        known = self._vehicles.get(vehicle)
        if known is not None and known.row is not None:
            self._columns.drop(known.row)

    def _queue(self, vehicle: str, block: TickBlock) -> None:
        if len(block.time):
            self._vehicles[vehicle].waiting.append(block)
            self._stirred[vehicle] = None

    def _run_calm(self, waiting: list[_Vehicle]) -> dict[int, Output]:
        """The outputs, by place, of the vehicles that have nothing to report, which are run side by side."""
        groups: dict[int, list[tuple[int, TickBlock]]] = {}
        for place, vehicle in enumerate(waiting):
            block = ticking.join(vehicle.waiting)
            if block is not None and self._may_be_calm(vehicle, block):
                groups.setdefault(len(block.time), []).append((place, block))
        made: dict[int, Output] = {}
        for count, group in groups.items():
            rows = np.array([waiting[place].row for place, _ in group], np.int64)
            time = np.stack([block.time for _, block in group], axis=1)
            trip = np.array([waiting[place].trip for place, _ in group], np.int64)
            calm = self._columns.run(rows, time, trip, np.stack([block.values for _, block in group], axis=1))
            shut = np.zeros(count, np.bool_)
            for column, (place, block) in enumerate(group):
                if calm.taken[column]:
                    waiting[place].waiting = []
                    made[place] = Output(ScoredTicks(block, calm.scores.at(np.s_[:, column]), shut), [])
        return made

    def _may_be_calm(self, vehicle: _Vehicle, block: TickBlock) -> bool:
        """Whether a block can be run in the columns; the vehicle is in them then."""
        if len(block.time) > MOST_TICKS or block.outside is not None:
            return False
        if not block.trip[0] == block.trip[-1] == vehicle.trip:
            return False
        if vehicle.row is None:
            vehicle.row = self._columns.take_in(vehicle.watch, vehicle.state, vehicle.trip)
        return vehicle.row is not None

    def _job(self, vehicle: _Vehicle) -> _Job:
        self._let_go(vehicle)
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
            after = self._slow.held(job.vehicle.state, after) if self._slow.any and watch.holds else after
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

    def _silence(self, vehicle: _Vehicle, outputs: list[Output]) -> None:
        """After an advance: an episode whose evidence has been missing too long ends; adds to ``outputs``."""
        if vehicle.row is not None:
            return  # no episode is open
        until = vehicle.ticks.closed_until
        alerts = vehicle.watch.advance(until) if until is not None else []
        if not alerts:
            return
        mine = next((out for out in outputs if out.scored.ticks.vehicle == vehicle.ticks.vehicle), None)
        if mine is None:
            outputs.append(Output(self._no_ticks(vehicle), alerts, vehicle.watch.remarks()))
        else:
            mine.alerts.extend(alerts)
            mine.remarks.extend(vehicle.watch.remarks())

    def _no_ticks(self, vehicle: _Vehicle) -> ScoredTicks:
        signals, charts = len(self._detector.manifest.signals), len(self._detector.manifest.charts)
        nothing = [np.empty((0, *shape), np.float32) for shape in ((), (charts,), (signals,))]
        times = np.empty(0, np.int64)
        ticks = TickBlock(vehicle.ticks.vehicle, times, times, nothing[2])
        return ScoredTicks(ticks, Scores(*nothing), np.zeros(0, np.bool_))


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


def _decode(state: bytes) -> _State:
    try:
        return msgspec.msgpack.decode(unseal(state), type=_State)
    except msgspec.MsgspecError as error:
        raise StateError(f"saved state is damaged: {error}") from error

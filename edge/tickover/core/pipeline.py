"""Ticks, detector and episodes joined, for many vehicles: readings in, scored ticks and alerts out. No I/O, no clock.

``feed`` and ``advance`` only take in; ``pump`` runs every closed tick of every vehicle, vehicles with equally many
ticks in one call of the graph. Vehicles share nothing but that call: each result is what it would be alone.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tickover.core import pipeline_state
from tickover.core import resample as ticking
from tickover.core.chart_signals import BoolArray
from tickover.core.columns import Rows, all_of, any_of
from tickover.core.emitted import EmittedTicks
from tickover.core.ledger import Entry, Verdict
from tickover.core.pipeline_state import STATE_VERSION, PipelineState
from tickover.core.policy import Settings
from tickover.core.promise import Promise
from tickover.core.record import Judged
from tickover.core.run_alone import Alone, BatchDetector, Vehicle
from tickover.core.sensor_limits import usual_silences
from tickover.core.slow_states import SlowStates
from tickover.core.tick_columns import NO_TICK, OneTick, TickColumns
from tickover.core.values import (
    DoubleArray,
    EndReason,
    FloatArray,
    Output,
    Pumped,
    Readings,
    ScoredTicks,
    Scores,
    TickBlock,
    TimeArray,
    Together,
)
from tickover.core.watch import Watch
from tickover.core.watch_columns import MOST_TICKS, WatchColumns
from tickover.core.windows import IndexArray
from tickover.errors import StateError


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
        self._alone_runs = Alone(detector, SlowStates(detector.manifest, self._policy))
        self._sensor_policy = self._settings.sensor_policy(detector.manifest)
        self.signals: tuple[str, ...] = detector.manifest.names
        """The signals of the model, in its order."""
        self._columns = WatchColumns(detector, self._watch(""), len(detector.new_state()), len(self.signals))
        self._nobodys, self._initial = np.empty(0, np.float32), detector.new_state()
        self._vehicles: dict[str, Vehicle] = {}
        self._stirred: dict[str, None] = {}
        self._counts: Counter[str] = Counter()
        self._signal_counts: dict[str, IndexArray] = {}
        self._tick_columns = TickColumns(detector.manifest, *self._new_ticks("").in_range)
        self._emitted = EmittedTicks()
        self._watch_rows, self._names = np.empty(0, np.int64), np.empty(0, object)
        """By the row of a vehicle's ticks: that of its watch, -1 where that is to be found out, and its name."""
        self._by_tick_row: dict[int, Vehicle] = {}

    @property
    def vehicles(self) -> tuple[str, ...]:
        """The vehicles seen, in order of first sight."""
        return tuple(self._vehicles)

    def __contains__(self, vehicle: str) -> bool:
        return vehicle in self._vehicles

    @property
    def adapts(self) -> bool:
        """Whether limits follow the vehicles."""
        return self._policy.adapt_limits

    @property
    def usual_silences(self) -> dict[str, int]:
        """For how long signals that are sent seldom may be silent, microseconds."""
        return usual_silences(self._detector.manifest)

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

    def lend(self, vehicle: str, row: int) -> bool:
        """Let the vehicle's readings come by `may` and `take` from now on, as those of ``row``; False: they cannot."""
        known = self._known(vehicle)
        lent = known.ticks.lend()
        if lent is None:
            return False
        self._tick_columns.put(row, lent)
        known.ticks.drop_lent()
        known.tick_row, self._by_tick_row[row] = row, known
        if row >= len(self._names):
            more = row + 1  # twice as many as there are, so that growing costs little
            self._watch_rows = np.append(self._watch_rows, np.full(more, -1))
            self._names = np.append(self._names, np.full(more, "", object))
        self._watch_rows[row], self._names[row] = -1, vehicle
        return True

    def may(self, rows: Rows, time: TimeArray, values: DoubleArray) -> BoolArray:
        """See `TickColumns.may`."""
        return self._tick_columns.may(rows, time, values)

    def take(self, rows: Rows, time: TimeArray, values: DoubleArray) -> None:
        """Take a row of each of some vehicles, whose it may; as `feed`."""
        emitted, missing = self._tick_columns.take(rows, time, values)
        if emitted is not None:
            self._emitted.add(emitted)
        if missing is not None:
            self._count_missing(missing)

    def _count_missing(self, missing: IndexArray) -> None:
        self._counts["missing"] += int(missing.sum())
        self._signal_counts["missing"] = self._signal_counts.get("missing", 0) + missing

    def may_one(self, row: int, time: int, values: DoubleArray) -> bool:
        """See `TickColumns.may_one`."""
        return self._tick_columns.may_one(row, time, values)

    def take_one(self, row: int, time: int, values: DoubleArray) -> None:
        """`take` of one vehicle: ``values`` ``[F]``."""
        emitted, missing = self._tick_columns.take_one(row, time, values)
        if emitted is not None:
            self._emitted.add(emitted)
        if missing is not None:
            self._count_missing(missing)

    def take_back(self, vehicles: Collection[str], keep: bool = False) -> None:
        """Bring the vehicles' ticks up to date; readings come by `feed` again, unless they ``keep`` their rows."""
        found = map(self._vehicles.get, vehicles)
        lent = [known for known in found if known is not None and known.tick_row is not None]
        self._spread({known.tick_row for known in lent if known.tick_row is not None})
        for known in lent:
            assert known.tick_row is not None
            known.ticks.give(self._tick_columns.get(known.tick_row))
            if not keep:
                del self._by_tick_row[known.tick_row]
                known.tick_row = None

    def closes_at(self, vehicle: str) -> int:
        """Rows in order up to before this event time close no tick of the vehicle, whose ticks are not lent."""
        known = self._vehicles.get(vehicle)
        return NO_TICK if known is None else known.ticks.closes_at

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

    def silent(self, vehicle: str) -> set[str]:
        """The signals of which an open episode says that they are not read, as of the last pump."""
        known = self._vehicles.get(vehicle)
        return set() if known is None or known.row is not None else known.watch.silent

    def pump(self) -> list[Output]:
        """Run all closed ticks of all vehicles; one output for each that has ticks or alerts.

        The others cost nothing: a fleet reports a few at a time.
        """
        return self.run().each()

    def run(self) -> Pumped:
        """As `pump`, with many vehicles in one, where they have nothing to report."""
        if not self._stirred and not self._emitted:
            return Pumped([], [])
        together = self._run_emitted()
        if not self._stirred:
            return Pumped([], together)
        stirred = [self._vehicles[name] for name in self._stirred if name in self._vehicles]
        self._stirred.clear()
        waiting = [vehicle for vehicle in stirred if vehicle.waiting]
        made = self._run_calm(waiting)
        others = [place for place in range(len(waiting)) if place not in made]
        for place in others:
            self._let_go(waiting[place])
        new = [waiting[place] for place in others if waiting[place].trip < 0]
        made |= zip(others, self._alone_runs.run([waiting[place] for place in others]), strict=True)
        for vehicle in new:
            self._has_row(vehicle, vehicle.trip)  # objects of a thousand new vehicles would leave holes in the heap
        outputs = [made[place] for place in range(len(waiting))]
        # Silence is judged after the ticks: they may hold the evidence whose absence would end an episode.
        for vehicle in stirred:
            if vehicle.advanced:
                vehicle.advanced = False
                self._silence(vehicle, outputs)
        return Pumped(outputs, together)

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
        return self._shown(vehicle).reached

    def promise(self, vehicle: str) -> Promise:
        """The vehicle's promise meter."""
        return self._shown(vehicle).promise

    def with_episodes(self) -> list[str]:
        """The vehicles of which episodes count in the promise meter."""
        return [name for name, known in self._vehicles.items() if known.watch.promise.has_episodes]

    def adapted(self, vehicle: str) -> dict[str, float]:
        """The vehicle's limits that follow: chart to times the trained one."""
        return self._known(vehicle).watch.adapted

    def forget(self, vehicle: str) -> None:
        """Drop all that is known of a vehicle, as before its first reading; pump first, or its ticks are lost."""
        self._drop_row(vehicle)
        if known := self._vehicles.pop(vehicle, None):
            known.ticks.drop()

    def state(self, vehicle: str) -> bytes:
        """All that the vehicle's future depends on; pump first. StateError when closed ticks are waiting."""
        self.take_back([vehicle], keep=True)
        known = self._alone(vehicle, keep=True)
        if known.waiting:
            raise StateError(f"vehicle {vehicle}: expected no ticks waiting to be run; pump before saving state")
        episodes, sensors, record = known.watch.state()
        ticks, numbers, digest = known.ticks.state(), known.state.astype("<f4").tobytes(), self._detector.digest
        self._put_away(known)
        return PipelineState(
            STATE_VERSION, digest, vehicle, ticks, episodes, known.trip, numbers, sensors, record
        ).encode()

    def restore(self, vehicle: str, state: bytes) -> None:
        """Continue from :meth:`state`; StateError, and nothing changed, when damaged or of another model or vehicle."""
        saved = pipeline_state.decode(state, vehicle, self._detector.digest)
        fresh = self._new(vehicle)  # not the vehicle itself: nothing may have changed when a check fails
        fresh.state = saved.recurrent(fresh.state.size)
        fresh.ticks.restore(saved.ticks)
        fresh.watch.restore(saved.episodes, saved.sensors, saved.record)
        fresh.trip = saved.trip
        self._drop_row(vehicle)
        self._vehicles[vehicle] = fresh

    def _known(self, vehicle: str) -> Vehicle:
        if vehicle not in self._vehicles:
            self._vehicles[vehicle] = self._new(vehicle)
        return self._vehicles[vehicle]

    def _new(self, vehicle: str) -> Vehicle:
        return Vehicle(self._new_ticks(vehicle), self._watch(vehicle), self._initial)

    def _new_ticks(self, vehicle: str) -> ticking.Ticks:
        ticks = ticking.Ticks.of(vehicle, self._detector.manifest, self._window)
        # All vehicles count into one: counts of their own would be lost when a vehicle is forgotten.
        ticks.counts, ticks.signal_counts = self._counts, self._signal_counts
        return ticks

    def _watch(self, vehicle: str) -> Watch:
        return Watch(
            self._detector.manifest,
            self._detector.digest,
            vehicle,
            self._name,
            policy=self._policy,
            sensors=self._sensor_policy,
            sensitivity=self._settings.sensitivity,
            signals=self._sensors_of,
        )

    def _alone(self, vehicle: str, keep: bool = False) -> Vehicle:
        """The vehicle, with what the columns of watches hold of it; it may ``keep`` its place in them."""
        known = self._known(vehicle)
        self._let_go(known, keep)
        return known

    def _shown(self, vehicle: str) -> Watch:
        """The vehicle's watch, for what the columns do not hold."""
        known = self._alone(vehicle, keep=True)
        self._put_away(known)
        return known.watch

    def _put_away(self, vehicle: Vehicle) -> None:
        """The columns still hold what was brought up to date: once is enough."""
        if vehicle.tick_row is not None:
            vehicle.ticks.drop_lent()
        if vehicle.row is not None:
            vehicle.watch.drop_lent()
            vehicle.state = self._nobodys

    def _let_go(self, vehicle: Vehicle, keep: bool = False) -> None:
        if vehicle.row is not None:
            vehicle.state = self._columns.let_go(vehicle.row, vehicle.watch, keep)
            if not keep:
                vehicle.row = None
                self._forget_place(vehicle)

    def _drop_row(self, vehicle: str) -> None:
        known = self._vehicles.get(vehicle)
        if known is not None and known.row is not None:
            self._columns.drop(known.row)
        if known is not None and known.tick_row is not None:
            self._spread({known.tick_row})
            del self._by_tick_row[known.tick_row]

    def _queue(self, vehicle: str, block: TickBlock) -> None:
        if len(block.time):
            known = self._vehicles[vehicle]
            known.waiting.append(block)
            self._forget_place(known)
            self._stirred[vehicle] = None

    def _run_emitted(self) -> list[Together]:
        """Run what `take` emitted side by side; what is to be run alone waits for that."""
        if few := self._emitted.few():
            return [one for tick in few if (one := self._run_one(tick)) is not None]
        together: list[Together] = []
        for rows, time, values in self._emitted.groups():
            trips = self._tick_columns.trips(rows)
            unknown = self._watch_rows.take(rows) < 0
            if any_of(unknown):
                for place in np.flatnonzero(unknown).tolist():
                    self._place_watch(self._by_tick_row[int(rows[place])], int(trips[place]))
                taken = self._watch_rows.take(rows) >= 0
            else:
                taken = ~unknown
            taken &= len(time) <= MOST_TICKS
            if any_of(taken):
                scores, taken = self._run_columns(rows, trips, time, values, taken)
                whole = all_of(taken)
                mine: Any = np.s_[:] if whole else np.s_[:, taken]
                names = self._names.take(rows if whole else rows[taken]).tolist()
                if names:
                    trips = trips if whole else trips[taken]
                    together.append(Together(names, time[mine], trips, values[mine], scores.at(mine)))
                if whole:
                    continue
            for place in np.flatnonzero(~taken).tolist():
                vehicle = self._by_tick_row[int(rows[place])]
                self._wait(vehicle, time[:, place], values[:, place])
                vehicle.tried = True
        return together

    def _run_one(self, tick: OneTick) -> Together | None:
        """Run a tick of one vehicle in its row of the columns; None: it is to be run alone, and waits for that."""
        trip = self._tick_columns.trip(tick.row)
        if self._watch_rows.item(tick.row) < 0:
            self._place_watch(self._by_tick_row[tick.row], trip)
        row: int = self._watch_rows.item(tick.row)
        scores = self._columns.run_one(row, tick.time, trip, tick.values) if row >= 0 else None
        time = np.array([[tick.time]])
        if not isinstance(scores, Scores):
            vehicle = self._by_tick_row[tick.row]
            vehicle.answer, vehicle.tried = scores or vehicle.answer, True
            self._wait(vehicle, time[0], tick.values[None])
            return None
        return Together([self._names[tick.row]], time, np.array([trip]), tick.values[None, None], scores)

    def _run_columns(
        self, rows: Rows, trips: IndexArray, time: TimeArray, values: FloatArray, chosen: BoolArray
    ) -> tuple[Scores, BoolArray]:
        """Run the ticks of the ``chosen`` vehicles: scores of all, those of the others empty, and whose are taken."""
        if all_of(chosen):
            calm = self._columns.run(self._watch_rows.take(rows), time, trips, values)
            return calm.scores, calm.taken
        calm = self._columns.run(self._watch_rows[rows[chosen]], time[:, chosen], trips[chosen], values[:, chosen])
        every = Scores(*(np.empty((len(time), len(rows), *part.shape[2:]), np.float32) for part in calm.scores.parts))
        for whole, part in zip(every.parts, calm.scores.parts, strict=True):
            whole[:, chosen] = part
        taken = chosen.copy()
        taken[chosen] = calm.taken
        return every, taken

    def _place_watch(self, vehicle: Vehicle, trip: int) -> None:
        """Note where the watch of a vehicle with a row of ticks is, if it may be run side by side."""
        assert vehicle.tick_row is not None
        if not vehicle.waiting and self._has_row(vehicle, trip) and vehicle.row is not None:
            self._watch_rows[vehicle.tick_row] = vehicle.row

    def _forget_place(self, vehicle: Vehicle) -> None:
        """Its watch is elsewhere now, or something waits to be run before what `take` emits next."""
        if vehicle.tick_row is not None:
            self._watch_rows[vehicle.tick_row] = -1

    def _wait(self, vehicle: Vehicle, time: TimeArray, values: FloatArray) -> None:
        """Ticks that `take` emitted are to be run alone."""
        assert vehicle.tick_row is not None
        trip = np.repeat(self._tick_columns.trips(np.array([vehicle.tick_row])), len(time))
        block = TickBlock(vehicle.ticks.vehicle, time.copy(), trip, values.copy())
        self._queue(vehicle.ticks.vehicle, block)

    def _spread(self, chosen: set[int]) -> None:
        """What `take` emitted of these rows waits to be run alone."""
        for row, time, values in self._emitted.take_out(chosen):
            self._wait(self._by_tick_row[row], time, values)

    def _run_calm(self, waiting: list[Vehicle]) -> dict[int, Output]:
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

    def _may_be_calm(self, vehicle: Vehicle, block: TickBlock) -> bool:
        """Whether a block can be run in the columns; the vehicle is in them then."""
        if vehicle.tried or len(block.time) > MOST_TICKS or block.outside is not None:
            return False
        return bool(block.trip[0] == block.trip[-1]) and self._has_row(vehicle, int(block.trip[0]))

    def _has_row(self, vehicle: Vehicle, trip: int) -> bool:
        """Whether the vehicle is in the columns, or could be brought there, and is in this trip."""
        if vehicle.row is None and vehicle.trip == trip:
            vehicle.row = self._columns.take_in(vehicle.watch, vehicle.state, vehicle.trip)
            vehicle.state = vehicle.state if vehicle.row is None else self._nobodys
        return vehicle.row is not None and vehicle.trip == trip

    def _silence(self, vehicle: Vehicle, outputs: list[Output]) -> None:
        """After an advance: an episode whose evidence has been missing too long ends; adds to ``outputs``."""
        if vehicle.row is not None:
            return  # no episode is open
        self.take_back([vehicle.ticks.vehicle], keep=True)
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

    def _no_ticks(self, vehicle: Vehicle) -> ScoredTicks:
        signals, charts = len(self._detector.manifest.signals), len(self._detector.manifest.charts)
        nothing = [np.empty((0, *shape), np.float32) for shape in ((), (charts,), (signals,))]
        times = np.empty(0, np.int64)
        ticks = TickBlock(vehicle.ticks.vehicle, times, times, nothing[2])
        return ScoredTicks(ticks, Scores(*nothing), np.zeros(0, np.bool_))

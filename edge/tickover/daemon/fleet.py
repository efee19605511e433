"""All vehicles under all models: events in, alerts and notices out. No I/O, no clock.

The state of a vehicle is a pure function of the events applied to it, so it can be put to disk, dropped, and brought
back, and a journal of events can be run again.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tickover.core.arrivals import Arrivals, Step, possible
from tickover.core.gate import Gate
from tickover.core.ledger import Entry
from tickover.core.pipeline import Pipeline
from tickover.core.promise import Promise
from tickover.core.seen import FLEET_PAGES, Page, Room
from tickover.core.values import (
    Alert,
    DoubleArray,
    EndReason,
    Output,
    Pumped,
    Readings,
    Remark,
    TimeArray,
)
from tickover.daemon.deferred import Deferred
from tickover.daemon.events import TIME_BYTES, Advance, Event, GiveUp, Judge, Reset, Rows
from tickover.daemon.fleet_counts import FleetCounts
from tickover.daemon.fleet_state import FleetState, decode, encode
from tickover.daemon.held_rows import HeldRows
from tickover.daemon.late import REPLAYED, FleetGate, LateRows, LateStream, places_of, with_late
from tickover.daemon.side_by_side import MOST_ROWS, SideBySide
from tickover.daemon.stale_signals import NEVER, StaleSignals
from tickover.errors import StateError
from tickover.messages.notices import Kind, Notice

DEFERS: Final = True
"""Whether rows that close no tick are kept and read together; tests compare with False."""
STARTS_ANEW: Final = "the detector starts anew, and counts anew"


@dataclass(slots=True)
class _Vehicle:
    """What the fleet itself knows: what has arrived, the newest reading of each column since the clock last went back,
    stale columns, gate values, the stream of late rows, and the detectors whose promise is told to be ``broken``."""

    arrivals: Arrivals
    last: TimeArray
    stale: frozenset[str] = frozenset()
    gate: dict[str, float] = field(default_factory=dict)
    late: LateRows = field(default_factory=LateRows)
    broken: frozenset[str] = frozenset()
    deferred: Deferred = field(default_factory=Deferred)

    @property
    def newest(self) -> int:
        return NEVER if self.arrivals.newest is None else self.arrivals.newest


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pump gave: ``alerts`` and ``notices`` to announce, and what each detector ``pumped``, for live views."""

    alerts: list[Alert]
    notices: list[Notice]
    pumped: dict[str, Pumped]

    @property
    def outputs(self) -> list[tuple[str, Output]]:
        """By detector, vehicle by vehicle."""
        return [(name, output) for name, pumped in self.pumped.items() for output in pumped.each()]


class Fleet:
    """Detector name to pipeline, one gate, one staleness limit (microseconds; 0 = off), longer for a signal that is
    sent seldom.

    ``columns`` are the signals of all models and of the gate; each model is fed its own. ``window``: how long a reading
    that comes again is known, microseconds. ``late``: the pipelines that late readings go to (`tickover.daemon.late`);
    none: they are dropped.
    """

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        columns: tuple[str, ...],
        gate: Gate | None,
        stale: int,
        window: int = 0,
        late: Mapping[str, Pipeline] | None = None,
    ) -> None:
        self.columns = columns
        self._gate = FleetGate(gate, columns)
        self._pipelines = dict(pipelines)
        self._late = LateStream(late or {}, columns, self._gate)
        self._every = {**self._pipelines, **self._late.pipelines}
        self._places = {name: places_of(pipeline.signals, columns) for name, pipeline in pipelines.items()}
        self._window = window
        self._back = max((pipeline.back_limit for pipeline in self._pipelines.values()), default=0)
        self._counts = FleetCounts(columns, self._gate, self._every.values())
        self._vehicles: dict[str, _Vehicle] = {}
        self._touched: set[str] = set()
        self._ended: list[Output] = []
        self._said: list[Notice] = []
        self.anew: list[Notice] = []
        """Notices that detectors which start anew leave behind: to be announced, and taken out, by who runs them."""
        self._side_by_side = SideBySide(self._pipelines, self._places, len(columns), window) if gate is None else None
        self._pending: dict[str, Rows] = {}
        self._stale = StaleSignals(columns, stale, self._pipelines.values(), self._side_by_side)
        self._deferring: set[str] = set()
        self._kept: set[str] = set()
        """Vehicles of which rows were kept since the last pump."""
        self._room, self._held = Room(FLEET_PAGES), HeldRows(len(columns))
        self._never_read = np.full(len(columns), NEVER, np.int64)

    @property
    def runs_late(self) -> bool:
        """Whether late readings run in a stream of their own."""
        return bool(self._late.pipelines)

    @property
    def vehicles(self) -> tuple[str, ...]:
        """The vehicles in memory."""
        return tuple(self._vehicles)

    def __contains__(self, vehicle: str) -> bool:
        return vehicle in self._vehicles

    def newest(self, vehicle: str) -> int:
        """The newest event time of a vehicle in memory since its clock was last put back, microseconds."""
        self._settle()
        side, known = self._side_by_side, self._vehicles[vehicle]
        return side.newest(vehicle) if side and vehicle in side.rows else known.newest

    def entry(self, vehicle: str, name: str) -> tuple[str, Entry] | None:
        """The detector and what it remembers of an episode, by the id of it or of an alert, of a vehicle in memory."""
        for detector, pipeline in self._every.items():
            if entry := pipeline.entry(vehicle, name):
                return detector.removesuffix(REPLAYED), entry
        return None

    def reached(self, vehicle: str, detector: str) -> int:
        """The time of the newest tick of a vehicle in memory."""
        return self._pipelines[detector].reached(vehicle)

    def raised(self, vehicle: str, detector: str) -> dict[str, float]:
        """The limits of a vehicle in memory that follow it: chart to times the trained one."""
        return self._pipelines[detector].adapted(vehicle)

    def promises(self, vehicle: str) -> dict[str, Promise]:
        """The promise meters of a vehicle in memory, by detector."""
        return {name: pipeline.promise(vehicle) for name, pipeline in self._pipelines.items() if vehicle in pipeline}

    def with_episodes(self) -> set[str]:
        """The vehicles in memory of which a promise meter counts episodes: of the others it says nothing yet."""
        return {vehicle for pipeline in self._pipelines.values() for vehicle in pipeline.with_episodes()}

    def never_read(self, vehicle: str) -> list[str]:
        """The signals of a vehicle in memory that nothing was ever read of."""
        known = self._current(vehicle) if vehicle in self._vehicles else None
        return [name for name, at in zip(self.columns, known.last, strict=True) if at == NEVER] if known else []

    def is_open(self, vehicle: str) -> bool:
        """Whether any detector has an open episode."""
        return any(vehicle in pipeline and pipeline.is_open(vehicle) for pipeline in self._every.values())

    @property
    def counts(self) -> Counter[str]:
        """Readings dropped or repaired since the start, before the detectors and on the way to ticks, by reason.

        Over all detectors and vehicles, those that sleep or were reset included: a count never falls.
        """
        self._settle()
        return self._counts.totals

    @property
    def signal_counts(self) -> dict[str, Counter[str]]:
        """The same of single signals, by name and reason."""
        self._settle()
        return self._counts.by_signal

    def count_from_now(self) -> None:
        """What was counted so far was counted by an earlier run, whose inputs were applied again."""
        self._settle()
        self._counts.from_now()

    def tick_counts(self) -> Counter[str]:
        """Readings dropped or repaired on the way to ticks, by reason, over all detectors."""
        return self._counts.of_ticks()

    def apply(self, event: Event) -> None:
        """Take one event; `pump` runs what it closed."""
        if isinstance(event, Rows) and self._may_wait(event):
            self._pending[event.vehicle] = event  # most rows of a fleet end here until the next pump
            return
        if isinstance(event, Rows) and self._may_defer(event):
            self._deferring.add(event.vehicle)  # most rows of a fast truck end here
            self._kept.add(event.vehicle)
            return
        if isinstance(event, Rows):
            self._settle_pending()
        else:
            self._settle()
            if event.vehicle in self._kept:  # time may now be so far that a signal is quiet
                self._touched.add(event.vehicle)
        self._alone([event.vehicle])
        if isinstance(event, Reset):
            self._reset(event.vehicle)
        elif isinstance(event, Judge):
            self._judge(event)
        elif isinstance(event, GiveUp):
            self._known(event.vehicle).arrivals.give_up("crowded_out")
            self._held.note(event.vehicle, 0)
        elif isinstance(event, Advance):
            known = self._known(event.vehicle)
            known.arrivals.advance(event.time)
            for pipeline in self._pipelines.values():
                pipeline.advance(event.vehicle, event.time)
            self._ended += self._late.look(event.vehicle, known.late, known.newest)
        else:
            self._touched.add(event.vehicle)
            self._read(event)

    def pump(self) -> Outcome:
        """Run all closed ticks; the alerts and notices since the last pump."""
        self._settle_pending()
        ended, self._ended = self._ended, []
        pumped = {name: pipeline.run() for name, pipeline in self._pipelines.items()}
        outputs = [(name, output) for name, one in pumped.items() for output in one.outputs]
        ended += self._late.pump()
        alerts = [alert for output in ended for alert in output.alerts]
        alerts += [alert for _, output in outputs for alert in output.alerts]
        notices, self._said = self._said, []
        notices += [notice for name, output in outputs if output.remarks for notice in self._remarks(name, output)]
        notices += self._stale_notices()
        self._touched.clear()
        self._kept.clear()
        return Outcome(alerts, notices, pumped)

    def state(self, vehicle: str) -> bytes:
        """All that the vehicle's future depends on, less the `pages`; pump first."""
        known = self._current(vehicle)
        last = {name: int(time) for name, time in zip(self.columns, known.last, strict=True) if time != NEVER}
        detectors = {name: pipeline.state(vehicle) for name, pipeline in self._pipelines.items()}
        return encode(
            FleetState(
                known.newest,
                last,
                sorted(known.stale),
                known.gate,
                detectors | self._late.states(vehicle),
                self.columns,
                b"" if known.arrivals.is_plain else known.arrivals.state(),
                known.late,
                tuple(sorted(known.broken)),
            )
        )

    def pages(self, vehicle: str, everything: bool) -> dict[int, bytes]:
        """By number, the pages of `tickover.core.seen` that are full since the last call, or all."""
        return self._current(vehicle).arrivals.seen.to_store(everything)

    def pages_gone(self, vehicle: str) -> list[int]:
        """The numbers of what `pages` gave and nobody needs any more, since the last call."""
        return self._current(vehicle).arrivals.seen.gone()

    def holds_too_much(self) -> list[str]:
        """The vehicles that are to let go of the rows of before that they hold (`GiveUp`)."""
        self._settle_pending()
        return self._held.too_many()

    @property
    def held_pages(self) -> int:
        """How many full pages are in memory."""
        return self._room.pages

    def reads_pages(self, stored: Callable[[str, int], bytes | None]) -> None:
        """Full pages need not be held: ``stored`` gives those that `pages` gave, by vehicle and number."""
        self._room.stored = stored

    def restore(self, vehicle: str, state: bytes, page: Page = lambda number: None) -> None:
        """Bring a vehicle back; ``page`` gives what `pages` gave, by number. StateError when the state does not fit;
        the vehicle is then unknown."""
        self._settle()
        self._alone([vehicle])
        try:
            saved = decode(state)
            for name, pipeline in self._pipelines.items():
                if name in saved.detectors:
                    pipeline.restore(vehicle, saved.detectors[name])
            known = self._new(vehicle)
            # Held rows and their keys are of the columns that were; with others, what is held is given up.
            if saved.arrivals and saved.columns == self.columns:
                known.arrivals.restore(saved.arrivals, page)
        except StateError as error:
            self.forget(vehicle)
            raise StateError(f"vehicle {vehicle}: {error}") from error
        known.arrivals.newest = None if saved.newest == NEVER else saved.newest
        known.last = np.array([saved.last.get(name, NEVER) for name in self.columns], np.int64)
        self._stale.restore(vehicle, saved.stale)
        known.stale, known.gate, known.late = frozenset(saved.stale), dict(saved.gate), saved.late
        known.broken = frozenset(saved.broken)
        self._late.restore(vehicle, saved.detectors)
        self._vehicles[vehicle] = known
        self._held.note(vehicle, known.arrivals.held)
        self._forget_promises(vehicle, {name for name in known.broken if name not in saved.detectors})

    def forget(self, vehicle: str) -> None:
        """Drop a vehicle from memory."""
        self._settle()
        if self._side_by_side:
            self._side_by_side.forget(vehicle)
        if known := self._vehicles.pop(vehicle, None):
            known.arrivals.seen.clear()
        self._stale.forget(vehicle)
        self._held.note(vehicle, 0)
        for pipeline in self._every.values():
            pipeline.forget(vehicle)

    def renew(self, detectors: Collection[str]) -> None:
        """These detectors forget every vehicle in memory; the others keep their states."""
        self._settle()
        self._alone(self._vehicles)
        for name in self._every.keys() & with_late(detectors):
            for vehicle in self._every[name].vehicles:
                self._every[name].forget(vehicle)
        for vehicle in self._vehicles:
            self._forget_promises(vehicle, detectors)

    def _may_wait(self, event: Rows) -> bool:
        """Whether rows can be taken with those of other vehicles, at the latest by the next pump."""
        side, vehicle = self._side_by_side, event.vehicle
        if side is None or not 0 < len(event.time) <= MOST_ROWS * TIME_BYTES:
            return False
        if vehicle in self._pending:
            self._settle_pending()
        if vehicle in side.rows:
            return True
        known = self._vehicles.get(vehicle)
        if known is None or known.late.at is not None or known.deferred.events:
            return False
        if not side.lend(vehicle, known.arrivals, known.last):
            return False
        known.last = self._never_read
        return True

    def _may_defer(self, event: Rows) -> bool:
        """Whether nothing comes of rows yet, and they are kept."""
        known = self._vehicles.get(event.vehicle)
        if known is None or known.late.at is not None or known.stale or not DEFERS:
            return False
        if event.vehicle in self._pending or (self._side_by_side and event.vehicle in self._side_by_side.rows):
            return False
        if known.deferred.until is None:
            self._begin_deferring(event.vehicle, known)
        return known.deferred.keep(event)

    def _begin_deferring(self, vehicle: str, known: _Vehicle) -> None:
        front = known.arrivals.lend()
        until = min((pipeline.closes_at(vehicle) for pipeline in self._pipelines.values()), default=NEVER)
        if (quiet := self._stale.first(known.last)) is not None:
            until = min(until, quiet)
        known.deferred.begin(0 if front is None else front, NEVER if front is None else until)

    def _settle(self) -> None:
        """Take all rows that wait or are kept."""
        self._settle_pending()
        deferring, self._deferring = self._deferring, set()
        for vehicle in sorted(deferring):
            known = self._vehicles.get(vehicle)
            if known is not None and (event := known.deferred.take()) is not None:
                self._read(event)  # no signal became quiet by it: `_begin_deferring`

    def _settle_pending(self) -> None:
        """Take the rows that wait, side by side as far as they come as they should."""
        if not self._pending:
            return
        assert self._side_by_side is not None
        pending, self._pending = self._pending, {}
        self._touched.update(pending)
        left = self._side_by_side.take(pending)
        if not left:
            return
        self._alone(left)
        for vehicle, taken in left.items():
            self._read(pending[vehicle], taken)

    def _current(self, vehicle: str) -> _Vehicle:
        """A vehicle in memory, with what lies in arrays; it may go on lying there."""
        self._settle()
        known = self._vehicles[vehicle]
        self._alone([vehicle], keep=True)
        return known

    def _alone(self, vehicles: Iterable[str], keep: bool = False) -> None:
        """Bring vehicles up to date whose rows are taken side by side, and take them alone from now on."""
        side = self._side_by_side
        if side is not None and (lent := [vehicle for vehicle in vehicles if vehicle in side.rows]):
            for vehicle in lent:
                self._vehicles[vehicle].last = side.last(vehicle)
            side.give_back(lent, keep)

    def _known(self, vehicle: str) -> _Vehicle:
        known = self._vehicles.get(vehicle)
        if known is None:
            known = self._vehicles[vehicle] = self._new(vehicle)
        return known

    def _new(self, vehicle: str) -> _Vehicle:
        late = LateRows()
        late_of = self._late_of(vehicle)
        arrivals = Arrivals(len(self.columns), self._back, self._counts.add, self._window, late_of, self._room, vehicle)
        return _Vehicle(arrivals, self._never_read.copy(), late=late)

    def _late_of(self, vehicle: str) -> Callable[[TimeArray, DoubleArray], None] | None:
        """What hears the vehicle's late rows."""
        if not self._late.pipelines:
            return None

        def take(time: TimeArray, values: DoubleArray) -> None:
            known = self._vehicles[vehicle]
            self._ended += self._late.take(vehicle, known.late, known.newest, time, values)

        return take

    def _reset(self, vehicle: str) -> None:
        for pipeline in self._every.values():
            self._ended += pipeline.pump()
            self._ended += pipeline.end(vehicle, EndReason.RESET)
        if vehicle in self._vehicles:
            self._forget_promises(vehicle, self._vehicles[vehicle].broken)
        self.forget(vehicle)

    def _judge(self, event: Judge) -> None:
        """Behind all ticks that are closed: a verdict may move limits."""
        for name, pipeline in self._every.items():
            for output in pipeline.pump():
                self._ended.append(output)
                self._said += self._remarks(name, output)
            if judged := pipeline.judge(event.vehicle, event.episode, event.verdict):
                self._said += self._told(event.vehicle, name, judged.remarks)

    def _remarks(self, name: str, output: Output) -> Iterator[Notice]:
        yield from self._told(output.scored.ticks.vehicle, name, output.remarks)

    def _told(self, vehicle: str, name: str, remarks: list[Remark]) -> Iterator[Notice]:
        """What a detector says of itself. Its promise is one of several with one alarm topic for the vehicle."""
        known = self._known(vehicle)
        for remark in remarks:
            active = remark.active
            if remark.kind == Kind.BUDGET_BROKEN:
                known.broken = known.broken | {name} if remark.active else known.broken - {name}
                active = bool(known.broken)
            yield Notice(vehicle, Kind(remark.kind), active, remark.time, f"{name}: {remark.text}")

    def _forget_promises(self, vehicle: str, detectors: Collection[str]) -> None:
        """These detectors start anew: what was said of their promises is over."""
        known = self._vehicles[vehicle]
        left = known.broken - set(detectors)
        if left != known.broken:
            known.broken = left
            self.anew.append(Notice(vehicle, Kind.BUDGET_BROKEN, bool(left), max(known.newest, 0), STARTS_ANEW))

    def _read(self, event: Rows, first: int = 0) -> None:
        """Take the rows of an event from the ``first`` on."""
        known = self._known(event.vehicle)
        event = known.deferred.take(event) or event
        time, values = event.arrays(len(self.columns))
        time, values = possible(time[first:], values[first:], self._counts.add)
        for step in known.arrivals.add(time, values) if len(time) else ():
            self._take(event.vehicle, known, step)
        self._held.note(event.vehicle, known.arrivals.held)
        self._ended += self._late.look(event.vehicle, known.late, known.newest)

    def _take(self, vehicle: str, known: _Vehicle, step: Step) -> None:
        if step.anew:
            self._counts.clock_back()
            for pipeline in self._pipelines.values():
                pipeline.restart(vehicle)
            # Otherwise a clock that leapt ahead and came back would hide silent signals until the time it leapt to.
            np.minimum(known.last, step.time[0], out=known.last)
        read = np.where(np.isnan(step.values), NEVER, step.time[:, None]).max(axis=0)
        np.maximum(known.last, read, out=known.last)
        time, values = self._gate.passed(known.gate, step.time, step.values)
        if len(time):
            for name, pipeline in self._pipelines.items():
                pipeline.feed(Readings(vehicle, pipeline.signals, time, values[:, self._places[name]]))

    def _stale_notices(self) -> Iterator[Notice]:
        """Of vehicles whose set of signals without recent readings has changed since the last pump."""
        lent, others = self._stale.may_have_changed(self._touched)
        self._alone(lent, keep=True)
        for vehicle in sorted(lent | others):
            if known := self._vehicles.get(vehicle):
                known.stale, notice = self._stale.look(vehicle, known.last, known.newest, known.stale)
                if notice:
                    yield notice

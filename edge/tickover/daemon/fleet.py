"""All vehicles under all models: events in, alerts and notices out. No I/O, no clock.

The state of a vehicle is a pure function of the events applied to it, so it can be put to disk, dropped, and brought
back, and a journal of events can be run again.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from tickover.core.gate import Gate
from tickover.core.pipeline import Output, Pipeline
from tickover.core.resample import until_put_back
from tickover.core.values import (
    Alert,
    DoubleArray,
    EndReason,
    Readings,
    TimeArray,
)
from tickover.daemon.events import Advance, Event, Reset, Rows
from tickover.errors import StateError
from tickover.messages.notices import Kind, Notice

NEVER: Final = -(2**62)
"""The time of the newest reading of a signal that has none."""


@dataclass(slots=True)
class _Vehicle:
    """What the fleet itself knows: newest event time and newest reading of each column (both since the clock last
    went back), stale columns, gate values."""

    newest: int
    last: TimeArray
    stale: frozenset[str] = frozenset()
    gate: dict[str, float] = field(default_factory=dict)


class _State(msgspec.Struct, frozen=True, array_like=True):
    """What `Fleet.state` saves; ``last`` by column name."""

    newest: int
    last: dict[str, int]
    stale: list[str]
    gate: dict[str, float]
    detectors: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pump gave: ``alerts`` and ``notices`` to announce, ``outputs`` by detector for live views."""

    alerts: list[Alert]
    notices: list[Notice]
    outputs: list[tuple[str, Output]]


class Fleet:
    """Detector name to pipeline, one gate, one staleness limit (microseconds; 0 = off).

    ``columns`` are the signals of all models and of the gate; each model is fed its own.
    """

    def __init__(
        self, pipelines: Mapping[str, Pipeline], columns: tuple[str, ...], gate: Gate | None, stale: int
    ) -> None:
        self.columns = columns
        self._gated = 0
        self._before: Counter[str] = Counter()
        self._signals_before: dict[str, Counter[str]] = {}
        self._pipelines = dict(pipelines)
        self._places = {name: _places(pipeline.signals, columns) for name, pipeline in pipelines.items()}
        self._gate = gate
        self._gate_columns = [(name, columns.index(name)) for name in (gate.signals if gate else ())]
        self._stale = stale
        self._back = max((pipeline.back_limit for pipeline in self._pipelines.values()), default=0)
        self._vehicles: dict[str, _Vehicle] = {}
        self._touched: set[str] = set()
        self._ended: list[Output] = []

    @property
    def vehicles(self) -> tuple[str, ...]:
        """The vehicles in memory."""
        return tuple(self._vehicles)

    def __contains__(self, vehicle: str) -> bool:
        return vehicle in self._vehicles

    def newest(self, vehicle: str) -> int:
        """The newest event time of a vehicle in memory since its clock was last put back, microseconds."""
        return self._vehicles[vehicle].newest

    def never_read(self, vehicle: str) -> list[str]:
        """The signals of a vehicle in memory that nothing was ever read of."""
        known = self._vehicles.get(vehicle)
        return [name for name, at in zip(self.columns, known.last, strict=True) if at == NEVER] if known else []

    def is_open(self, vehicle: str) -> bool:
        """Whether any detector has an open episode."""
        return any(pipeline.is_open(vehicle) for pipeline in self._pipelines.values())

    @property
    def counts(self) -> Counter[str]:
        """Readings dropped or repaired since the start, by the gate and on the way to ticks, by reason.

        Over all detectors and vehicles, those that sleep or were reset included: a count never falls.
        """
        return Counter(gated=self._gated) + self.tick_counts() - self._before

    @property
    def signal_counts(self) -> dict[str, Counter[str]]:
        """The same of single signals, by name and reason, on the way to ticks."""
        total = self._signal_totals()
        for name, counts in total.items():
            counts.subtract(self._signals_before.get(name, Counter()))
        return {name: +counts for name, counts in total.items()}

    def _signal_totals(self) -> dict[str, Counter[str]]:
        total: dict[str, Counter[str]] = {}
        for pipeline in self._pipelines.values():
            for reason, counted in pipeline.signal_counts.items():
                for name, count in zip(pipeline.signals, counted.tolist(), strict=True):
                    if count:
                        total.setdefault(name, Counter())[reason] += count
        return total

    def count_from_now(self) -> None:
        """What was counted so far was counted by an earlier run, whose inputs were applied again."""
        self._before += self.counts
        self._signals_before = self._signal_totals()

    def tick_counts(self) -> Counter[str]:
        """Readings dropped or repaired on the way to ticks, by reason, over all detectors."""
        total: Counter[str] = Counter()
        for pipeline in self._pipelines.values():
            total.update(pipeline.counts)
        return total

    def apply(self, event: Event) -> None:
        """Take one event; `pump` runs what it closed."""
        if isinstance(event, Reset):
            self._reset(event.vehicle)
        elif isinstance(event, Advance):
            known = self._known(event.vehicle)
            known.newest = max(known.newest, event.time)
            for pipeline in self._pipelines.values():
                pipeline.advance(event.vehicle, event.time)
        else:
            self._read(event)

    def pump(self) -> Outcome:
        """Run all closed ticks; the alerts and notices since the last pump."""
        ended, self._ended = self._ended, []
        outputs = [(name, output) for name, pipeline in self._pipelines.items() for output in pipeline.pump()]
        alerts = [alert for output in ended for alert in output.alerts]
        alerts += [alert for _, output in outputs for alert in output.alerts]
        notices = [notice for vehicle in sorted(self._touched) for notice in self._staleness(vehicle)]
        self._touched.clear()
        return Outcome(alerts, notices, outputs)

    def state(self, vehicle: str) -> bytes:
        """All that the vehicle's future depends on; pump first."""
        known = self._vehicles[vehicle]
        last = {name: int(time) for name, time in zip(self.columns, known.last, strict=True) if time != NEVER}
        detectors = {name: pipeline.state(vehicle) for name, pipeline in self._pipelines.items()}
        return msgspec.msgpack.encode(_State(known.newest, last, sorted(known.stale), known.gate, detectors))

    def restore(self, vehicle: str, state: bytes) -> None:
        """Bring a vehicle back. StateError when the state does not fit; the vehicle is then unknown."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
            for name, pipeline in self._pipelines.items():
                if name in saved.detectors:
                    pipeline.restore(vehicle, saved.detectors[name])
        except (msgspec.MsgspecError, StateError) as error:
            self.forget(vehicle)
            raise StateError(f"vehicle {vehicle}: {error}") from error
        last = np.array([saved.last.get(name, NEVER) for name in self.columns], np.int64)
        self._vehicles[vehicle] = _Vehicle(saved.newest, last, frozenset(saved.stale), dict(saved.gate))

    def forget(self, vehicle: str) -> None:
        """Drop a vehicle from memory."""
        self._vehicles.pop(vehicle, None)
        for pipeline in self._pipelines.values():
            pipeline.forget(vehicle)

    def renew(self, detectors: Collection[str]) -> None:
        """These detectors forget every vehicle in memory; the others keep their states."""
        for name in self._pipelines.keys() & detectors:
            for vehicle in self._pipelines[name].vehicles:
                self._pipelines[name].forget(vehicle)

    def _known(self, vehicle: str) -> _Vehicle:
        known = self._vehicles.get(vehicle)
        if known is None:
            known = _Vehicle(NEVER, np.full(len(self.columns), NEVER, np.int64))
            self._vehicles[vehicle] = known
        return known

    def _reset(self, vehicle: str) -> None:
        for pipeline in self._pipelines.values():
            self._ended += pipeline.pump()
            self._ended += pipeline.end(vehicle, EndReason.RESET)
        self.forget(vehicle)

    def _read(self, event: Rows) -> None:
        known = self._known(event.vehicle)
        time, values = event.arrays(len(self.columns))
        self._see(known, time, values)
        self._touched.add(event.vehicle)
        if self._gate:
            open_ = self._gate_open(known, values)
            self._gated += len(time) - int(open_.sum())
            time, values = time[open_], values[open_]
        if len(time):
            for name, pipeline in self._pipelines.items():
                pipeline.feed(Readings(event.vehicle, pipeline.signals, time, values[:, self._places[name]]))

    def _see(self, known: _Vehicle, time: TimeArray, values: DoubleArray) -> None:
        """Note the newest event time, and when each signal was last read; a clock that is put back moves both back.

        The result is that of one row after the other: how rows are cut into events does not matter.
        """
        # Otherwise a clock that leapt ahead and came back would hide silent signals until the time that it leapt to.
        while len(time):
            upto = until_put_back(known.newest, time, self._back)
            if upto:
                known.newest = max(known.newest, int(time[:upto].max()))
                read = np.where(np.isnan(values[:upto]), NEVER, time[:upto, None]).max(axis=0)
                np.maximum(known.last, read, out=known.last)
                time, values = time[upto:], values[upto:]
            else:
                known.newest = int(time[0])
                np.minimum(known.last, known.newest, out=known.last)

    def _gate_open(self, known: _Vehicle, values: DoubleArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """In which rows the gate is open, in order of arrival; it holds the last value of each of its signals."""
        assert self._gate
        open_ = np.zeros(len(values), np.bool_)
        for row, cells in enumerate(values):
            known.gate.update({name: float(cells[at]) for name, at in self._gate_columns if cells[at] == cells[at]})
            open_[row] = self._gate.holds(known.gate)
        return open_

    def _staleness(self, vehicle: str) -> Iterator[Notice]:
        """A notice when the set of signals without recent readings has changed."""
        known = self._vehicles.get(vehicle)
        if known is None or not self._stale:
            return
        quiet = (known.last != NEVER) & (known.last < known.newest - self._stale)
        if not quiet.any() and not known.stale:
            return
        stale = frozenset(name for name, is_quiet in zip(self.columns, quiet, strict=True) if is_quiet)
        if stale != known.stale:
            known.stale = stale
            text = f"no readings of {', '.join(sorted(stale))}" if stale else "all signals are read again"
            yield Notice(vehicle, Kind.STALE_SIGNAL, bool(stale), known.newest, text)


def _places(signals: tuple[str, ...], columns: tuple[str, ...]) -> slice | list[int]:
    """Where a model's signals stand in the columns; a slice, which copies nothing, when they are all of them."""
    return slice(None) if signals == columns else [columns.index(name) for name in signals]


def without(state: bytes, detectors: Collection[str]) -> bytes:
    """A state that `Fleet.state` saved, less what some detectors know; StateError when it is damaged."""
    try:
        saved = msgspec.msgpack.decode(state, type=_State)
    except msgspec.MsgspecError as error:
        raise StateError(f"saved state is damaged: {error}") from error
    kept = {name: part for name, part in saved.detectors.items() if name not in detectors}
    return msgspec.msgpack.encode(msgspec.structs.replace(saved, detectors=kept))

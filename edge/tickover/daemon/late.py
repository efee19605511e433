"""``vehicles.late = "replay"``: readings that come too late run under the same models, in a stream of their own.

What a truck could not send for an hour is drained between current readings. The current stream never sees it; here it
is run in order of arrival, with a state of its own, and its alerts are those of the detector's name with `REPLAYED`
behind it: another detector, so that no id can be one of the current stream's. When no late reading has come for `QUIET`
of the vehicle's event time, the drain is over: open ticks close and open episodes end (``end_of_log``).
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final

import msgspec
import numpy as np

from tickover.core.gate import Gate
from tickover.core.pipeline import Pipeline
from tickover.core.values import SECOND, DoubleArray, Output, Readings, TimeArray
from tickover.errors import StateError

REPLAYED: Final = "-replayed"
"""Ends the name under which a detector's late readings are run."""
QUIET: Final = 60 * SECOND


class FleetGate:
    """The gate over rows of the fleet's columns; ``shut`` counts rows left out."""

    def __init__(self, gate: Gate | None, columns: tuple[str, ...]) -> None:
        self._gate = gate
        self._columns = [(name, columns.index(name)) for name in (gate.signals if gate else ())]
        self.shut = 0

    def passed(self, last: dict[str, float], time: TimeArray, values: DoubleArray) -> tuple[TimeArray, DoubleArray]:
        """The rows in which it is open, in order of arrival; ``last`` holds the last value of each of its signals."""
        if not self._gate:
            return time, values
        open_ = np.zeros(len(values), np.bool_)
        for row, cells in enumerate(values):
            last.update({name: float(cells[at]) for name, at in self._columns if cells[at] == cells[at]})
            open_[row] = self._gate.holds(last)
        self.shut += len(time) - int(open_.sum())
        return time[open_], values[open_]


class LateRows(msgspec.Struct, array_like=True):
    """Of one vehicle: the front when its newest late row came (None: none since the drain ended), and gate values."""

    at: int | None = None
    gate: dict[str, float] = msgspec.field(default_factory=dict)


class LateStream:
    """The pipelines of late readings, by detector; none: there is no such stream."""

    def __init__(self, pipelines: Mapping[str, Pipeline], columns: tuple[str, ...], gate: FleetGate) -> None:
        self.pipelines = dict(pipelines)
        self._places = {name: places_of(pipeline.signals, columns) for name, pipeline in pipelines.items()}
        self._gate = gate

    def take(self, vehicle: str, rows: LateRows, front: int, time: TimeArray, values: DoubleArray) -> list[Output]:
        """Late rows, in order of arrival, and the front that they are behind; what a drain before them left open."""
        ended = self.look(vehicle, rows, front)
        rows.at = front
        time, values = self._gate.passed(rows.gate, time, values)
        if len(time):
            for name, pipeline in self.pipelines.items():
                pipeline.feed(Readings(vehicle, pipeline.signals, time, values[:, self._places[name]]))
        return ended

    def look(self, vehicle: str, rows: LateRows, front: int) -> list[Output]:
        """The vehicle's event time is ``front``: a drain that is over is ended."""
        if rows.at is None or front - rows.at <= QUIET:
            return []
        rows.at = None
        rows.gate.clear()
        ended = [output for pipeline in self.pipelines.values() for output in pipeline.flush(vehicle)]
        for pipeline in self.pipelines.values():
            pipeline.restart(vehicle)
        return ended

    def pump(self) -> list[Output]:
        """Run all closed ticks."""
        return [output for pipeline in self.pipelines.values() for output in pipeline.pump()]

    def states(self, vehicle: str) -> dict[str, bytes]:
        """What each pipeline knows of the vehicle, if anything."""
        return {name: pipeline.state(vehicle) for name, pipeline in self.pipelines.items() if vehicle in pipeline}

    def restore(self, vehicle: str, states: Mapping[str, bytes]) -> None:
        """Continue from `states`; what does not fit is forgotten: it is of another model."""
        for name, pipeline in self.pipelines.items():
            with suppress(StateError):
                if name in states:
                    pipeline.restore(vehicle, states[name])


def places_of(signals: tuple[str, ...], columns: tuple[str, ...]) -> slice | list[int]:
    """Where a model's signals stand in the columns; a slice, which copies nothing, when they are all of them."""
    return slice(None) if signals == columns else [columns.index(name) for name in signals]


def with_late(detectors: Collection[str]) -> set[str]:
    """The names of detectors, and those of their late streams."""
    return {*detectors, *(f"{name}{REPLAYED}" for name in detectors)}

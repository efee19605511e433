"""The false alarms of a model on clean trips, with the signals around each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import Alert, FloatArray
from tickover_train.evaluation.metrics import Bools, Floats
from tickover_train.evaluation.scorers import ModelScorer
from tickover_train.trips import Trip

SIDE_S: Final = 120.0
"""How much is shown before and after the opening of a false alarm's episode."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One signal around a false alarm; NaN = missing."""

    signal: str
    unit: str
    observed: FloatArray
    expected: FloatArray


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """An episode on a clean trip. ``seconds`` ``[N]`` count from its opening; ``glitch``: a defect of the recording is
    there, so that the alarm is right."""

    trip: str
    at_s: float
    peak: float
    glitch: bool
    seconds: Floats
    score: Floats
    traces: list[Trace]


def false_alarms_of(model: ModelScorer, trips: Sequence[Trip], natural: Sequence[Bools]) -> list[FalseAlarm]:
    """Every episode on the clean trips that ``model`` ran over last, in order; those at ``natural`` defects too."""
    return [
        _false_alarm(model, trip, number, tick, alert, bool(natural[number][tick]))
        for number, trip in enumerate(trips)
        for tick, alert in model.starts(number)
    ]


def _false_alarm(model: ModelScorer, trip: Trip, number: int, tick: int, alert: Alert, glitch: bool) -> FalseAlarm:
    names, period = model.manifest.names, model.manifest.tick_period_s
    score, expected, side = model.tracks[number].score, model.expected[number], round(SIDE_S / period)
    shown = slice(max(tick - side, 0), min(tick + side, len(score)))
    places = [names.index(part.signal) for part in alert.signals]
    return FalseAlarm(
        trip=trip.source,
        at_s=tick * period,
        peak=float(np.nanmax(score[tick : shown.stop])),
        glitch=glitch,
        seconds=np.arange(shown.start - tick, shown.stop - tick, dtype=np.float64) * period,
        score=score[shown],
        traces=[
            Trace(part.signal, part.unit, trip.values[shown, place], expected[shown, place])
            for part, place in zip(alert.signals, places, strict=True)
        ],
    )

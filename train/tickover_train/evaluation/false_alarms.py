"""The false alarms of a model on clean trips, with the signals around each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickover.core.values import Alert, FloatArray
from tickover_train.data import Trip
from tickover_train.evaluation.glitches import Glitch
from tickover_train.evaluation.metrics import MERGE_S, Floats
from tickover_train.evaluation.scorers import ModelScorer

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
    """An episode on a clean trip. ``seconds`` ``[N]`` count from its opening; ``glitch``: one was near."""

    trip: str
    at_s: float
    peak: float
    glitch: bool
    seconds: Floats
    score: Floats
    traces: list[Trace]


def false_alarms_of(model: ModelScorer, trips: Sequence[Trip], glitches: Sequence[Glitch]) -> list[FalseAlarm]:
    """Every episode on the clean trips that ``model`` ran over last, in order."""
    near = round(MERGE_S / model.manifest.tick_period_s)
    alarms = []
    for number, trip in enumerate(trips):
        spots = np.array([glitch.tick for glitch in glitches if glitch.trip == number])
        for tick, alert in model.starts(number):
            glitch = bool(len(spots) and (np.abs(spots - tick) <= near).any())
            alarms.append(_false_alarm(model, trip, number, tick, alert, glitch))
    return alarms


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

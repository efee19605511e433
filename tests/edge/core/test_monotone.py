"""A larger fault is never quieter: each kind of fault on each signal of a small model, from 1 to 100 spreads and on out
of the plausible range. Once a size is caught, every larger one is caught within a minute and at no lower severity."""

import numpy as np
import pytest

import paths
from tickover.core.pipeline import Pipeline
from tickover.core.values import SECOND, Phase, Readings, Severity
from tickover.model.detector import Detector
from today import of_today

DETECTOR = of_today(Detector.load(paths.MODELS / "lstm_forecaster.onnx"))
NAMES = DETECTOR.manifest.names
SECONDS, BEGIN, WITHIN_S = 200, 135, 60
CENTER, SPREAD = np.array([24.0, 49.0, 45.0]), np.array([1.0, 1.0, 1.0])
SIZES = [1, 2, 4, 8, 20, 50, 100, 1e3, 1e6]
"""In spreads; the last ones are out of every signal's range."""
RANKS = list(Severity)


def drive():
    return np.random.default_rng(3).normal(CENTER, SPREAD, (SECONDS, len(NAMES)))


def level(table, column, size):
    table[BEGIN:, column] += size * SPREAD[column]


def drop(table, column, size):
    table[BEGIN:, column] -= size * SPREAD[column]


def stuck(table, column, size):
    table[BEGIN:, column] = CENTER[column] + size * SPREAD[column]


def noise(table, column, size):
    table[BEGIN:, column] += size * SPREAD[column] * np.random.default_rng(4).choice([-1.0, 1.0], SECONDS - BEGIN)


def ramp(table, column, size):
    table[BEGIN:, column] += size * SPREAD[column] * np.minimum(np.arange(SECONDS - BEGIN) / 20, 1.0)


def gain(table, column, size):
    table[BEGIN:, column] *= 1 + size * SPREAD[column] / CENTER[column]


def flicker(table, column, size):
    """A loose contact: away three times in ten."""
    table[BEGIN:, column] += size * SPREAD[column] * (np.random.default_rng(5).random(SECONDS - BEGIN) < 0.3)


FAULTS = [level, drop, stuck, noise, ramp, gain, flicker]


def caught(fault, column):
    """By size, the severity, as a rank, of what is told of the signal within a minute of the begin; -1: nothing.

    Each size is a truck of its own, so that all run together.
    """
    pipeline, found = Pipeline(DETECTOR), dict.fromkeys(SIZES, -1)
    for size in SIZES:
        table = drive()
        fault(table, column, size)
        pipeline.feed(Readings(str(size), NAMES, np.arange(SECONDS) * SECOND, table))
    alerts = [alert for output in pipeline.flush() for alert in output.alerts if alert.phase is not Phase.END]
    for alert in alerts:
        is_soon = BEGIN <= alert.time // SECOND <= BEGIN + WITHIN_S
        if is_soon and NAMES[column] in [part.signal for part in alert.signals]:
            found[float(alert.vehicle)] = max(found[float(alert.vehicle)], RANKS.index(alert.severity))
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("column", range(len(NAMES)), ids=NAMES)
def test_a_larger_fault_is_never_quieter(fault, column):
    found = caught(fault, column)
    assert [*found.values()] == sorted(found.values()), found
    assert found[SIZES[-1]] == len(RANKS) - 1, "a reading a million spreads away is critical"

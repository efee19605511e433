"""A larger fault is never quieter, under the charts of today's training, and with half of the readings gone, too."""

import numpy as np
import pytest

from small_models import model_bytes, random_weights, small_spec
from tickover.core.manifest import Signal
from tickover.core.pipeline import Pipeline
from tickover.core.values import SECOND, Phase, Readings, Severity
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.charts.change import Change
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.frozen import Frozen
from tickover_export.charts.spike import Spike

SIGNALS = (Signal("coolant", low=-60, high=140), Signal("rpm", low=-100, high=250), Signal("speed", low=-20, high=300))
NAMES = tuple(signal.name for signal in SIGNALS)
BANKS = (
    Ewma(name="level", span_s=20.0),
    Change(name="change", span_s=90.0),
    Spike(name="spike", span_s=5.0),
    Frozen(name="frozen_bus", longest_s=600.0, signals=NAMES),
)
LIMITS = {"ewma": 3.0, "change": 3.0, "spike": 8.0, "frozen": 60.0}
CENTER, TICKS, BEGIN, WITHIN_S = np.array([24.0, 49.0, 45.0]), 215, 135, 60
SIZES = [1, 4, 12, 35, 100, 1e3, 1e6]
"""In spreads, from small to out of every range."""
RANKS = list(Severity)

FAULTS = {
    "level": lambda x, size, random: x + size,
    "drop": lambda x, size, random: x - size,
    "noise": lambda x, size, random: x + size * random.choice([-1.0, 1.0], len(x)),
    "ramp": lambda x, size, random: x + size * np.minimum(np.arange(len(x)) / 20, 1.0),
    "gain": lambda x, size, random: x * (1 + size / 40),
    "a loose contact": lambda x, size, random: x + size * (random.random(len(x)) < 0.3),
    "half missing": lambda x, size, random: np.where(random.random(len(x)) < 0.5, np.nan, x + size),
    "half missing, low": lambda x, size, random: np.where(random.random(len(x)) < 0.5, np.nan, x - size),
}


@pytest.fixture(scope="module")
def detector():
    spec = small_spec(
        signals=SIGNALS, banks=BANKS, warm_up_ticks=30, baseline_span_s=1800.0, clip=16.0, input_clip=10.0
    )
    weights = random_weights(spec, seed=4)
    weights |= {"scaler.center": CENTER.astype(np.float32), "scaler.scale": np.ones(3, np.float32)}
    limits = np.array([LIMITS[chart.bank.kind] for chart in spec.charts], np.float32)
    return Detector(open_bytes(model_bytes(spec, weights, limits)))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_larger_fault_is_never_quieter(detector, fault):
    """Each signal and size is a truck of its own, so that all run together."""
    pipeline = Pipeline(detector)
    for column, name in enumerate(NAMES):
        for size in SIZES:
            table = np.random.default_rng(3).normal(CENTER, 1.0, (TICKS, 3))
            table[BEGIN:, column] = FAULTS[fault](table[BEGIN:, column], size, np.random.default_rng(4))
            pipeline.feed(Readings(f"{name} {size}", NAMES, np.arange(TICKS) * SECOND, table))
    found = {name: dict.fromkeys(SIZES, -1) for name in NAMES}
    for alert in [alert for output in pipeline.flush() for alert in output.alerts]:
        name, size = alert.vehicle.split()
        soon = BEGIN <= alert.time // SECOND <= BEGIN + WITHIN_S and alert.phase is not Phase.END
        if soon and name in [part.signal for part in alert.signals]:
            found[name][float(size)] = max(found[name][float(size)], RANKS.index(alert.severity))
    for name, ranks in found.items():
        assert [*ranks.values()] == sorted(ranks.values()), (name, ranks)
        assert ranks[1e6] == len(RANKS) - 1, "a reading a million spreads away is critical"

"""Charts are bounded, and clear in the time that the manifest states."""

import numpy as np
import pytest

from small_models import BANKS, model_bytes, random_weights, small_spec
from tickover.model.detector import Detector
from tickover.model.session import open_bytes

HOUR = 3600
LIMIT = 2.0


def still_network(spec):
    """Expects the centre whatever comes, so that the residual is the scaled value."""
    weights = {name: np.zeros_like(array) for name, array in random_weights(spec).items()}
    return weights | {name: np.ones_like(array) for name, array in weights.items() if name.endswith(".scale")}


def levels(banks, x, limit=LIMIT):
    spec = small_spec(banks=banks, warm_up_ticks=0)
    limits = np.full(len(banks) * len(spec.signals), limit, np.float32)
    detector = Detector(open_bytes(model_bytes(spec, still_network(spec), limits)))
    return detector.run(x).chart, detector.manifest.charts


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_every_chart_clears_after_an_hours_fault_when_the_manifest_says(sign):
    x = np.zeros((2 * HOUR, 3), np.float32)
    x[:HOUR] = sign * 1e6
    chart, stated = levels(BANKS, x)
    for column, entry in zip(chart.T, stated, strict=True):
        assert column.max() * LIMIT <= entry.bound * (1 + 1e-6)
        over = np.flatnonzero(column >= 1.0)
        assert over[-1] + 1 - HOUR == pytest.approx(entry.clears_s - 1, abs=1.0), entry.name


def test_what_the_hour_costs_is_listed():
    _, stated = levels(BANKS, np.zeros((1, 3), np.float32))
    clears = {entry.name.split(".")[1]: entry.clears_s for entry in stated}
    assert clears == {"fast": 4.0, "sum": 77.0, "energy": 42.0, "slow": 42.0}


def test_bounds_hold_for_any_input():
    random = np.random.default_rng(3)
    x = (random.standard_cauchy((3000, 3)) * 20).astype(np.float32)
    chart, stated = levels(BANKS, x)
    assert (chart.max(axis=0) * LIMIT <= np.array([entry.bound for entry in stated]) * (1 + 1e-6)).all()
    assert (chart >= 0).all()


@pytest.mark.parametrize("bank", BANKS, ids=lambda bank: bank.name)
@pytest.mark.parametrize("limit", [np.inf, 1000.0])
def test_a_chart_that_cannot_alarm_has_nothing_to_clear(bank, limit):
    assert bank.clearing_ticks(limit, bank.bound(8.0), 1.0) == 0


def test_cusum_falls_back_within_minutes_not_hours():
    """An unbounded CUSUM would have summed 3,600 residuals of 8 by then and need hours."""
    x = np.zeros((HOUR + 200, 3), np.float32)
    x[:HOUR] = 1e6
    chart, _ = levels(BANKS[1:2], x)
    assert (chart[HOUR + 100] < 1.0).all()

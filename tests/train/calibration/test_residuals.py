"""Residuals are compared in units of their spread, which is wider while the network is new to a trip."""

import numpy as np
import pytest

from tickover.core.manifest import ColdStart
from tickover_train.calibration.residuals import (
    LEAST_LEGS,
    LEAST_SCALE,
    STEP_SCALES,
    cold_starts,
    least_scales,
    spread_of,
    standard,
)
from tickover_train.data import fit_scaler
from tickover_train.trips import Trip

COLD = (ColdStart(excess=2.0, fades_s=100.0), ColdStart(excess=0.0, fades_s=15.0))


def residuals(number: int, ticks: int, cold=COLD, scale=(0.5, 3.0)) -> list[np.ndarray]:
    """White residuals of two signals that spread as ``cold`` says, around 1."""
    random = np.random.default_rng([number, ticks])
    spread = spread_of(cold, ticks, 1.0) * np.array(scale)
    return [(1.0 + spread * random.normal(size=(ticks, 2))).astype(np.float32) for _ in range(number)]


def test_a_cold_start_is_found_where_there_is_one():
    slow, quick = cold_starts(residuals(10, 3000), residuals(100, 400), 30, 1.0)
    found = spread_of((slow, quick), 600, 1.0)
    np.testing.assert_allclose(found[30:], spread_of(COLD, 600, 1.0)[30:], rtol=0.07)
    assert quick.excess < 0.15


def test_the_period_is_seconds_per_tick():
    slow, _ = cold_starts(residuals(20, 3000), residuals(100, 400), 30, 2.0)
    assert slow.over_s(1.5) == pytest.approx(2 * COLD[0].over_s(1.5), rel=0.2)


def test_few_legs_say_nothing_of_cold_starts():
    assert cold_starts(residuals(3, 3000), residuals(LEAST_LEGS - 1, 400), 30, 1.0) == ()
    np.testing.assert_array_equal(spread_of((), 5, 1.0), np.ones((5, 1)))


def test_a_warm_up_that_outlasts_cold_starts_leaves_none():
    for warm_up in (1600, 2000):
        assert cold_starts(residuals(3, 3000), residuals(LEAST_LEGS, 400), warm_up, 1.0) == ()


def test_a_signal_that_is_never_seen_has_no_cold_start():
    parts = residuals(LEAST_LEGS, 400)
    for part in parts:
        part[:, 0] = np.nan
    slow, _ = cold_starts(parts, parts, 30, 1.0)
    assert slow.excess == 0.0
    usual = standard(parts, 30, (slow, slow))
    assert (usual.center[0], usual.scale[0]) == (0.0, 1.0)


def test_the_scale_is_that_of_a_settled_network_however_short_the_trips():
    for ticks in (200, 4000):
        usual = standard(residuals(40, ticks), 30, COLD, 1.0)
        np.testing.assert_allclose(usual.scale, (0.5, 3.0), rtol=0.05)
        np.testing.assert_allclose(usual.center, 1.0, atol=0.1)
    assert standard(residuals(40, 200), 30).scale[0] > 0.6


def test_a_still_residual_has_the_least_scale():
    assert standard([np.ones((500, 1), np.float32)], 30).scale == pytest.approx(LEAST_SCALE)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
def test_a_coarse_signal_that_mostly_holds_one_value_has_the_spread_of_all_that_it_does(share):
    """Its median absolute deviation is next to nothing, and what it does in the rest of the time is no glitch."""
    random = np.random.default_rng(0)
    coarse = (random.random((4000, 1)) < share) + 0.004 * random.standard_normal((4000, 1))
    usual = standard([coarse.astype(np.float32)], 0)
    assert usual.scale[0] == pytest.approx(np.sqrt(share), rel=0.15)


def test_a_glitch_does_not_widen_the_scale():
    values = np.random.default_rng(0).standard_normal((4000, 1)).astype(np.float32)
    values[2000:2010] = 1e4
    assert standard([values], 0).scale[0] < 3.0


@pytest.mark.parametrize(("excess", "seconds"), [(0.0, 0.0), (0.5, 0.0), (2.0, 100.0), (4.5, 200.0)])
def test_when_a_cold_start_is_over(excess, seconds):
    cold = ColdStart(excess=excess, fades_s=100.0)
    assert cold.over_s(1.5) == pytest.approx(seconds)
    if seconds:
        assert spread_of((cold,), 300, 1.0)[round(seconds) - 1, 0] == pytest.approx(1.5)


def test_the_scale_is_never_finer_than_the_signals_values_are():
    """A fine wave, steps of 0 and 1, a total far from 0 in float32, and a signal that stands still out there."""
    tick = np.arange(600)
    columns = (np.sin(tick / 9), tick // 15 % 2, 4e9 + 20.0 * tick, np.full(600, 4e9))
    trip = Trip("", np.stack(columns, axis=1).astype(np.float32))
    scaler = fit_scaler([trip])
    least = least_scales([trip], scaler)
    step = np.spacing(np.float32(4e9))
    assert least[0] == pytest.approx(LEAST_SCALE)
    assert least[1] == pytest.approx(1.0 / STEP_SCALES / scaler.scale[1])
    assert least[2:] == pytest.approx(step / scaler.scale[2:])
    assert (scaler.scale[2:] > 5 * step).all(), "the last bit of a float32 is no fault"
    still = standard([np.ones((500, 4), np.float32)], 30, least=least)
    np.testing.assert_array_equal(still.scale, least)

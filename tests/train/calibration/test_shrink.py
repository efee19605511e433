"""Limits from few trips are drawn towards the trained ones, as far as they are uncertain."""

import numpy as np
import pytest
from msgspec import structs

from small_models import model_bytes, small_spec
from tickover.core.manifest import Budget, EpisodePolicy, Rung
from tickover.model.session import open_bytes
from tickover_export.run import limits_tuple
from tickover_train.calibration.limits import calibrate
from tickover_train.calibration.scored import ScoredTrip
from tickover_train.calibration.shrink import shrunk, uncertainty
from tickover_train.calibration.trained_limits import limits_at

CHARTS = 12
BOUNDS = np.full(CHARTS, 100.0, np.float32)
TRAINED = np.linspace(2.0, 8.0, CHARTS).astype(np.float32)
HOURLY = Budget(episodes=1.0, per_s=3600.0)


def drawn(own, variance):
    return shrunk(own.astype(np.float32), np.full(CHARTS, variance), TRAINED, BOUNDS)


def chance(spread, seed=0):
    return np.exp(np.random.default_rng(seed).normal(0.0, spread, CHARTS))


def test_differences_that_chance_explains_are_left_out():
    found = drawn(TRAINED * chance(0.3), 0.3**2)
    assert np.abs(np.log(found / TRAINED)).max() < 0.1


def test_a_truck_that_is_quite_another_keeps_what_its_trips_say():
    own = TRAINED * 3.0 * chance(1.0)
    assert np.abs(np.log(drawn(own, 0.1**2) / own)).max() < 0.05


def test_what_all_charts_have_in_common_is_taken_over_without_what_each_has_by_chance():
    found = drawn(TRAINED * 2.0 * chance(0.2), 0.2**2)
    assert np.abs(np.log(found / TRAINED / 2.0)).max() < 0.25


def test_a_chart_that_one_set_of_trips_would_blind_stays_on():
    own = TRAINED * chance(0.1)
    own[3] = np.inf
    variance = np.full(CHARTS, 0.1**2)
    variance[3] = 2.0**2
    found = shrunk(own.astype(np.float32), variance, TRAINED, BOUNDS)
    assert found[3] < 2.0 * TRAINED[3]
    assert np.isfinite(found).all()


def test_a_chart_that_is_off_for_both_is_off():
    own, trained = TRAINED.copy(), TRAINED.copy()
    own[0] = trained[0] = np.inf
    assert np.isinf(shrunk(own, np.full(CHARTS, 0.01), trained, BOUNDS)[0])


def test_uncertainty_is_the_jackknifes_and_without_trips_to_leave_out_it_falls_with_the_hours():
    without = np.exp(np.random.default_rng(1).normal(0.0, 0.1, (6, CHARTS))).astype(np.float32)
    logs = np.log(without)
    np.testing.assert_allclose(uncertainty(without, BOUNDS, 5.0), 5.0 * logs.var(axis=0), rtol=1e-3)
    nothing = np.empty((0, CHARTS), np.float32)
    assert (uncertainty(nothing, BOUNDS, 0.1) == 10.0 * uncertainty(nothing, BOUNDS, 1.0)).all()


def trips(seed, number, scale=1.0, hours=0.8):
    """Trips whose charts differ from trip to trip, as real ones do."""
    random = np.random.default_rng(seed)
    found = []
    for place in range(number):
        loud = scale * random.lognormal(0.0, 0.3, CHARTS)
        charts = loud * random.gamma(2.0, 0.4, (round(hours * 3600), CHARTS))
        found.append(ScoredTrip(f"trip {place}", charts.astype(np.float32)))
    return found


def test_limits_of_one_set_of_trips_differ_less_from_those_of_another():
    many = calibrate(trips(0, 12), HOURLY, EpisodePolicy(), BOUNDS, 1.0).limits
    alone, together = [], []
    for seed in (1, 2):
        six = trips(seed, 6)
        alone.append(calibrate(six, HOURLY, EpisodePolicy(), BOUNDS, 1.0).limits)
        together.append(calibrate(six, HOURLY, EpisodePolicy(), BOUNDS, 1.0, trained=many).limits)
    spread = [np.abs(np.log(one / other)).mean() for one, other in (alone, together)]
    assert spread[1] < 0.7 * spread[0]


def test_of_a_truck_whose_charts_are_louder_the_limits_are_higher():
    many = calibrate(trips(0, 12), HOURLY, EpisodePolicy(), BOUNDS, 1.0).limits
    loud = calibrate(trips(1, 6, scale=2.5), HOURLY, EpisodePolicy(), BOUNDS, 1.0, trained=many)
    assert np.median(loud.limits / many) > 2.0
    assert loud.budget.realised < 2.0, "what is stated is what these limits keep"


def model_of(rungs):
    spec = small_spec()
    limits = np.full(len(spec.charts), 2.0, np.float32)
    ladder = tuple(
        Rung(budget=Budget(episodes=1.0, per_s=3600.0 * hours), limits=limits_tuple(limits * factor), recall={})
        for hours, factor in rungs
    )
    return structs.replace(open_bytes(model_bytes(spec, limits=limits)).manifest, ladder=ladder, false_alarms=HOURLY)


@pytest.mark.parametrize(
    ("hours", "limit"), [(1.0, 2.0), (10.0, 4.0), (10**0.5, 2.0 * 2**0.5), (100.0, 4.0), (0.1, 2.0)]
)
def test_trained_limits_of_a_budget_between_two_rungs_lie_between_theirs(hours, limit):
    found = limits_at(model_of([(1.0, 1.0), (10.0, 2.0)]), Budget(episodes=1.0, per_s=3600.0 * hours))
    np.testing.assert_allclose(found, limit, rtol=1e-4)


def test_a_model_without_a_ladder_knows_the_limits_of_its_own_budget_alone():
    manifest = model_of([])
    assert (limits_at(manifest, HOURLY) == 2.0).all()
    assert limits_at(manifest, Budget(episodes=1.0, per_s=36_000.0)) is None

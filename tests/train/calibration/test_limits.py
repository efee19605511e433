"""Limits: charts of known tails realise their budget, out of sample, on whole trips and in legs."""

import numpy as np
import pytest
from scipy.stats import chi2

from tickover.core.manifest import Budget, EpisodePolicy
from tickover_train.calibration.episode_count import count_episodes
from tickover_train.calibration.limits import calibrate, score
from tickover_train.calibration.scored import ScoredTrip

POLICY = EpisodePolicy()
HOURLY = Budget(episodes=1.0, per_s=3600.0)
WEEKLY = Budget(episodes=1.0, per_s=604_800.0)


def noisy_trips(seed: int, number: int, ticks: int = 3600, charts: int = 12) -> list[ScoredTrip]:
    """Smoothed noise with heavy tails and trip-wise loudness: what varies is the trip."""
    random = np.random.default_rng(seed)
    found = []
    for place in range(number):
        noise = random.standard_t(5, size=(ticks, charts)) * random.lognormal(0.0, 0.15, charts)
        smooth = np.apply_along_axis(lambda x: np.convolve(x, np.full(10, 0.1), "same"), 0, noise)
        found.append(ScoredTrip(f"trip-{place}", np.abs(smooth).astype(np.float32)))
    return found


def test_limits_realise_their_budget_on_trips_that_were_not_there():
    bounds = np.full(12, 100.0, np.float32)
    rates = []
    for seed in range(4):
        limits = calibrate(noisy_trips(seed, 20), HOURLY, POLICY, bounds, 1.0).limits
        fresh = noisy_trips(100 + seed, 20)
        rates.append(sum(count_episodes(score(trip.charts, limits), POLICY, 1.0) for trip in fresh) / 20.0)
    assert 0.5 < np.mean(rates) < 1.7, rates


@pytest.mark.parametrize("number", [3, 4, 5])
def test_few_trips_give_limits_that_do_not_break_the_budget(number):
    """Four trips once realised 3 an hour: three at a time were treated otherwise than the four."""
    bounds, rates = np.full(12, 100.0, np.float32), []
    fresh = noisy_trips(100, 40)
    for seed in range(6):
        limits = calibrate(noisy_trips(seed, number), HOURLY, POLICY, bounds, 1.0).limits
        rates.append(sum(count_episodes(score(trip.charts, limits), POLICY, 1.0) for trip in fresh) / 40.0)
    assert 0.3 < np.mean(rates) < 1.7, rates


def test_a_lone_trip_is_judged_by_its_parts():
    """Limits of the very ticks that they are counted on keep the budget there by construction, and nowhere else."""
    bounds, rates = np.full(12, 100.0, np.float32), []
    fresh = noisy_trips(100, 20)
    for seed in range(6):
        (lone,) = noisy_trips(seed, 1)
        found = calibrate([lone], HOURLY, POLICY, bounds, 1.0)
        assert [len(one) for one in found.scores] == [len(lone.charts)]
        assert found.influence is None
        rates.append(sum(count_episodes(score(trip.charts, found.limits), POLICY, 1.0) for trip in fresh) / 20.0)
    assert np.median(rates) < 6.0, rates


@pytest.mark.parametrize("ticks", [1, 3])
def test_a_lone_trip_of_a_few_ticks_has_limits(ticks):
    lone = ScoredTrip("lone", noisy_trips(0, 1, ticks=60)[0].charts[:ticks])
    assert len(calibrate([lone], HOURLY, POLICY, np.full(12, 100.0, np.float32), 1.0).scores[0]) == ticks


def test_a_budget_rarer_than_the_trips_are_long_is_extrapolated():
    trips, bounds = noisy_trips(0, 6), np.full(12, 100.0, np.float32)
    hourly = calibrate(trips, HOURLY, POLICY, bounds, 1.0)
    weekly = calibrate(trips, Budget(episodes=1.0, per_s=604_800.0), POLICY, bounds, 1.0)
    assert (weekly.limits > hourly.limits).all()
    assert weekly.budget.realised == 0.0
    assert weekly.budget.high > 0.3, "six hours say little"


def test_the_stated_interval_is_garwoods():
    budget = calibrate(noisy_trips(1, 10), HOURLY, POLICY, np.full(12, 100.0, np.float32), 1.0).budget
    assert budget.hours == pytest.approx(10.0)
    assert budget.low <= budget.realised <= budget.high
    count = round(budget.realised * 10.0)
    few, many = (chi2.ppf(q, 2 * (count + more)) / 20.0 for q, more in ((0.025, 0), (0.975, 1)))
    assert (budget.realised, budget.low, budget.high) == pytest.approx((count / 10.0, few, many))


def test_the_stated_rate_is_counted_on_trips_that_had_no_part_in_their_limits():
    trips, bounds = noisy_trips(1, 10), np.full(12, 100.0, np.float32)
    usual = calibrate(trips, HOURLY, POLICY, bounds, 1.0)
    trips[3] = ScoredTrip("wild", trips[3].charts * 3)
    wild = calibrate(trips, HOURLY, POLICY, bounds, 1.0)
    np.testing.assert_allclose(wild.scores[3], 3 * usual.scores[3], rtol=1e-5, err_msg="its limits knew of it")
    np.testing.assert_allclose(wild.scores[8], usual.scores[8], rtol=1e-5, err_msg="so did its group's")
    counted = sum(count_episodes(one, POLICY, 1.0) for one in wild.scores)
    assert wild.budget.realised == pytest.approx(counted / 10.0)


@pytest.mark.parametrize("number", [6, 20])
@pytest.mark.parametrize("louder", [3.0, 30.0])
def test_one_wild_trip_hardly_moves_the_limits_and_is_named(number, louder):
    trips, bounds = noisy_trips(1, number), np.full(12, 100.0, np.float32)
    usual = calibrate(trips, HOURLY, POLICY, bounds, 1.0)
    trips[3] = ScoredTrip("wild", trips[3].charts * np.float32(louder))
    wild = calibrate(trips, HOURLY, POLICY, bounds, 1.0)
    moved = wild.limits / usual.limits
    assert 0.75 < np.median(moved) < 1.35
    assert moved.max() < 2.0, "no chart is spoilt"
    assert wild.influence.trip == "wild"
    assert wild.influence.most >= wild.influence.usual > 1.5 > usual.influence.usual


def test_two_wild_trips_are_believed():
    trips, bounds = noisy_trips(1, 10), np.full(12, 100.0, np.float32)
    usual = calibrate(trips, HOURLY, POLICY, bounds, 1.0).limits
    for place in (3, 6):
        trips[place] = ScoredTrip("wild", trips[place].charts * 3)
    assert np.median(calibrate(trips, HOURLY, POLICY, bounds, 1.0).limits / usual) > 1.5


def test_few_trips_are_all_believed():
    trips, bounds = noisy_trips(1, 3), np.full(12, 100.0, np.float32)
    assert calibrate(trips, HOURLY, POLICY, bounds, 1.0).influence is None


def test_parts_of_one_short_recording_are_all_believed():
    """SKAB's 400 s in four parts: without the loudest of them, limits are too low for the rest of the file."""
    trips, bounds = noisy_trips(1, 4), np.full(12, 100.0, np.float32)
    parts = [ScoredTrip(trip.source, trip.charts[:100]) for trip in trips]
    quiet = calibrate(parts, HOURLY, POLICY, bounds, 1.0)
    parts[3] = ScoredTrip("loud", parts[3].charts * np.float32(3.0))
    loud = calibrate(parts, HOURLY, POLICY, bounds, 1.0)
    assert loud.influence is None
    assert np.median(loud.limits / quiet.limits) > 2.0


def test_a_chart_that_lives_at_its_bound_is_switched_off_and_spoils_no_other():
    trips = noisy_trips(2, 10)
    bounds = np.full(12, 20.0, np.float32)
    spoilt = []
    for trip in trips:
        charts = trip.charts.copy()
        charts[::100, 0] = 20.0
        spoilt.append(ScoredTrip(trip.source, charts))
    limits = calibrate(spoilt, HOURLY, POLICY, bounds, 1.0).limits
    assert np.isinf(limits[0])
    assert np.isfinite(limits[1:]).all()


def cut(trip: ScoredTrip, louder: float = 1.0) -> ScoredTrip:
    """The trip with legs of five minutes, in which its charts stand ``louder`` times as high."""
    legs = tuple(leg * np.float32(louder) for leg in np.array_split(trip.charts, len(trip.charts) // 300))
    return ScoredTrip(trip.source, trip.charts, legs)


def test_legs_that_are_louder_raise_the_limits_until_they_keep_the_budget():
    bounds = np.full(12, 100.0, np.float32)
    plain = noisy_trips(1, 20)
    whole = calibrate(plain, HOURLY, POLICY, bounds, 1.0)
    both = calibrate([cut(trip, 1.5) for trip in plain], HOURLY, POLICY, bounds, 1.0)
    assert whole.budget.legs is None
    assert both.budget.legs.low <= 1.0 <= both.budget.legs.high
    assert both.budget.realised < whole.budget.realised
    assert 1.3 < float(np.median(both.limits / whole.limits)) < 1.7


def test_legs_that_are_quieter_do_not_lower_the_limits_of_whole_trips():
    bounds = np.full(12, 100.0, np.float32)
    both = calibrate([cut(trip, 0.5) for trip in noisy_trips(1, 20)], HOURLY, POLICY, bounds, 1.0)
    assert both.budget.low <= 1.0 <= both.budget.high
    assert both.budget.legs.realised < 0.2
    assert both.budget.legs.hours == pytest.approx(20.0)


def test_a_trip_has_no_part_in_the_limits_that_its_legs_are_counted_under():
    bounds = np.full(12, 100.0, np.float32)
    trips = [cut(trip) for trip in noisy_trips(1, 10)]
    usual = calibrate(trips, HOURLY, POLICY, bounds, 1.0)
    trips[3] = cut(ScoredTrip("wild", trips[3].charts), 3.0)
    wild = calibrate(trips, HOURLY, POLICY, bounds, 1.0)
    np.testing.assert_allclose(wild.scores[3], usual.scores[3], rtol=1e-5, err_msg="its limits knew of its own legs")
    np.testing.assert_allclose(wild.scores[8], usual.scores[8], rtol=1e-5, err_msg="so did its group's")
    assert wild.budget.legs.realised > usual.budget.legs.realised


def test_the_factor_does_not_lower_limits_below_the_floor():
    quiet = [ScoredTrip(trip.source, trip.charts * np.float32(1e-3)) for trip in noisy_trips(1, 6)]
    limits = calibrate(quiet, HOURLY, POLICY, np.full(12, 100.0, np.float32), 1.0, floor=0.1).limits
    np.testing.assert_array_equal(limits, np.float32(0.1))


@pytest.mark.parametrize(("budget", "room"), [(HOURLY, 3.0), (WEEKLY, 3.0), (WEEKLY, 2.0)])
def test_a_small_share_alone_switches_no_chart_off(budget, room):
    """A level that wanders may alarm at gross faults only, but at these it must; one that the trips drive to its bound
    is off."""
    trips = noisy_trips(0, 20, charts=4)
    for trip in trips:
        trip.charts[:, 3] *= 40.0
    top = max(float(trip.charts[:, 0].max()) for trip in trips)
    bounds, parts = np.full(4, room * top, np.float32), np.array([1.0, 1.0, 0.001, 0.001], np.float32)
    small = calibrate(trips, budget, POLICY, bounds, 1.0, parts=parts).limits
    assert np.isfinite(small[:3]).all(), small
    assert small[2] > small[:2].max()
    assert np.isinf(small[3])

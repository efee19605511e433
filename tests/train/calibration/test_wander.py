"""A level that differs from trip to trip is found, and takes next to nothing of the budget."""

import numpy as np

from tickover.core.budget import parse_budget
from tickover.core.manifest import EpisodePolicy
from tickover_train.calibration.limits import calibrate
from tickover_train.calibration.scored import ScoredTrip
from tickover_train.calibration.wander import between_within, wandering
from tickover_train.data import Scaler

UNIT = Scaler(np.zeros(3, np.float32), np.ones(3, np.float32))


def residuals(trips: int, ticks: int = 1200) -> list[np.ndarray]:
    """Float32 ``[ticks, 3]``: one whose level wanders, one that is slow but comes back, one of noise with a glitch."""
    rng = np.random.default_rng(3)
    made = []
    for _ in range(trips):
        noise = rng.normal(size=(ticks, 3)).astype(np.float32)
        noise[:, 0] += rng.normal(0.0, 1.0)
        noise[:, 1] += 2.0 * np.sin(np.arange(ticks) / 60.0)
        noise[100, 2] = 500.0
        noise[200:260, 1] = np.nan
        made.append(noise)
    return made


def test_only_a_level_that_differs_between_trips_wanders():
    assert wandering(residuals(20), UNIT, 30, 1.0) == [True, False, False]


def test_few_or_short_trips_say_nothing():
    assert wandering(residuals(7), UNIT, 30, 1.0) == [False] * 3
    assert wandering(residuals(20, 600), UNIT, 30, 1.0) == [False] * 3
    assert between_within([np.full((1200, 3), np.nan, np.float32)] * 9, UNIT, 30, 1.0) == [0.0] * 3


def test_a_rare_share_raises_its_chart_and_lowers_the_others():
    rng = np.random.default_rng(0)
    trips = [ScoredTrip(str(n), np.abs(rng.normal(size=(3600, 4))).astype(np.float32)) for n in range(12)]
    parts = np.array([1e-3, 1, 1, 1], np.float32)
    bounds, budget = np.full(4, 50.0, np.float32), parse_budget("1/h")
    equal = calibrate(trips, budget, EpisodePolicy(), bounds, 1.0).limits
    rare = calibrate(trips, budget, EpisodePolicy(), bounds, 1.0, parts=parts).limits
    assert rare[0] > 1.3 * equal[0]
    assert (rare[1:] <= equal[1:] * 1.02).all()
    assert np.isfinite(rare).all()

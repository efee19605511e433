"""Whether a signal has been back where it deviated: a sum over ticks, of many at once as of one after another."""

import numpy as np
import pytest

from tickover.core.proven import LONG_S, NEAR, Proof
from tickover.core.values import SECOND

SPREAD = np.array([1.0, 4.0, 0.5])
LONG = int(LONG_S)


def plain(ticks):
    """As the words say, for one signal of spread 1: its sum after each tick of (expected, grew, deviates)."""
    places, total, sums = [], 0, []
    for expected, grew, deviates in ticks:
        if grew:
            places.append(expected)
            total = 0
        elif not places or min(places) - NEAR <= expected <= max(places) + NEAR:
            total = max(0, total + (-1 if deviates else 1))
        sums.append(total)
    return sums


def proof(ticks):
    made, sums = Proof(np.ones(1), SECOND), []
    for expected, grew, deviates in ticks:
        made.follow(np.array([expected]), np.array([grew]), np.array([deviates]))
        sums.append(int(made.ticks[0]))
    return made, sums


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_sum_that_the_words_describe(seed):
    random = np.random.default_rng(seed)
    ticks = [(float(random.normal(0, 3)), random.random() < 0.05, random.random() < 0.4) for _ in range(300)]
    made, sums = proof(ticks)
    assert sums == plain(ticks)
    assert made.proven[0] == (sums[-1] >= LONG)


def test_a_deviation_takes_back_what_spoke_for_the_signal():
    """It agrees half of the time: noise."""
    made, _ = proof([(20.0, True, True), *[(20.0, False, False), (20.0, False, True)] * 50])
    assert not made.proven[0]


def test_it_rises_until_it_is_proven_and_only_where_the_signal_deviated():
    made, _ = proof([(20.0, True, True), *[(20.0, False, False)] * (LONG - 1)])
    assert (made.rises[0], made.proven[0]) == (True, False)
    made.follow(np.array([10.0]), np.array([False]), np.array([False]))
    assert (made.rises[0], made.ticks[0]) == (False, LONG - 1)
    made.follow(np.array([20.0]), np.array([False]), np.array([False]))
    assert (made.rises[0], made.proven[0]) == (False, True)


@pytest.mark.parametrize("seed", range(6))
def test_many_ticks_at_once_are_as_one_after_another(seed):
    """Missing values, and ticks in the warm-up of a trip, at the end of a block, too."""
    random = np.random.default_rng(seed)
    count = 120
    expected = np.where(random.random((count, 3)) < 0.1, np.nan, random.normal(0, 2, (count, 3)))
    warm = random.random((count, 1)) < 0.8
    grew = (random.random((count, 3)) < 0.04) & warm & np.isfinite(expected)
    deviates = random.random((count, 3)) < 0.3
    one, many = Proof(SPREAD, SECOND), Proof(SPREAD, SECOND)
    for start in range(0, count, 12):
        rows = slice(start, start + 12)
        seen = many.ahead(expected[rows], grew[rows], deviates[rows], warm[rows])
        for at in range(12):
            tick = start + at
            if warm[tick, 0]:
                one.follow(expected[tick], grew[tick], deviates[tick])
            else:
                one.rest()
            for name in ("low", "high", "ticks", "rises"):
                np.testing.assert_array_equal(getattr(seen, name)[at], getattr(one, name), name)
        many.go_to(seen, 11)
        np.testing.assert_array_equal(many.proven, one.proven)

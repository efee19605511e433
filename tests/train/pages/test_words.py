"""Figures in words: shares, times and numbers, and what a budget realised."""

import math

from tickover.core.manifest import Budget, Legs
from tickover_train.calibration.legs import LEG_S
from tickover_train.pages.words import number, percent, realised_words, seconds


def test_what_was_realised_is_said_of_trips_and_of_legs():
    legs = Legs(shortest_s=LEG_S[0], longest_s=LEG_S[1], hours=9.5, realised=1.37, low=0.9, high=2.0)
    budget = Budget(episodes=1.0, per_s=3600.0, hours=10.0, realised=0.98, low=0.66, high=1.4, legs=legs)
    words = realised_words(budget)
    assert words.startswith(f"{budget.realised:.2f} an hour on unseen trips")
    assert f"{budget.legs.realised:.2f}" in words
    assert words.endswith("in legs of 3 to 8 minutes")


def test_what_is_missing_is_a_dash():
    assert (percent(0.256), seconds(61.4), number(1234.5)) == ("26 %", "61 s", "1.23e+03")
    assert [percent(None), percent(math.nan), seconds(None), number(math.nan)] == ["–"] * 4

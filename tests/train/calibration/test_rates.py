"""Rates and their exact intervals, against the Poisson distribution itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from tickover_train.calibration.rates import poisson_rate


@given(st.integers(0, 200), st.floats(0.1, 1000))
def test_the_poisson_interval_is_exact(count, hours):
    rate = poisson_rate(count, hours)
    assert rate.low <= rate.per_hour <= rate.high
    assert poisson.cdf(count, rate.high * hours) == pytest.approx(0.025, rel=1e-6)
    if count:
        assert poisson.sf(count - 1, rate.low * hours) == pytest.approx(0.025, rel=1e-6)


def test_no_hours_bound_nothing():
    assert poisson_rate(0, 0.0).high == float("inf")

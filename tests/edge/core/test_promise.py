"""The promise meter: realised episodes against the budget, in event time, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.core.manifest import Budget
from tickover.core.poisson import interval
from tickover.core.promise import BUCKETS, CONFIDENCE, Promise, Z

PERIOD, SECOND = 1_000_000, 1_000_000
HOURLY = Budget(episodes=1.0, per_s=3600.0)


def hours(promise: Promise, count: float, start: int = 0) -> list[int]:
    """Drive; when the promise changed."""
    return promise.passed((start + np.arange(round(count * 3600))) * SECOND)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 24, 100, 101, 400])
def test_the_interval_is_the_exact_one(count: int) -> None:
    chi2 = pytest.importorskip("scipy.stats").chi2
    tail = (1 - CONFIDENCE) / 2
    low, high = interval(count, Z)
    assert low == pytest.approx(chi2.ppf(tail, 2 * count) / 2 if count else 0.0, rel=2e-3, abs=1e-9)
    assert high == pytest.approx(chi2.ppf(1 - tail, 2 * count + 2) / 2, rel=2e-3)


def test_it_is_broken_when_the_interval_leaves_the_budget_and_kept_when_the_rate_is_back() -> None:
    promise = Promise(HOURLY, PERIOD)
    hours(promise, 4)
    broke = [promise.opened("iat.slow") for _ in range(15)].index(True)
    low = promise.read().low
    assert promise.broken
    assert low > 1.0
    assert interval(broke, Z)[0] / 4 <= 1.0 < interval(broke + 1, Z)[0] / 4  # at the first episode that proves it
    assert promise.read().blame == {"iat.slow": 15}
    assert "iat.slow 15" in promise.read().text()
    (kept,) = hours(promise, 20, 4 * 3600)
    assert not promise.broken
    assert promise.read().per_hour <= 1.0
    assert 14 * 3600 <= kept // SECOND <= 16 * 3600  # 15 episodes in 15 hours


def test_a_fault_at_the_first_start_breaks_no_promise() -> None:
    promise = Promise(HOURLY, PERIOD)
    hours(promise, 0.05)
    assert not any(promise.opened("rpm.fast") for _ in range(3))
    assert promise.read().per_hour == 3.0


@pytest.mark.parametrize("per_h", [1, 10, 168])
def test_the_window_is_as_many_budget_times_and_memory_constant(per_h: float) -> None:
    promise = Promise(Budget(episodes=1.0, per_s=per_h * 3600.0), 60 * SECOND)
    for _ in range(4):
        promise.passed(np.arange(round(per_h * 60 * BUCKETS)) * SECOND)
    assert promise.read().hours == pytest.approx(per_h * BUCKETS, rel=0.05)
    assert len(promise.state().buckets) == BUCKETS


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=12), st.integers(0, 2**32))
def test_how_ticks_are_cut_does_not_matter(cuts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    total = sum(cuts)
    opened = set(random.integers(0, total, 9).tolist())

    def run(edges: list[int]) -> tuple[object, list[int]]:
        promise, told, start = Promise(Budget(episodes=1.0, per_s=600.0), PERIOD), [], 0
        for edge in edges:
            done = start
            for tick in sorted(one for one in opened if start <= one < edge):
                told += promise.passed(np.arange(done, tick + 1) * SECOND)
                done = tick + 1
                if promise.opened("c"):
                    told.append(tick * SECOND)
            told += promise.passed(np.arange(done, edge) * SECOND)
            start = edge
        return promise.read(), told

    assert run(np.cumsum(cuts).tolist()) == run([total])


def test_an_episode_that_was_real_does_not_count() -> None:
    promise = Promise(HOURLY, PERIOD)
    hours(promise, 2)
    number = promise.number
    for _ in range(10):
        promise.opened("c")
    assert promise.broken
    changed = [promise.count(number, "c", -1) for _ in range(9)]
    assert changed.count(True) == 1
    assert not promise.broken
    assert promise.read().episodes == 1

"""Machines to choose on: what a fault changes, and what a score does once a machine has come back but not fully."""

from dataclasses import replace

import numpy as np
import pytest

from bench import process_loops


@pytest.mark.parametrize("number", range(6))
def test_a_fault_changes_nothing_before_it_begins_and_several_signals_after(number):
    faulty, sound = process_loops.machine(number), process_loops.machine(number, faulty=False)
    first = int(np.argmax(faulty.anomaly))
    assert process_loops.FIRST[0] <= first < process_loops.FIRST[1]
    assert not sound.anomaly.any()
    np.testing.assert_array_equal(faulty.values[:first], sound.values[:first])
    moved = np.abs(faulty.values - sound.values)[faulty.anomaly].max(axis=0) > 0
    assert moved.sum() >= 3
    np.testing.assert_array_equal(faulty.values, process_loops.machine(number).values)


def test_what_comes_back_is_followed_and_what_does_not_is_told_to_its_end(monkeypatch):
    monkeypatch.syspath_prepend("tests/bench")
    import short_history as history

    random = np.random.default_rng(0)
    values = random.normal(0, 1, (2, 1100, 8)).astype(np.float32)
    values[:, 500:700, 0] += 9.0
    values[0, 700:, 0] += 3.0
    values[1, 700:, 0] += 9.0
    group = history.Machines("two", 400, values, np.zeros((2, 1100), bool), np.arange(2))
    held = history.Candidate(measure="range", reach=3.0, base_s=900.0)
    share = {
        release: (history.scores(group, replace(held, release_s=release))[:, 760:] >= 1.0).mean(axis=1)
        for release in (0.0, 120.0)
    }
    assert share[0.0][0] > 0.9 > 0.6 > share[120.0][0]
    assert share[0.0][1] == share[120.0][1] == 1.0

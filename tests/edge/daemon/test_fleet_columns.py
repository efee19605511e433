"""What is done for many vehicles at once equals what is done for each alone, byte for byte: alerts, scores, states and
counts, over random histories. ``tests/bench/faults_fleet.py`` runs thousands of them."""

import pytest

import fleet_histories as histories
from tickover.core import pipeline
from tickover.core.values import Scores
from tickover.core.watch_columns import WatchColumns
from tickover.daemon import fleet, side_by_side
from tickover.daemon.side_by_side import SideBySide

LONG, SHORT = 120, 60
SEEDS = (*((seed, LONG) for seed in (*range(9), 100_344, 700_008)), (1_003_082, SHORT))
"""With the seconds of the history. The last three were different once: repeats in a vehicle that is reset, a signal
that is quiet by an advance alone, and which of two NaN a score is while nothing is read."""


def alone(seed: int, seconds: int, patch: pytest.MonkeyPatch) -> list:
    """The history with nothing run side by side."""
    with patch.context() as inner:
        inner.setattr(pipeline, "MOST_TICKS", 0)
        inner.setattr(fleet, "MOST_ROWS", 0)
        inner.setattr(fleet, "DEFERS", False)
        return histories.made_of(histories.history(seed, seconds), histories.new_fleet(seed))


@pytest.mark.parametrize(("seed", "seconds"), SEEDS)
def test_side_by_side_equals_alone(seed: int, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    together = histories.made_of(histories.history(seed, seconds), histories.new_fleet(seed))
    expected = alone(seed, seconds, monkeypatch)
    for place, (one, other) in enumerate(zip(together, expected, strict=True)):
        assert one == other, f"seed {seed}, place {place}"


@pytest.mark.parametrize("seed", [1, 6, 9])
def test_keys_that_are_made_later_equal_those_made_at_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "KEPT", 5)
    monkeypatch.setattr(side_by_side, "UNKEYED", 1)
    kept = histories.made_of(histories.history(seed, SHORT), histories.new_fleet(seed))
    assert kept == alone(seed, SHORT, monkeypatch)


def test_most_rows_and_ticks_are_taken_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, rows = _spied(monkeypatch, WatchColumns, "run"), _spied(monkeypatch, SideBySide, "_take")
    for seed in (0, 1, 4, 5, 8):
        histories.made_of(histories.history(seed), histories.new_fleet(seed))
    taken = [one for calm in ticks for one in calm.taken.tolist()]
    assert sum(taken) > 0.7 * len(taken) > 200, (sum(taken), len(taken))
    may = [one for each in rows for one in each.tolist()]
    assert sum(may) > 0.7 * len(may) > 200, (sum(may), len(may))


def test_most_rows_and_ticks_of_one_vehicle_are_taken_in_plain_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, rows = _spied(monkeypatch, WatchColumns, "run_one"), _spied(monkeypatch, SideBySide, "_take_one")
    for seed in (1, 6, 9, 14):
        histories.made_of(histories.history(seed), histories.new_fleet(seed))
    taken = [isinstance(scores, Scores) for scores in ticks]
    assert sum(taken) > 0.7 * len(taken) > 100, (sum(taken), len(taken))
    assert sum(rows) > 0.7 * len(rows) > 100, (sum(rows), len(rows))


def _spied(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list:
    """What a method returns from now on."""
    returned, method = [], getattr(owner, name)

    def spy(*arguments: object) -> object:
        returned.append(method(*arguments))
        return returned[-1]

    monkeypatch.setattr(owner, name, spy)
    return returned

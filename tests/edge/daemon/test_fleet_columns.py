"""What is done for many vehicles at once equals what is done for each alone, byte for byte: alerts, scores, states and
counts, over random histories. ``tests/bench/faults_fleet.py`` runs thousands of them."""

import pytest

import fleet_histories as histories
from tickover.core import pipeline
from tickover.core.watch_columns import Calm, WatchColumns

SEEDS = 10


def alone(seed: int, patch: pytest.MonkeyPatch) -> list:
    """The history with nothing run side by side."""
    with patch.context() as inner:
        inner.setattr(pipeline, "MOST_TICKS", 0)
        return histories.made_of(histories.history(seed), histories.new_fleet(late=seed % 3 == 0))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_side_by_side_equals_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    together = histories.made_of(histories.history(seed), histories.new_fleet(late=seed % 3 == 0))
    expected = alone(seed, monkeypatch)
    for place, (one, other) in enumerate(zip(together, expected, strict=True)):
        assert one == other, f"seed {seed}, place {place}"


def test_most_ticks_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, run = [], WatchColumns.run

    def spy(columns: WatchColumns, *arguments: object) -> Calm:
        calm = run(columns, *arguments)
        taken.extend(calm.taken.tolist())
        return calm

    monkeypatch.setattr(WatchColumns, "run", spy)
    for seed in range(3):
        histories.made_of(histories.history(seed), histories.new_fleet())
    assert sum(taken) > 0.7 * len(taken) > 200, (sum(taken), len(taken))

"""What is done for many vehicles at once equals what is done for each alone, byte for byte: alerts, scores, states and
counts, over random histories. ``tests/bench/faults_fleet.py`` runs thousands of them."""

import numpy as np
import pytest

import fleet_histories as histories
from tickover.core import pipeline
from tickover.core.watch_columns import Calm, WatchColumns
from tickover.daemon import fleet
from tickover.daemon.side_by_side import SideBySide

SEEDS = (*range(9), 100_344, 700_008)
"""The last two were different once: repeats in a vehicle that is reset, a signal that is quiet by an advance alone."""


def alone(seed: int, patch: pytest.MonkeyPatch) -> list:
    """The history with nothing run side by side."""
    with patch.context() as inner:
        inner.setattr(pipeline, "MOST_TICKS", 0)
        inner.setattr(fleet, "MOST_ROWS", 0)
        inner.setattr(fleet, "DEFERS", False)
        return histories.made_of(histories.history(seed), histories.new_fleet(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_side_by_side_equals_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    together = histories.made_of(histories.history(seed), histories.new_fleet(seed))
    expected = alone(seed, monkeypatch)
    for place, (one, other) in enumerate(zip(together, expected, strict=True)):
        assert one == other, f"seed {seed}, place {place}"


def test_most_rows_and_ticks_are_taken_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, rows, run, take = [], [], WatchColumns.run, SideBySide._take

    def spy_run(columns: WatchColumns, *arguments: object) -> Calm:
        calm = run(columns, *arguments)
        ticks.extend(calm.taken.tolist())
        return calm

    def spy_take(side: SideBySide, *arguments: object) -> np.ndarray:
        taken = take(side, *arguments)
        rows.extend(taken.tolist())
        return taken

    monkeypatch.setattr(WatchColumns, "run", spy_run)
    monkeypatch.setattr(SideBySide, "_take", spy_take)
    for seed in range(3):
        histories.made_of(histories.history(seed), histories.new_fleet(seed))
    assert sum(ticks) > 0.7 * len(ticks) > 200, (sum(ticks), len(ticks))
    assert sum(rows) > 0.7 * len(rows) > 200, (sum(rows), len(rows))

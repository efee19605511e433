"""The sweep over levels of a score."""

import numpy as np

from tickover_train.evaluation.sweep import Sweep


def test_the_sweep_finds_the_lowest_level_within_the_budget():
    score = np.zeros(7200)
    score[[100, 1000, 3000, 5000]] = [4.0, 3.0, 2.0, 1.0]
    sweep = Sweep([score], merge=60, hours=2.0)
    assert sweep.level(1.0) == 3.0
    assert sweep.count(3.0) == 2
    assert sweep.level(0.1) > 4.0

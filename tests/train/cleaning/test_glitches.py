"""Natural glitches: a jump that comes back is one, a step that stays is none."""

import numpy as np

from tickover_train.cleaning.glitches import find_glitches
from tickover_train.evaluation.habits import habits_of
from train.trips import linked_trip


def test_natural_glitches_are_found_and_steps_are_not():
    trip = linked_trip(seed=5)
    trip[300, 1] += 60.0
    trip[500:502, 1] -= 60.0
    trip[700:, 1] += 60.0
    habits = habits_of([linked_trip()])
    found = find_glitches([linked_trip(seed=6), trip], habits.spread.astype(np.float32), 1.0)
    assert [(g.trip, g.signal, g.tick, g.ticks) for g in found] == [(1, 1, 300, 1), (1, 1, 500, 2)]

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


def test_an_excursion_of_minutes_that_ramps_and_swings_back_is_one_glitch():
    trip = linked_trip(seed=5)
    trip[290:480, 1] = trip[289, 1]
    trip[300, 1] += 12.0
    trip[301:436, 1] += np.linspace(110.0, 60.0, 135)
    trip[436:446, 1] -= 30.0
    spread = habits_of([linked_trip()]).spread.astype(np.float32)
    found = find_glitches([linked_trip(seed=6), trip], spread, 1.0)
    assert [(g.signal, g.tick, g.tick + g.ticks) for g in found] == [(1, 301, 446)]

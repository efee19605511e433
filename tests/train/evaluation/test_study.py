"""A study without legs."""

from tickover.model.detector import Detector
from tickover_train.evaluation.study import run
from tickover_train.pages.evaluation import render
from tickover_train.trips import Trip


def test_trips_too_short_for_legs_are_judged_whole(model_file, trips):
    short = [Trip(str(first), trips[0][first : first + 170]) for first in range(0, 850, 170)]
    study = run(Detector.load(model_file), short, seed=0)
    assert study.legs == []
    assert "Legs" not in render(study)

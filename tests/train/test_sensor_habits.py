"""Training states what it found of each sensor, and which signals show that the bus stands."""

import numpy as np
from msgspec import structs

from tickover.logs.mapping import Mapping, SignalColumn, TickRule
from tickover_export.charts.frozen import Frozen
from tickover_train.calibration.bus import moving, resolve
from tickover_train.pipeline import fit_folds, new_job, spec_of
from tickover_train.trips import Trip
from train import trips as made_up

BUS = Frozen(name="bus", longest_s=300.0)
NAMES = (*made_up.NAMES, "lamp")
MAPPING = Mapping(signals={name: SignalColumn() for name in NAMES}, ticks=TickRule(period_s=1.0))


def with_lamp() -> list[Trip]:
    return [
        Trip(one.source, np.hstack([one.values, np.ones((len(one.values), 1), np.float32)])) for one in made_up.trips()
    ]


def test_the_manifest_gets_constants_and_the_bank_its_signals():
    config = made_up.tiny(epochs=1)
    config = structs.replace(config, charts=structs.replace(config.charts, banks=(*config.charts.banks[:1], BUS)))
    job = new_job(config, MAPPING, with_lamp())
    spec = spec_of(job, fit_folds(job)[0].network)
    lamp, speed = spec.signals[4], spec.signals[0]
    assert lamp.constant == 1.0
    assert speed.constant is None
    assert speed.frozen_s is not None
    assert spec.banks[1].signals == made_up.NAMES


def test_signals_that_are_often_missing_or_never_move_do_not_watch_the_bus():
    trips = [one.values.copy() for one in with_lamp()]
    trips[0][:200, 1] = np.nan
    trips[1][:5, 2] = np.nan
    assert moving(trips, NAMES) == ("speed", "load", "coolant")


def test_a_bus_of_one_signal_has_no_chart_of_its_own_and_a_choice_is_kept():
    alone = [one[:, [0, 4]] for one in (trip.values for trip in with_lamp())]
    assert resolve((BUS,), alone, ("speed", "lamp")) == ()
    chosen = structs.replace(BUS, signals=("lamp",))
    assert resolve((chosen,), alone, ("speed", "lamp")) == (chosen,)

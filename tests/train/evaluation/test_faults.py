"""Injected faults: what each kind does to the ticks, that seeds repeat, and that a user adds a kind."""

from collections import Counter

import numpy as np
import pytest

from tickover.core.manifest import Signal
from tickover.errors import ConfigError
from tickover_train.evaluation.faults import KINDS, load_kinds
from tickover_train.evaluation.habits import habits_of
from tickover_train.evaluation.injection import MAGNITUDES, Injection, inject, plan
from train.trips import linked_trip

SIGNALS = tuple(Signal(name=name, low=-100.0, high=100.0) for name in ("a", "b", "twin_of_a"))
KINDS_WANTED = {
    "bias", "drift", "stuck", "scale", "noise", "spikes", "delay", "dropout", "disagreement", "clipping", "frozen_bus",
    "several", "swapped",
}  # fmt: skip


@pytest.fixture(scope="module")
def trip():
    return linked_trip()


@pytest.fixture(scope="module")
def habits(trip):
    return habits_of([trip])


def fault(name, magnitude=2.0, signal=0, other=1, onset=200, duration=150):
    return Injection(name, magnitude if KINDS[name].graded else None, 0, onset, duration, signal, other, 1.0, 7)


def run(name, trip, habits, **changes):
    injection = fault(name, **changes)
    faulty = inject(injection, trip, SIGNALS, habits, 1.0)
    return faulty.values, trip[injection.onset : injection.onset + injection.duration]


def test_the_thirteen_kinds_are_there():
    assert set(KINDS) >= KINDS_WANTED


def test_a_bias_is_its_magnitude_in_spreads(trip, habits):
    faulty, clean = run("bias", trip, habits, magnitude=3.0)
    np.testing.assert_allclose(faulty[:, 0] - clean[:, 0], 3 * habits.spread[0], rtol=1e-4)
    np.testing.assert_array_equal(faulty[:, 1:], clean[:, 1:])


def test_a_drift_begins_at_nothing(trip, habits):
    faulty, clean = run("drift", trip, habits)
    moved = faulty[:, 0] - clean[:, 0]
    assert moved[0] == 0
    assert moved[-1] == pytest.approx(2 * habits.spread[0], rel=1e-4)


def test_stuck_and_frozen_repeat_the_last_good_value(trip, habits):
    faulty, clean = run("stuck", trip, habits)
    assert (faulty[:, 0] == trip[199, 0]).all()
    np.testing.assert_array_equal(faulty[:, 1], clean[:, 1])
    frozen, _ = run("frozen_bus", trip, habits)
    assert (frozen == trip[199]).all()


def test_a_delay_shows_old_values(trip, habits):
    faulty, _ = run("delay", trip, habits, magnitude=2.0)
    np.testing.assert_array_equal(faulty[:, 0], trip[190:340, 0])


def test_clipping_cuts_under_the_peak(trip, habits):
    faulty, clean = run("clipping", trip, habits, magnitude=1.0)
    assert faulty[:, 0].max() == pytest.approx(clean[:, 0].max() - habits.spread[0], rel=1e-5)
    assert (faulty[:, 0] <= clean[:, 0]).all()


def test_spikes_are_few_and_noise_is_everywhere(trip, habits):
    spiked, clean = run("spikes", trip, habits)
    assert 0 < (spiked[:, 0] != clean[:, 0]).mean() < 0.2
    noisy, _ = run("noise", trip, habits)
    assert (noisy[:, 0] - clean[:, 0]).std() == pytest.approx(2 * habits.spread[0], rel=0.3)


def test_swapped_signals_take_each_others_range(trip, habits):
    faulty, clean = run("swapped", trip, habits)
    assert np.corrcoef(faulty[:, 0], clean[:, 1])[0, 1] > 0.999
    assert np.corrcoef(faulty[:, 1], clean[:, 0])[0, 1] > 0.999


def test_values_out_of_the_plausible_range_become_missing(trip, habits):
    faulty, _ = run("bias", trip, habits, magnitude=1000.0)
    assert np.isnan(faulty[:, 0]).all()


def test_what_was_missing_stays_missing(trip, habits):
    holed = trip.copy()
    holed[210:220, 0] = np.nan
    for name in KINDS_WANTED:
        faulty = inject(fault(name), holed, SIGNALS, habits, 1.0).values
        assert np.isnan(faulty[10:20, 0]).all(), name


def test_a_fault_without_effect_is_none(trip, habits):
    still = trip.copy()
    still[:, 0] = 5.0
    assert inject(fault("stuck"), still, SIGNALS, habits, 1.0) is None


def test_redundant_pairs_are_found(habits):
    assert habits.twins == ((0, 2),)


def test_a_plan_covers_kinds_magnitudes_and_trips_and_repeats(habits):
    counts = Counter()
    planned = plan([900, 900, 100], habits, 1.0, 3, KINDS_WANTED, counts)
    graded = sum(KINDS[name].graded for name in KINDS_WANTED)
    cells = graded * len(MAGNITUDES) + len(KINDS_WANTED) - graded
    assert len(planned) == 2 * cells
    assert counts == {"too_short": cells}
    assert sorted(planned, key=repr) == sorted(plan([900, 900, 100], habits, 1.0, 3, KINDS_WANTED, Counter()), key=repr)
    assert planned != plan([900, 900, 100], habits, 1.0, 4, KINDS_WANTED, Counter())
    for injection in planned:
        assert injection.onset >= 60
        assert injection.onset + injection.duration <= 900
        assert injection.duration >= 60


def test_a_user_adds_a_kind_with_one_function(tmp_path, trip, habits, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(
        "from tickover_train.evaluation.faults import Case, kind\n"
        "@kind('half')\n"
        "def half(case: Case) -> None:\n"
        "    case.values[:, case.signal] /= 2\n"
    )
    monkeypatch.delitem(KINDS, "half", raising=False)
    load_kinds(file)
    faulty, clean = run("half", trip, habits)
    np.testing.assert_allclose(faulty[:, 0], clean[:, 0] / 2, rtol=1e-6)
    KINDS.pop("half")
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(ConfigError, match="got none"):
        load_kinds(empty)


def test_what_is_injected_has_the_resolution_of_its_signal(trip):
    coarse = trip.copy()
    coarse[:, 0] = np.round(coarse[:, 0])
    coarse[:, 1] = np.round(coarse[:, 1] / 0.4) * 0.4
    habits = habits_of([coarse])
    assert habits.resolution[:2] == pytest.approx([1.0, 0.4], abs=1e-5)
    assert habits.resolution[2] == 0.0
    for kind in ("bias", "noise", "drift", "scale"):
        faulty, clean = run(kind, coarse, habits)
        assert not np.array_equal(faulty, clean)
        np.testing.assert_allclose(faulty[:, 0], np.round(faulty[:, 0]), atol=1e-5)
    faulty, _ = run("stuck", coarse, habits)
    assert len(np.unique(faulty[:, 0])) == 1


def test_several_offsets_two_signals_at_once(trip, habits):
    faulty, clean = run("several", trip, habits, magnitude=3.0)
    np.testing.assert_allclose((faulty - clean)[:, :2].T, [[3 * x] * len(clean) for x in habits.spread[:2]], rtol=1e-3)
    np.testing.assert_array_equal(faulty[:, 2], clean[:, 2])

"""The detector's promises: one computation however it is cut, state that travels, input that is checked."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import paths
from tickover.errors import StateError
from tickover.model.detector import Detector
from tickover.model.session import open_model

MODELS = paths.MODELS
FILES = sorted(MODELS.glob("*.onnx"))
TICKS = 400


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def model(request):
    return open_model(request.param)


@pytest.fixture
def detector(model):
    return Detector(model)


def ticks(count=TICKS, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(45.0, 12.0, (count, 3)).astype(np.float32)
    x[random.random(x.shape) < 0.1] = np.nan
    x[count // 2 : count // 2 + 5] = np.nan
    return x


def equal(got, wanted):
    for name in ("score", "chart", "expected"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name), err_msg=name)


def part(scores, start, end):
    return type(scores)(scores.score[start:end], scores.chart[start:end], scores.expected[start:end])


def test_shapes(detector):
    scores = detector.run(ticks())
    assert scores.score.shape == (TICKS,)
    assert scores.chart.shape == (TICKS, 12)
    assert scores.expected.shape == (TICKS, 3)
    one = detector.step(ticks()[0])
    assert (one.score.shape, one.chart.shape, one.expected.shape) == ((1,), (1, 12), (1, 3))


def test_score_is_the_largest_chart_and_missing_only_where_all_is(detector):
    x = ticks()
    scores = detector.run(x)
    nothing = np.isnan(x).all(axis=1)
    np.testing.assert_array_equal(np.isnan(scores.score), nothing)
    np.testing.assert_array_equal(scores.score[~nothing], scores.chart.max(axis=1)[~nothing])


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_cut_gives_the_same_answers(model, data):
    x = ticks(120)
    starts = np.array(data.draw(st.lists(st.booleans(), min_size=120, max_size=120))) & (np.arange(120) % 7 == 0)
    whole = Detector(model).run(x, starts)
    cuts = sorted({0, 120, *data.draw(st.lists(st.integers(0, 120), max_size=5))})
    pieces = Detector(model)
    for start, end in pairwise(cuts):
        if data.draw(st.booleans()):
            equal(pieces.run(x[start:end], starts[start:end]), part(whole, start, end))
        else:
            for tick in range(start, end):
                if starts[tick]:
                    pieces.reset()
                equal(pieces.step(x[tick]), part(whole, tick, tick + 1))
        other = Detector(model)
        other.restore(pieces.state())
        pieces = other


def test_a_chunk_is_longer_than_one_call(detector):
    x = ticks(1500)
    whole = detector.run(x)
    detector.reset(trip_only=False)
    equal(detector.run(x[:1]), part(whole, 0, 1))
    equal(detector.run(x[1:]), part(whole, 1, 1500))


def test_a_batch_is_many_detectors(detector):
    rows = np.stack([ticks(90, seed) for seed in range(7)], axis=1)
    states = np.tile(detector.new_state(), (7, 1))
    for start in (0, 50):
        states, scores = detector.run_batch(states, rows[start : start + 50])
        for row in range(7):
            if start == 0:
                detector.reset(trip_only=False)
                equal(detector.run(rows[:50, row]), part_of_row(scores, row))
    detector.reset(trip_only=False)
    detector.run(rows[:, 6])
    np.testing.assert_array_equal(states[6], detector._state)


def part_of_row(scores, row):
    return type(scores)(scores.score[:, row], scores.chart[:, row], scores.expected[:, row])


def test_a_batch_wider_than_one_call(detector):
    wide = 1100
    states = np.tile(detector.new_state(), (wide, 1))
    after, scores = detector.run_batch(states, ticks(2)[:, None].repeat(wide, 1))
    assert (after == after[0]).all()
    assert not (after == states).all()
    equal(part_of_row(scores, wide - 1), detector.run(ticks(2)))


def test_run_batch_leaves_the_detector_and_its_arguments_alone(detector):
    state, states = detector.state(), np.tile(detector.new_state(), (2, 1))
    before = states.copy()
    detector.run_batch(states, ticks(5)[:, None].repeat(2, 1))
    assert detector.state() == state
    np.testing.assert_array_equal(states, before)


def test_reset_trip_touches_only_what_starts_anew_at_a_trip(detector):
    detector.run(ticks())
    used = detector._state.copy()
    after = detector.reset_trip(used)
    for name, span in detector.model.spans.items():
        reset = next(state.reset for state in detector.manifest.states if state.name == name)
        np.testing.assert_array_equal(after[span], detector.new_state()[span] if reset == "trip" else used[span])
    detector.reset()
    np.testing.assert_array_equal(detector._state, after)
    detector.reset(trip_only=False)
    np.testing.assert_array_equal(detector._state, detector.new_state())


def test_what_step_returns_is_not_overwritten(detector):
    first = detector.step(ticks()[0])
    kept = first.expected.copy()
    detector.step(ticks()[1])
    np.testing.assert_array_equal(first.expected, kept)


def test_score_one_is_a_step_with_names(detector):
    x = ticks(20)
    whole = detector.run(x)
    detector.reset(trip_only=False)
    for row, score in zip(x, whole.score, strict=True):
        named = {name: float(v) for name, v in zip(detector.manifest.names, row, strict=True) if not np.isnan(v)}
        assert detector.learn_one(named) is detector
        assert detector.score_one(named) == pytest.approx(float(score), nan_ok=True, abs=0)


def test_score_one_refuses_unknown_signals_and_does_not_advance(detector):
    state = detector.state()
    with pytest.raises(ValueError, match=r"unknown ones: \['oil'\]"):
        detector.score_one({"oil": 1.0})
    assert detector.state() == state


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1.0, 2.0], r"x: expected 3 values in the order of the manifest, got shape \(2,\)"),
        ([[1.0, 2.0, 3.0]], r"got shape \(1, 3\)"),
        (["a", "b", "c"], "x: expected numbers, got <U1"),
        ([1j, 0, 0], "x: expected numbers, got complex128"),
    ],
)
def test_step_says_what_it_expected(detector, x, message):
    with pytest.raises(ValueError, match=message):
        detector.step(x)


def test_run_says_what_it_expected(detector):
    with pytest.raises(ValueError, match=r"X: expected shape \[T, 3\], got \[5, 2\]"):
        detector.run(np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"trip_start: expected bool \[5\], got int64 \[5\]"):
        detector.run(np.zeros((5, 3)), np.zeros(5, int))
    with pytest.raises(ValueError, match=r"expected states \[B, \d+\] and X \[T, B, 3\]"):
        detector.run_batch(np.zeros((2, 3), np.float32), np.zeros((5, 2, 3)))


@pytest.mark.parametrize("kind", [np.float64, np.int32, np.float16])
def test_any_numbers_will_do(detector, kind):
    x = np.arange(30).reshape(10, 3)
    whole = detector.run(x.astype(np.float32))
    detector.reset(trip_only=False)
    equal(detector.run(x.astype(kind)), whole)


def test_numbers_too_large_for_float32_are_missing(detector):
    assert np.isnan(detector.step([1e300, -1e300, np.inf]).score[0])


def test_no_ticks_are_no_trouble(detector):
    state = detector.state()
    assert detector.run(np.zeros((0, 3))).score.shape == (0,)
    assert detector.state() == state


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_damaged_state_is_refused_and_changes_nothing(place, bit):
    detector = Detector(open_model(FILES[0]))
    detector.run(ticks(20))
    good = detector.state()
    bad = bytearray(good)
    bad[place % len(bad)] ^= 1 << bit
    with pytest.raises(StateError):
        detector.restore(bytes(bad))
    assert detector.state() == good


@pytest.mark.parametrize("length", [0, 3, 20, 60])
def test_state_cut_short_is_refused(detector, length):
    with pytest.raises(StateError):
        detector.restore(detector.state()[:length])


def test_state_of_another_model_is_refused():
    one, other = (Detector.load(path) for path in FILES[:2])
    with pytest.raises(StateError, match=f"expected state of the model {other.digest[:12]}, got state of"):
        other.restore(one.state())

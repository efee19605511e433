"""A fault that lasts is not taken for usual: what is slow holds while an episode is open, however ticks are cut."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

import paths
from tickover.core import record
from tickover.core.pipeline import Pipeline
from tickover.core.policy import EpisodeOverrides, Settings
from tickover.core.slow_states import SlowStates
from tickover.core.values import SECOND, EndReason, Phase, Readings
from tickover.model.detector import Detector
from today import of_today

DETECTOR = of_today(Detector.load(paths.MODELS / "lstm_forecaster.onnx"))  # with a baseline of 600 s
NAMES = DETECTOR.manifest.names
SPREADING = of_today(Detector.load(paths.MODELS / "lstm_forecaster.onnx"))  # the same, and it knows its residuals
SPREADING.manifest = structs.replace(SPREADING.manifest, spreads=(10.0,) * len(NAMES))
BASELINE = DETECTOR.model.spans["baseline"]


@pytest.fixture(autouse=True, scope="module")
def known():
    """Vehicles that are known from their first tick on; the last test has a new one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "NEW_S", 0.0)
        yield


def drive(seconds, fault=None, size=0.0, seed=0):
    """Calm values, and an unsteady coolant from one second to another, which a forecaster does not come to expect."""
    random = np.random.default_rng(seed)
    table = random.normal([24, 49, 45], 1, (seconds, 3))
    if fault:
        rows = slice(*fault)
        table[rows, 0] += size * random.choice([0.0, 1.0], len(table[rows]))
    return table


def run(table, sizes, vehicles=("a",), resume=False, detector=DETECTOR, **overrides):
    """Outputs by vehicle as plain values, and the last state of each; readings in blocks."""
    options = Settings(episodes=EpisodeOverrides(**overrides))
    pipeline, told, at = Pipeline(detector, options), {name: ([], [], []) for name in vehicles}, 0

    def take(outputs):
        for output in outputs:
            rows, opens, alerts = told[output.scored.ticks.vehicle]
            scores = output.scored.scores
            rows.extend(np.column_stack([scores.score, scores.chart, scores.expected]).tolist())
            opens.extend(output.scored.open.tolist())
            alerts.extend(output.alerts)

    for size in sizes:
        for name in vehicles:
            time = np.arange(at, at + size) * SECOND
            pipeline.feed(Readings(name, NAMES, time, table[at : at + size]))
        at += size
        take(pipeline.pump())
        if resume:
            saved, pipeline = {name: pipeline.state(name) for name in vehicles}, Pipeline(detector, options)
            for name, state in saved.items():
                pipeline.restore(name, state)
    states = {name: pipeline._alone(name).state.copy() for name in vehicles}
    take(pipeline.flush())
    return told, states


def test_the_slow_states_of_a_model_are_known():
    assert DETECTOR.manifest.slow_states == ("baseline",)


def test_a_fault_that_lasts_keeps_its_episode_open_and_the_baseline_where_it_was():
    table = drive(3000, (600, 3000), 60.0)
    _, before = run(table[:600], [600])
    told, after = run(table, [3000])
    alerts = told["a"][2]
    late = [alert for alert in alerts if alert.time >= 600 * SECOND]
    assert [alert.reason for alert in late if alert.phase is Phase.END] == [EndReason.END_OF_LOG]
    moved = np.abs(after["a"][BASELINE] - before["a"][BASELINE]).max()
    free, adapted = run(table, [3000], hold_slow_means=False)
    assert np.abs(adapted["a"][BASELINE] - before["a"][BASELINE]).max() > 5 * moved
    assert free["a"][0] != told["a"][0]


@given(
    *(st.data(), st.integers(0, 3), st.sampled_from([0.0, 20.0, 60.0]), st.booleans(), st.booleans()),
    st.sampled_from([DETECTOR, SPREADING]),
    st.sampled_from([0.0, 7.5]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_ticks_chunks_and_batches_are_the_same_to_the_bit(data, seed, size, resume, fleet, detector, follow_back):
    begin = data.draw(st.integers(20, 150))
    table = drive(220, (begin, begin + data.draw(st.integers(1, 100))), size, seed)
    sizes, left = [], len(table)
    while left:
        sizes.append(data.draw(st.integers(1, left)))
        left -= sizes[-1]
    whole, state = run(table, [len(table)], detector=detector, follow_back=follow_back)
    parts, states = run(table, sizes, ("a", "b") if fleet else ("a",), resume, detector, follow_back=follow_back)
    np.testing.assert_equal(parts["a"], whole["a"])
    np.testing.assert_equal(states["a"], state["a"])


@pytest.mark.parametrize("size", [60.0])
def test_tick_by_tick_is_the_same_to_the_bit(size):
    table = drive(200, (80, 140), size)
    np.testing.assert_equal(run(table, [1] * 200)[0], run(table, [200])[0])


@pytest.mark.parametrize("sizes", [[2400], [1] * 150 + [700] * 3 + [150]])
def test_an_episode_that_opens_while_the_vehicle_is_new_holds_nothing(monkeypatch, sizes):
    """A truck that is first seen in another season would else stay in its first episode for ever."""
    monkeypatch.setattr(record, "NEW_S", 600.0)
    opened = {}
    for begin in (100, 900):
        _, before = run(drive(begin), [begin])
        table = drive(2400, (begin, 2400), 60.0)
        told, after = run(table, sizes, resume=True)
        starts = [alert.time // SECOND for alert in told["a"][2] if alert.phase is Phase.START]
        assert (starts[-1] < 600) is (begin < 600), "this model alarms while it is cold, and then at the fault"
        opened[begin] = np.abs(after["a"][BASELINE] - before["a"][BASELINE]).max()
    assert opened[100] > 5 * opened[900]


def test_only_the_means_of_the_named_signals_are_held():
    slow = SlowStates(DETECTOR.manifest, DETECTOR.manifest.episodes)
    size = sum(state.size for state in DETECTOR.manifest.states)
    before, after = np.zeros((2, size), np.float32), np.ones((2, size), np.float32)
    held = slow.held(before, after, np.array([[True, False, False], [False, True, True]]))
    np.testing.assert_array_equal(held[:, BASELINE], [[0, 1, 1], [1, 0, 0]])
    assert held.sum() == 2 * size - 3, "nothing else is"


def test_what_has_come_back_but_not_fully_is_followed_and_a_fault_that_lasts_is_not():
    slow = SlowStates(DETECTOR.manifest, structs.replace(DETECTOR.manifest.episodes, follow_back=4.0))
    size = sum(state.size for state in DETECTOR.manifest.states)
    before, after = np.zeros((1, size), np.float32), np.ones((1, size), np.float32)
    held = slow.held(before, after, np.array([[True, True, False]]), np.array([[False, True, False]]))
    np.testing.assert_array_equal(held[:, BASELINE], [[0, 4, 1]])
    assert held.sum() == size - 1 + 3, "nothing else moves faster"

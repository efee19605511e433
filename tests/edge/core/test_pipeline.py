"""The pipeline with a small fake detector whose result depends on every tick before, and with a real model file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import paths
from tickover.core.manifest import (
    Budget,
    Chart,
    EpisodePolicy,
    Manifest,
    Network,
    Signal,
    StateTensor,
)
from tickover.core.pipeline import Pipeline
from tickover.core.policy import EpisodeOverrides, Settings
from tickover.core.values import (
    SECOND,
    EndReason,
    Readings,
    Scores,
)
from tickover.errors import ConfigError, StateError
from tickover.host import toml
from tickover.model.detector import Detector

MODEL = paths.MODELS / "gru_autoencoder.onnx"


class FakeDetector:
    """Per signal: the count of ticks in the trip, and a running sum that holds while missing and is never reset."""

    digest = "cd" * 32

    def __init__(self):
        chart = {"kind": "cusum", "limit": 1.0, "bound": 99.0, "clears_s": 1.0}
        self.manifest = Manifest(
            name="fake",
            signals=(Signal(name="a"), Signal(name="b")),
            tick_period_s=1.0,
            gap_limit_s=5.0,
            lateness_s=1.0,
            states=(StateTensor(name="age", size=1, reset="trip"), StateTensor(name="sum", size=2, reset="never")),
            warm_up_ticks=0,
            charts=(Chart(name="a.sum", signals=("a",), **chart), Chart(name="b.sum", signals=("b",), **chart)),
            false_alarms=Budget(episodes=1, per_s=3600),
            episodes=EpisodePolicy(close_after_s=2, hold_off_s=3, no_data_s=4, freeze_frame_ticks=3),
            network=Network(cell="gru", arch="autoencoder", hidden=1, bottleneck=1),
        )
        self.calls = []

    def new_state(self):
        return np.zeros(3, np.float32)

    def reset_trip(self, state):
        return np.array([0, state[1], state[2]], np.float32)

    def run_batch(self, states, X):
        self.calls.append(X.shape)
        states, chart, expected = states.copy(), [], []
        for x in X:
            states[:, 0] += 1
            states[:, 1:] = np.where(np.isnan(x), states[:, 1:], np.clip(states[:, 1:] + x, 0, 3))
            chart.append(states[:, 1:].copy())
            expected.append(np.repeat(states[:, :1], 2, axis=1))
        charts = np.array(chart)
        score = np.where(np.isnan(X).all(axis=2), np.float32(np.nan), charts.max(axis=2))
        return states, Scores(score, charts, np.array(expected))


def readings(vehicle, rows):
    """Rows of (seconds, a, b)."""
    table = np.array(rows, np.float64).reshape(len(rows), 3)
    return Readings(vehicle, ("a", "b"), (table[:, 0] * SECOND).astype(np.int64), table[:, 1:])


def collect(outputs, into):
    """Everything a vehicle's outputs say, as plain values."""
    for output in outputs:
        ticks, scores = output.scored.ticks, output.scored.scores
        told = into.setdefault(ticks.vehicle, ([], []))
        rows = np.column_stack([ticks.time, ticks.trip, ticks.values, scores.score, scores.chart, scores.expected])
        told[0].extend([*row, is_open] for row, is_open in zip(rows.tolist(), output.scored.open.tolist(), strict=True))
        told[1].extend(output.alerts)
    return into


def alone(vehicle, rows):
    """One vehicle in one piece."""
    pipeline = Pipeline(FakeDetector())
    pipeline.feed(readings(vehicle, rows))
    return collect(pipeline.flush(), {}).get(vehicle)


CELL = st.sampled_from([0.0, 0.4, -0.5, np.nan])


@st.composite
def rows_of(draw):
    rows, time = [], 0
    for step in draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 3, 9]), min_size=1, max_size=15)):
        time += step
        rows.append((time, draw(CELL), draw(CELL)))
    return rows


@given(st.data(), st.dictionaries(st.sampled_from("pqr"), rows_of(), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_vehicles_blocks_and_saved_state_change_nothing(data, fleet):
    """Many vehicles pumped together, cut and resumed at will, each get what they get alone and whole."""
    pipeline, told, left = Pipeline(FakeDetector()), {}, {name: list(rows) for name, rows in fleet.items()}
    while any(left.values()):
        name = data.draw(st.sampled_from([name for name, rows in left.items() if rows]))
        size = data.draw(st.integers(1, len(left[name])))
        pipeline.feed(readings(name, left[name][:size]))
        left[name] = left[name][size:]
        if data.draw(st.booleans()):
            collect(pipeline.pump(), told)
            if data.draw(st.booleans()):
                after = Pipeline(FakeDetector())
                for name in pipeline.vehicles:
                    after.restore(name, pipeline.state(name))
                pipeline = after
    collect(pipeline.flush(), told)
    for name, rows in fleet.items():
        np.testing.assert_equal(told.get(name), alone(name, rows))


def test_trips_reset_what_belongs_to_the_trip_only():
    ticks, _ = alone("p", [(time, 0.25, 0) for time in (0, 1, 20, 21, 40, 41)])
    assert [row[1] for row in ticks] == [0, 0, 1, 1, 2, 2]
    assert [row[7] for row in ticks] == [1, 2, 1, 2, 1, 2]
    assert [row[5] for row in ticks] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]


def test_vehicles_with_equally_many_ticks_share_a_call():
    pipeline = Pipeline(FakeDetector())
    for name in "pqrs":
        pipeline.feed(readings(name, [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)]))
    pipeline.feed(readings("late", [(0, 0, 0), (1, 0, 0), (2, 0, 0)]))
    outputs = pipeline.pump()
    assert sorted(pipeline._detector.calls) == [(1, 1, 2), (2, 4, 2)]
    assert [output.scored.ticks.vehicle for output in outputs] == [*"pqrs", "late"]


def test_advance_ends_an_episode_of_a_silent_vehicle_only_once():
    pipeline = Pipeline(FakeDetector())
    pipeline.feed(readings("p", [(0, 2, 0), (1, 0, 0), (2, 0, 0)]))
    pipeline.advance("p", 60 * SECOND)
    told = collect(pipeline.pump(), {})["p"]
    assert [(alert.phase.value, alert.reason) for alert in told[1]] == [("start", None), ("end", EndReason.NO_DATA)]
    assert told[1][-1].time == 6 * SECOND
    assert not pipeline.is_open("p")
    pipeline.advance("p", 90 * SECOND)
    assert pipeline.pump() == []


def test_end_with_a_reason_and_forget():
    pipeline = Pipeline(FakeDetector())
    pipeline.feed(readings("p", [(0, 2, 0), (1, 0, 0), (9, 0, 0)]))
    pipeline.pump()
    (output,) = pipeline.end("p", EndReason.MODEL_CHANGED)
    assert (output.alerts[0].reason, len(output.scored.ticks.time)) == (EndReason.MODEL_CHANGED, 0)
    pipeline.forget("p")
    assert pipeline.vehicles == ()


def test_counts_are_summed_over_vehicles():
    pipeline = Pipeline(FakeDetector())
    for name in "pq":
        pipeline.feed(readings(name, [(10, 1e12, 0), (9, 0, 0), (5, 0, 0)]))
    assert pipeline.counts["out_of_range"] == 2
    assert pipeline.signal_counts["late"].tolist() == [2, 2]


def test_counts_outlive_the_vehicles_that_they_are_of():
    pipeline = Pipeline(FakeDetector())
    for name in "pq":
        pipeline.feed(readings(name, [(10, 1e12, 0), (9, 0, 0), (5, 0, 0)]))
    pipeline.pump()
    counts, late = pipeline.counts, pipeline.signal_counts["late"].tolist()
    pipeline.restore("p", pipeline.state("p"))
    pipeline.forget("q")
    assert (pipeline.counts, pipeline.signal_counts["late"].tolist()) == (counts, late)
    pipeline.feed(readings("q", [(10, 0, 0), (5, 0, 0)]))
    assert pipeline.counts["late"] == counts["late"] + 2
    assert counts["late"] == 4, "what was read before does not change"


def test_settings_replace_the_policy_and_scale_the_scores():
    settings_ = Settings(episodes=EpisodeOverrides(open_after_s=1), sensitivity={"b": 2.0})
    pipeline = Pipeline(FakeDetector(), settings_)
    pipeline.feed(readings("p", [(0, 0, 0.5), (1, 0, 0), (2, 0, 0)]))
    ticks, alerts = collect(pipeline.flush(), {})["p"]
    assert [row[4] for row in ticks] == [1.0, 1.0, 1.0]
    assert [(alert.start, alert.time) for alert in alerts[:1]] == [(0, SECOND)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[episodes]\nclose_afer_s = 3", "cfg: unknown key 'episodes.close_afer_s'; did you mean 'close_after_s'?"),
        ("[episodes]\nclose_level = 2.0", "cfg: key 'episodes.close_level': Expected `float` <= 1.0"),
        ("[sensitivity]\na = -1", "cfg: key 'sensitivity.a': Expected `float` >= 0.0"),
        ("[episode]\n", "cfg: unknown key 'episode'; did you mean 'episodes'?"),
    ],
)
def test_bad_settings_name_the_key(text, message):
    with pytest.raises(ConfigError) as refused:
        toml.decode(text, Settings, "cfg")
    assert message in str(refused.value)


def test_a_sensitivity_for_a_stranger_is_refused():
    with pytest.raises(ConfigError, match=r"key 'sensitivity.aa': expected a signal of the model; did you mean 'a'\?"):
        Pipeline(FakeDetector(), Settings(sensitivity={"aa": 2.0}))


def test_levels_that_leave_no_room_for_major_are_refused():
    with pytest.raises(ConfigError, match="expected major_level up to critical_level, got 5 and 4"):
        Pipeline(FakeDetector(), Settings(episodes=EpisodeOverrides(major_level=5.0)))


def test_every_number_of_the_policy_can_be_overridden():
    assert EpisodeOverrides.__struct_fields__ == EpisodePolicy.__struct_fields__


def saved():
    pipeline = Pipeline(FakeDetector())
    pipeline.feed(readings("p", [(0, 2, 0), (1, 0, 0), (9, 0, 0)]))
    pipeline.pump()
    return pipeline.state("p")


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_damaged_state_is_always_refused(place, flip):
    state = bytearray(saved())
    state[place % len(state)] ^= flip
    pipeline = Pipeline(FakeDetector())
    with pytest.raises(StateError):
        pipeline.restore("p", bytes(state))
    assert pipeline.vehicles == ()


def test_state_of_another_model_or_vehicle_is_refused_and_of_waiting_ticks_not_given():
    other = FakeDetector()
    other.digest = "ef" * 32
    with pytest.raises(StateError, match="expected state of the model efefefefefef, got state of cdcdcdcdcdcd"):
        Pipeline(other).restore("p", saved())
    with pytest.raises(StateError, match="expected state of vehicle q, got state of p"):
        Pipeline(FakeDetector()).restore("q", saved())
    pipeline = Pipeline(FakeDetector())
    pipeline.feed(readings("p", [(0, 2, 0), (5, 0, 0)]))
    with pytest.raises(StateError, match="pump before saving"):
        pipeline.state("p")


def test_a_real_model_gives_what_its_detector_gives():
    """The pipeline's batches and pieces are bit-equal with ``Detector.run`` over the same ticks."""
    detector = Detector.load(MODEL)
    random = np.random.default_rng(0)
    values = random.normal([24, 49, 45], [1, 1, 1], (600, 3))
    values[random.random(values.shape) < 0.1] = np.nan
    time = np.arange(600) * SECOND
    time[300:] += 100 * SECOND
    pipeline, told = Pipeline(detector), {}
    for name in ("p", "q"):
        for start in range(0, 600, 170 if name == "p" else 600):
            part = slice(start, start + 170 if name == "p" else 600)
            pipeline.feed(Readings(name, detector.manifest.names, time[part], values[part]))
    collect(pipeline.flush(), told)
    rows = np.array([row[:-1] for row in told["p"][0]])
    x = rows[:, 2:5].astype(np.float32)
    expected = detector.run(x, np.diff(rows[:, 1], prepend=-1) != 0)
    np.testing.assert_array_equal(rows[:, 5].astype(np.float32), expected.score)
    np.testing.assert_array_equal(rows[:, 6:18].astype(np.float32), expected.chart)
    np.testing.assert_equal(told["q"][0], told["p"][0])

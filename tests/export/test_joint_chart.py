"""A kind that looks at two signals takes one class: graph, manifest, detector, episodes, attribution and report follow.

Its charts are those of an obvious loop, and its ticks, chunks and batches are bit-equal, as every kind's are.
"""

import numpy as np
import pytest
from msgspec import structs

from joint_chart import Joint
from small_models import (
    BANKS,
    limits_of,
    many_signals,
    model_bytes,
    random_weights,
    reference_ticks,
    small_spec,
    ticks_of,
)
from tickover.commands.show import describe
from tickover.core.manifest_codec import decode, encode
from tickover.core.pipeline import Pipeline
from tickover.core.policy import Settings
from tickover.core.values import SECOND, EndReason, Phase, Readings
from tickover.errors import ModelError
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover.report.report import Report
from tickover_export.charts.registry import KINDS
from tickover_export.graph import build, states_of
from tickover_export.retune import Retuned
from tickover_export.spec import InputDrift

JOINT = Joint(name="joint", signals=("coolant", "speed"), span_s=20.0)
SPEC = small_spec(banks=(BANKS[0], JOINT, *BANKS[1:]), warm_up_ticks=0)
PLACE = 3
"""The joint chart's column: behind the first bank's three."""
LIMIT = 2.0


def still_weights(spec=SPEC):
    """A network that expects 0 whatever comes, with scales of 1: a residual is its value, clipped."""
    weights = {name: np.zeros_like(array) for name, array in random_weights(spec).items()}
    return weights | {name: np.ones_like(array) for name, array in weights.items() if name.endswith(".scale")}


def still_model(spec=SPEC, others=1e3):
    """Limits of ``others``, but for the joint chart's."""
    limits = np.full(len(spec.charts), others, np.float32)
    limits[PLACE] = LIMIT
    return open_bytes(model_bytes(spec, still_weights(spec), limits))


def wandering(ticks, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(0.0, 2.0, (ticks, 3)).astype(np.float32)
    x[random.random(x.shape) < 0.15] = np.nan
    return x


def test_the_chart_is_what_a_loop_says_and_holds_while_either_signal_is_missing():
    x = wandering(400)
    chart = Detector(still_model()).run(x).chart[:, PLACE] * LIMIT
    mean, wanted = 0.0, []
    for coolant, _, speed in np.clip(x.astype(float), -8.0, 8.0):
        if np.isfinite(coolant) and np.isfinite(speed):
            mean += 2.0 / 21.0 * (coolant * speed - mean)
        wanted.append(abs(mean))
    np.testing.assert_allclose(chart, wanted, rtol=1e-4, atol=1e-5)
    gone = np.isnan(x[:, [0, 2]]).any(axis=1)[1:]
    assert gone.sum() > 50
    assert (chart[1:][gone] == chart[:-1][gone]).all()
    np.testing.assert_allclose(JOINT.reference(reference_ticks(x, SPEC), 1.0)[:, 0][:50], wanted[:50], rtol=0.5)


@pytest.mark.parametrize("signals", [3, 40], ids=["one block", "blocks"])
def test_ticks_chunks_and_batches_are_bit_equal(signals):
    named = many_signals(signals)
    joint = structs.replace(JOINT, signals=(named[-1].name, named[0].name))
    drift = InputDrift(low=(-0.5,) * signals, high=(0.5,) * signals, span_s=60.0)
    spec = small_spec(banks=(*BANKS[:2], joint, *BANKS[2:]), signals=named, baseline_span_s=300.0, input_drift=drift)
    weights = random_weights(spec)
    detector = Detector(open_bytes(model_bytes(spec, weights)))
    x, starts = ticks_of(spec, weights, 300)
    chunks = detector.run(x, starts)
    state = detector.state()
    detector.reset(trip_only=False)
    for tick, row in enumerate(x):
        if starts[tick]:
            detector.reset()
        np.testing.assert_array_equal(detector.step(row).chart[0], chunks.chart[tick])
    assert detector.state() == state
    first = int(np.flatnonzero(starts)[1]) if starts.sum() > 1 else len(x)
    for size in (1, 3, 64):
        states = np.tile(detector.new_state(), (size, 1))
        _, batch = detector.run_batch(states, x[:first, None].repeat(size, 1))
        for row in range(size):
            np.testing.assert_array_equal(batch.chart[:, row], chunks.chart[:first])
            np.testing.assert_array_equal(batch.score[:, row], chunks.score[:first])
    assert chunks.chart[:, 2 * signals].max() > 0.0


def test_the_other_charts_are_what_they_are_without_it():
    without = structs.replace(SPEC, banks=BANKS)
    x = wandering(300, seed=5)
    with_it = Detector(still_model()).run(x)
    limits = np.full(len(without.charts), 1e3, np.float32)
    alone = Detector(open_bytes(model_bytes(without, still_weights(without), limits))).run(x)
    np.testing.assert_array_equal(np.delete(with_it.chart, PLACE, axis=1), alone.chart)
    np.testing.assert_array_equal(with_it.expected, alone.expected)


def test_the_manifest_lists_it_and_show_says_what_it_is():
    model = still_model()
    chart = model.manifest.charts[PLACE]
    assert (chart.name, chart.kind, chart.signals) == ("joint", "joint", ("coolant", "speed"))
    assert (chart.limit, chart.bound, chart.settings) == (2.0, 64.0, {"span_s": 20.0})
    assert decode(encode(model.manifest)) == model.manifest
    assert any(line.split("  ")[1:2] == ["joint"] and Joint.WORDS in line for line in describe(model))


def test_it_is_bounded_and_clears_in_the_time_stated():
    x = np.zeros((800, 3), np.float32)
    x[:400] = 1e6
    detector = Detector(still_model())
    chart, stated = detector.run(x).chart[:, PLACE], detector.manifest.charts[PLACE]
    assert chart.max() * LIMIT <= stated.bound * (1 + 1e-6)
    assert np.flatnonzero(chart >= 1.0)[-1] + 1 - 400 == pytest.approx(stated.clears_s - 1, abs=1.0)


def readings(x, rows):
    time = np.arange(len(x), dtype=np.int64) * SECOND
    return Readings("truck", ("coolant", "rpm", "speed"), time[rows], x[rows].astype(np.float64))


SCRIPT = ((10, (0.0, 100.0, 0.0)), (60, (3.0, 100.0, 2.0)), (200, (0.0, 100.0, 0.0)))
"""(ticks, values): coolant and speed move together for a minute."""


def scripted(script=SCRIPT):
    return np.concatenate([np.tile(np.array(row, np.float32), (ticks, 1)) for ticks, row in script])


def replay(x, sensitivity=None, sizes=None):
    """Alerts and the report's data of ticks that are fed in blocks."""
    pipeline = Pipeline(Detector(still_model()), Settings(sensitivity=sensitivity or {}))
    report, alerts, start = Report(pipeline._detector.manifest), [], 0
    for size in sizes or [len(x)]:
        pipeline.feed(readings(x, slice(start, start + size)))
        start += size
        for output in pipeline.pump():
            alerts += output.alerts
            report.add(output.scored, output.alerts)
    for output in pipeline.flush():
        alerts += output.alerts
        report.add(output.scored, output.alerts)
    return alerts, report


def test_an_episode_names_both_signals_with_equal_shares():
    alerts, _ = replay(scripted())
    assert [alerts[0].phase, alerts[-1].phase] == [Phase.START, Phase.END]
    assert len({alert.episode_id for alert in alerts}) == 1
    assert alerts[-1].reason is EndReason.RECOVERED
    for alert in alerts:
        assert [(part.signal, part.chart, part.share) for part in alert.signals[:2]] == [
            ("coolant", "joint", pytest.approx(0.5, abs=0.01)),
            ("speed", "joint", pytest.approx(0.5, abs=0.01)),
        ]
        assert alert.signals[0].level == alert.signals[1].level


def test_of_signals_that_it_raises_alike_the_one_with_the_larger_chart_of_its_own_comes_first():
    script = [(ticks, (2.0, rpm, 3.0) if coolant else (coolant, rpm, speed)) for ticks, (coolant, rpm, speed) in SCRIPT]
    alerts, _ = replay(scripted(script))
    assert [part.signal for part in alerts[0].signals[:2]] == ["speed", "coolant"]


def test_cutting_the_stream_into_blocks_changes_nothing():
    x = scripted()
    wanted, _ = replay(x)
    found, _ = replay(x, sizes=[7] * 30 + [len(x) - 210])
    assert found == wanted


def test_the_least_sensitive_of_its_signals_counts():
    x = scripted()
    peak = replay(x)[0][-1].peak
    assert replay(x, {"speed": 2.0})[0][-1].peak == pytest.approx(peak)
    assert replay(x, {"speed": 2.0, "coolant": 3.0})[0][-1].peak == pytest.approx(2.0 * peak, rel=0.05)
    assert replay(x, {"speed": 0.0, "coolant": 3.0})[0] == []


def test_its_alarm_does_not_recover_while_one_of_its_signals_is_missing():
    """Coolant dies at the height of the fault: the chart holds, and the episode ends without data, ``no_data_s`` after
    the last held value of coolant (5 s)."""
    x = scripted(((10, (0.0, 100.0, 0.0)), (60, (3.0, 100.0, 2.0)), (300, (np.nan, 100.0, 0.0))))
    alerts, _ = replay(x)
    assert [alert.phase for alert in alerts if alert.phase is not Phase.UPDATE] == [Phase.START, Phase.END]
    assert alerts[-1].reason is EndReason.NO_DATA
    assert alerts[-1].time == (69 + 5 + 120) * SECOND


def test_a_held_chart_opens_nothing():
    """The mean is over its limit only while speed is missing: coolant alone is no joint movement."""
    x = scripted(((10, (0.0, 100.0, 0.0)), (60, (3.0, 100.0, np.nan)), (200, (0.0, 100.0, 0.0))))
    assert replay(x)[0] == []


def test_the_report_draws_it_at_both_signals():
    _, report = replay(scripted())
    level = np.nanmax(report.tracks["truck"].pyramid.buckets().level, axis=0)
    assert level[0] == level[2] > 1.0 > level[1]
    assert [part.signal for part in report.episodes[0].signals[:2]] == ["coolant", "speed"]
    assert "joint" in report.html()


def test_a_saved_state_goes_on():
    x, detector = wandering(200), Detector(still_model())
    whole = detector.run(x)
    detector.reset(trip_only=False)
    detector.run(x[:77])
    other = Detector(still_model())
    other.restore(detector.state())
    np.testing.assert_array_equal(other.run(x[77:]).chart, whole.chart[77:])
    assert [state.name for state in states_of(SPEC)][-3:] == ["mean", "sum", "joint"]


def test_retune_needs_the_kind_in_the_registry(monkeypatch):
    data = model_bytes(SPEC)
    with pytest.raises(ModelError, match=r"chart joint: expected a kind of ewma, .*frozen, got joint"):
        Retuned(data)
    monkeypatch.setitem(KINDS, "joint", Joint)
    model = Retuned(data)
    limits = limits_of(SPEC, off=())
    found = open_bytes(model.finish(limits, model.manifest.false_alarms)).manifest.charts
    assert found[PLACE].limit == limits[PLACE]
    assert found[PLACE].clears_s == JOINT.clearing_ticks(float(limits[PLACE]), 64.0, 1.0)
    assert found[PLACE].signals == JOINT.signals


def test_a_chart_with_other_settings_than_its_kind_has_is_refused(monkeypatch):
    class Later(Joint, frozen=True, kw_only=True, tag="joint"):
        allowance: float

    monkeypatch.setitem(KINDS, "joint", Later)
    with pytest.raises(ModelError, match=r"chart joint: settings of joint: .* missing required field `allowance`"):
        Retuned(model_bytes(SPEC))


@pytest.mark.parametrize("signals", [("coolant", "oil"), ("oil",)])
def test_signals_that_the_model_does_not_have_are_refused(signals):
    spec = structs.replace(SPEC, banks=(structs.replace(JOINT, signals=signals),))
    with pytest.raises(ValueError, match=r"spec: bank joint: expected signals of the model, got \['oil'\]"):
        build(random_weights(spec), spec, np.ones(1, np.float32))

"""Every cell and architecture keeps the same promises: one suite over all of them."""

import numpy as np
import onnx
import pytest
from msgspec import structs

from oracle import Oracle
from small_models import (
    BANKS,
    COMBINATIONS,
    limits_of,
    many_signals,
    model_bytes,
    random_weights,
    small_spec,
    ticks_of,
)
from tickover.core.manifest import ColdStart
from tickover.core.manifest_codec import decode, encode
from tickover.errors import ModelError
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.charts.cusum import Cusum
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.ewms import Ewms
from tickover_export.graph import OPSET, build, states_of
from tickover_export.spec import InputDrift

SUMMED = 3e-4
"""A CUSUM adds up float32 rounding over hundreds of ticks; the oracle counts in float64. In units of the limit."""
ALL = pytest.mark.parametrize(("cell", "arch"), COMBINATIONS)


DRIFT = InputDrift(low=(-0.3, -1.0, 0.1), high=(0.5, 0.0, 1.0), span_s=20.0)


def cold_starts(number):
    return tuple(ColdStart(excess=0.7 * place, fades_s=20.0 + place) for place in range(number))


def detector_of(spec, weights=None, limits=None):
    return Detector(open_bytes(model_bytes(spec, weights, limits)))


def equal(got, wanted):
    for name in ("score", "chart", "expected"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name), err_msg=name)


@ALL
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"warm_up_ticks": 0},
        {"baseline_span_s": 300.0},
        {"cold": cold_starts(3), "tick_period_s": 0.5},
        {"input_drift": DRIFT},
    ],
    ids=["warm", "at once", "base", "cold", "input drift"],
)
def test_graph_says_what_the_slow_oracle_says(cell, arch, changes):
    spec = small_spec(cell, arch, **changes)
    weights, limits = random_weights(spec), limits_of(spec)
    x, starts = ticks_of(spec, weights, 700)
    got = detector_of(spec, weights, limits).run(x, starts)
    score, chart, expected = Oracle(spec, weights, limits).run(x, starts)
    np.testing.assert_array_equal(np.isnan(got.score), np.isnan(score))
    summed = np.repeat([bank.kind == "cusum" for bank in spec.banks], len(spec.signals))
    assert np.all(np.abs(got.chart - chart) <= np.where(summed, SUMMED, 1e-4) + 1e-4 * np.abs(chart))
    led = summed[np.argmax(chart, axis=1)]
    near = np.abs(got.score - score) <= np.where(led, SUMMED, 1e-4) + 1e-4 * np.abs(score)
    assert np.all(near | np.isnan(score))
    np.testing.assert_allclose(got.expected, expected, rtol=1e-4, atol=1e-3)
    assert np.nanmax(score) > 1.0, "the case must reach the limit, or it shows little"


@ALL
def test_ticks_chunks_and_batches_are_bit_equal(cell, arch):
    signals = many_signals(16)
    drift = InputDrift(low=(-0.5,) * len(signals), high=(0.5,) * len(signals), span_s=60.0)
    cold = cold_starts(len(signals))
    spec = small_spec(cell, arch, baseline_span_s=300.0, hidden=32, signals=signals, cold=cold, input_drift=drift)
    weights = random_weights(spec)
    x, _ = ticks_of(spec, weights, 600)
    detector = detector_of(spec, weights)
    chunks = detector.run(x)
    state = detector.state()
    detector.reset(trip_only=False)
    for tick, row in enumerate(x):
        one = detector.step(row)
        equal(
            one,
            type(one)(chunks.score[tick : tick + 1], chunks.chart[tick : tick + 1], chunks.expected[tick : tick + 1]),
        )
    assert detector.state() == state
    for size in (1, 3, 8, 256):
        states, batch = detector.run_batch(np.tile(detector.new_state(), (size, 1)), x[:64, None].repeat(size, 1))
        for row in range(size):
            np.testing.assert_array_equal(batch.chart[:, row], chunks.chart[:64])
            np.testing.assert_array_equal(batch.expected[:, row], chunks.expected[:64])
            np.testing.assert_array_equal(batch.score[:, row], chunks.score[:64])
        assert (states == states[0]).all()


@ALL
def test_rows_of_a_batch_do_not_touch_each_other(cell, arch):
    spec = small_spec(cell, arch)
    weights = random_weights(spec)
    rows = [ticks_of(spec, weights, 80, seed=seed)[0] for seed in range(5)]
    detector = detector_of(spec, weights)
    states, batch = detector.run_batch(np.tile(detector.new_state(), (5, 1)), np.stack(rows, axis=1))
    for row, x in enumerate(rows):
        detector.reset(trip_only=False)
        np.testing.assert_array_equal(batch.chart[:, row], detector.run(x).chart)
        np.testing.assert_array_equal(states[row], detector._state)


@ALL
def test_missing_and_infinite_values_never_reach_the_expected_values(cell, arch):
    spec = small_spec(cell, arch)
    detector = detector_of(spec)
    for value in (np.nan, np.inf, -np.inf, 3e38, -3e38):
        scores = detector.run(np.full((20, len(spec.signals)), value, np.float32))
        assert np.isfinite(scores.expected).all()
        assert np.isfinite(scores.chart).all()
        assert np.isnan(scores.score).all() == (not np.isfinite(value) or abs(value) < 1)


@ALL
def test_a_new_trip_starts_the_network_anew_and_keeps_the_charts(cell, arch):
    spec = small_spec(cell, arch, warm_up_ticks=0)
    weights = random_weights(spec)
    x, _ = ticks_of(spec, weights, 60)
    detector = detector_of(spec, weights)
    fresh = detector.run(x)
    detector.reset()
    again = detector.run(x)
    np.testing.assert_array_equal(again.expected, fresh.expected)
    assert not np.array_equal(again.chart, fresh.chart)


def test_a_missing_signal_holds_its_charts_to_the_last_bit():
    spec = small_spec(warm_up_ticks=0, baseline_span_s=300.0)
    weights = random_weights(spec)
    x, _ = ticks_of(spec, weights, 200)
    detector = detector_of(spec, weights)
    before = detector.run(x).chart[-1]
    x[:, 1] = np.nan
    after = detector.run(x).chart
    held = [place for place in range(len(before)) if place % 3 == 1]
    np.testing.assert_array_equal(after[:, held], np.tile(before[held], (200, 1)))
    assert (after[-1] != before).any()


def test_charts_hold_while_the_network_warms_up():
    spec = small_spec(warm_up_ticks=30)
    weights = random_weights(spec)
    x, _ = ticks_of(spec, weights, 60)
    chart = detector_of(spec, weights).run(x).chart
    assert (chart[:30] == 0).all()
    assert (chart[30] > 0).any()


def test_a_limit_of_infinity_switches_a_chart_off():
    spec = small_spec()
    limits = limits_of(spec, off=(0, 5))
    weights = random_weights(spec)
    x, starts = ticks_of(spec, weights, 300)
    detector = detector_of(spec, weights, limits)
    chart = detector.run(x, starts).chart
    assert (chart[:, [0, 5]] == 0).all()
    assert (chart[-1, [1, 2, 3, 4]] > 0).all()
    assert [place for place, chart in enumerate(detector.manifest.charts) if chart.limit is None] == [0, 5]


def test_more_signals_than_a_block_keep_their_order():
    spec = small_spec(signals=many_signals(70), baseline_span_s=300.0)
    weights, limits = random_weights(spec), limits_of(spec)
    x, starts = ticks_of(spec, weights, 120)
    detector = detector_of(spec, weights, limits)
    got = detector.run(x, starts)
    score, chart, _ = Oracle(spec, weights, limits).run(x, starts)
    np.testing.assert_allclose(got.chart, chart, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.score, score, rtol=1e-4, atol=1e-4)
    assert detector.manifest.charts[71].name == "s1.sum"


@pytest.mark.parametrize("bank", BANKS, ids=lambda bank: bank.name)
def test_one_bank_alone_is_a_detector(bank):
    spec = small_spec(banks=(bank,))
    weights, limits = random_weights(spec), limits_of(spec, off=())
    x, starts = ticks_of(spec, weights, 200)
    chart = detector_of(spec, weights, limits).run(x, starts).chart
    np.testing.assert_allclose(chart, Oracle(spec, weights, limits).run(x, starts)[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("signals", [3, 40], ids=["whole", "blocks"])
def test_neighbouring_banks_of_one_kind_keep_their_order(signals):
    others = (
        Ewma(name="middle", span_s=20.0),
        Cusum(name="wide", allowance=1.0, saturation=20.0),
        Ewms(name="brief", span_s=4.0),
    )
    banks = tuple(sorted((*BANKS, *others), key=lambda bank: bank.kind))
    spec = small_spec(signals=many_signals(signals), banks=banks)
    weights, limits = random_weights(spec), limits_of(spec)
    x, starts = ticks_of(spec, weights, 200)
    chart = detector_of(spec, weights, limits).run(x, starts).chart
    np.testing.assert_allclose(chart, Oracle(spec, weights, limits).run(x, starts)[1], rtol=1e-4, atol=SUMMED)


@ALL
def test_the_onnx_checker_accepts_the_file(cell, arch):
    model = onnx.load_model_from_string(model_bytes(small_spec(cell, arch, baseline_span_s=60.0)))
    onnx.checker.check_model(model, full_check=True)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]
    assert not any(tensor.external_data for tensor in model.graph.initializer)


@ALL
def test_states_are_those_of_the_graph(cell, arch):
    spec = small_spec(cell, arch, baseline_span_s=60.0)
    graph = build(random_weights(spec), spec, limits_of(spec)).graph
    assert [value.name for value in graph.input] == ["x", *(state.name for state in states_of(spec))]
    resets = {state.name: state.reset for state in states_of(spec)}
    slow = {"mean", "sum", "baseline"}
    assert {name for name, reset in resets.items() if reset == "never"} == slow


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scaler.scale": np.zeros(3, np.float32)}, "scaler.scale: expected positive numbers"),
        ({"output.bias": np.full(3, np.nan, np.float32)}, "output.bias: expected finite numbers"),
        ({"encoder.weight_hh": np.zeros((5, 5), np.float32)}, r"encoder.weight_hh: expected shape \(18, 6\)"),
        ({"extra": np.zeros(3, np.float32)}, "unknown ..extra"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message):
    spec = small_spec()
    with pytest.raises(ValueError, match=message):
        build(random_weights(spec) | change, spec, limits_of(spec))


@pytest.mark.parametrize("limits", [np.ones(5), np.zeros(12), np.full(12, np.nan)])
def test_limits_that_do_not_fit_are_refused(limits):
    with pytest.raises(ValueError, match="limits: expected 12 positive numbers"):
        build(random_weights(small_spec()), small_spec(), limits)


@pytest.mark.parametrize(
    ("banks", "message"),
    [
        ((BANKS[0], BANKS[0]), "bank names must be unique"),
        ((), "at least one signal and one bank"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(banks, message):
    with pytest.raises(ValueError, match=message):
        states_of(small_spec(banks=banks))


def test_a_cold_network_is_heard_more_softly_until_its_trip_is_old():
    """The same residual gives a smaller chart at a trip's start, and the same one in the end."""
    cold = small_spec(warm_up_ticks=0, banks=(Ewma(name="now", span_s=1.0),), cold=cold_starts(3))
    plain = structs.replace(cold, cold=())
    weights = random_weights(cold)
    x, _ = ticks_of(cold, weights, 3000)
    softly, loudly = (detector_of(spec, weights, limits_of(cold)[:3]).run(x).chart for spec in (cold, plain))
    age = np.arange(1, len(x) + 1)
    seen = np.isfinite(x).all(axis=1)[:, None] & (loudly > 0.01) & (loudly < 0.4)
    for place, start in enumerate(cold.cold):
        part = seen[:, place]
        spread = 1.0 + start.excess / (1.0 + age[part] / start.fades_s) ** 2
        np.testing.assert_allclose(loudly[part, place] / softly[part, place], spread, rtol=1e-3)


def test_cold_starts_are_one_for_each_signal():
    with pytest.raises(ValueError, match="a cold start for each of 3 signals, got 2"):
        build(random_weights(small_spec()), small_spec(cold=cold_starts(2)), limits_of(small_spec()))
    manifest = detector_of(small_spec(cold=cold_starts(3))).manifest
    assert manifest.cold == cold_starts(3)
    with pytest.raises(ModelError, match="a cold start for each of 3 signals, got 1"):
        decode(encode(structs.replace(manifest, cold=cold_starts(1))))


def test_an_input_drift_correction_changes_nothing_inside_the_usual_range():
    plain = small_spec()
    wide = structs.replace(plain, input_drift=InputDrift(low=(-20.0,) * 3, high=(20.0,) * 3, span_s=60.0))
    weights = random_weights(plain)
    x, starts = ticks_of(plain, weights, 300)
    equal(*(detector_of(spec, weights).run(x, starts) for spec in (wide, plain)))


def test_a_season_outside_the_usual_range_is_soon_seen_as_its_edge_and_a_jump_is_not():
    """``expected`` comes back in the season's own units, and the charts see how far a tick is from the season."""
    spec = small_spec(warm_up_ticks=0, input_drift=InputDrift(low=(-1.0,) * 3, high=(1.0,) * 3, span_s=100.0))
    weights = random_weights(spec)
    low = weights["scaler.center"] - weights["scaler.scale"]
    edge, cold = (np.tile(low - depth * weights["scaler.scale"], (1500, 1)).astype(np.float32) for depth in (0, 5))
    at_edge, in_cold = (detector_of(spec, weights).run(x) for x in (edge, cold))
    assert not np.allclose(in_cold.chart[5], at_edge.chart[5], rtol=0.1)
    np.testing.assert_allclose(in_cold.chart[-1], at_edge.chart[-1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(in_cold.expected[-1] - at_edge.expected[-1], (cold - edge)[-1], rtol=1e-3, atol=1e-3)
    cold[-1] -= 5 * weights["scaler.scale"]
    assert (detector_of(spec, weights).run(cold).chart[-1] > in_cold.chart[-1]).any()


@pytest.mark.parametrize("high", [(1.0, 1.0), (1.0, 1.0, -2.0)], ids=["too few", "upside down"])
def test_an_input_drift_correction_has_a_range_for_each_signal(high):
    drift = InputDrift(low=(-1.0,) * 3, high=high, span_s=60.0)
    with pytest.raises(ValueError, match="a usual range low <= high for each of 3 signals"):
        build(random_weights(small_spec()), small_spec(input_drift=drift), limits_of(small_spec()))

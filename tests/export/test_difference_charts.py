"""Charts of changes and of a bus that stands: change, spike, frozen."""

import numpy as np
import pytest

from oracle import Oracle
from small_models import BANKS, many_signals, model_bytes, random_weights, reference_ticks, small_spec, ticks_of
from tickover.core.manifest import ColdStart
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.charts.change import Change
from tickover_export.charts.frozen import Frozen
from tickover_export.charts.registry import bank_of
from tickover_export.charts.spike import Spike
from tickover_export.spec import InputDrift

CHANGE, SPIKE = Change(name="change", span_s=20.0), Spike(name="spike", span_s=5.0)
FROZEN = Frozen(name="bus", longest_s=300.0, signals=("rpm", "speed"))
NEW = (CHANGE, SPIKE, FROZEN)
MIXED = (CHANGE, *BANKS[:2], FROZEN, SPIKE, *BANKS[2:])
LIMIT = 2.0


def still_weights(spec):
    """Expects the centre whatever comes, so that the residual is the scaled value."""
    weights = {name: np.zeros_like(array) for name, array in random_weights(spec).items()}
    return weights | {name: np.ones_like(array) for name, array in weights.items() if name.endswith(".scale")}


def detector_of(spec, weights, limit=LIMIT):
    limits = np.full(len(spec.charts), limit, np.float32)
    return Detector(open_bytes(model_bytes(spec, weights, limits))), limits


def with_stops(x, starts, seed=4):
    """Some stretches in which every signal repeats its last value."""
    random = np.random.default_rng(seed)
    for _ in range(8):
        first = int(random.integers(1, len(x) - 60))
        x[first : first + int(random.integers(5, 60))] = x[first - 1]
    return x, starts


@pytest.mark.parametrize(
    "changes", [{}, {"warm_up_ticks": 0}, {"baseline_span_s": 300.0, "tick_period_s": 0.5}], ids=["warm", "now", "base"]
)
def test_graph_says_what_the_slow_oracle_says(changes):
    spec = small_spec(banks=MIXED, **changes)
    weights = random_weights(spec)
    x, starts = with_stops(*ticks_of(spec, weights, 700))
    detector, limits = detector_of(spec, weights)
    got = detector.run(x, starts)
    _, chart, _ = Oracle(spec, weights, limits).run(x, starts)
    np.testing.assert_allclose(got.chart, chart, rtol=1e-3, atol=1e-3)
    assert (chart.max(axis=0) > 0.1).all()


@pytest.mark.parametrize("signals", [3, 40], ids=["one block", "blocks"])
def test_ticks_chunks_and_batches_are_bit_equal(signals):
    named = many_signals(signals)
    bus = Frozen(name="bus", longest_s=300.0, signals=(named[-1].name, named[0].name))
    drift = InputDrift(low=(-0.5,) * signals, high=(0.5,) * signals, span_s=60.0)
    cold = (ColdStart(excess=1.0, fades_s=30.0),) * signals
    spec = small_spec(
        banks=(CHANGE, *BANKS, bus, SPIKE), signals=named, baseline_span_s=300.0, input_drift=drift, cold=cold
    )
    weights = random_weights(spec)
    detector, _ = detector_of(spec, weights)
    x, starts = with_stops(*ticks_of(spec, weights, 300))
    chunks = detector.run(x, starts)
    detector.reset(trip_only=False)
    for tick, row in enumerate(x):
        if starts[tick]:
            detector.reset()
        np.testing.assert_array_equal(detector.step(row).chart[0], chunks.chart[tick])
    states = np.tile(detector.new_state(), (5, 1))
    _, batch = detector.run_batch(states, x[:64, None].repeat(5, 1))
    for row in range(5):
        np.testing.assert_array_equal(batch.chart[:, row], chunks.chart[:64])


@pytest.mark.parametrize("bank", NEW, ids=lambda bank: bank.name)
def test_it_clears_after_an_hours_fault_when_the_manifest_says_and_never_passes_its_bound(bank):
    spec = small_spec(banks=(bank,), warm_up_ticks=0)
    detector, _ = detector_of(spec, still_weights(spec))
    x = np.zeros((5000, 3), np.float32)
    if bank is not FROZEN:
        x[:3600] = np.where(np.arange(3600) % 2, 1e6, -1e6)[:, None]
        x[3599] = x[3598] = 0.0
    last = 3598 if bank is not FROZEN else 3600
    x[3600:, :] += (np.arange(1400) % 2)[:, None] * 1e-3 if bank is FROZEN else 0.0
    chart = detector.run(x).chart
    for column, entry in zip(chart.T, detector.manifest.charts, strict=True):
        assert column.max() * LIMIT <= entry.bound * (1 + 1e-6)
        assert column[:last].max() * LIMIT >= 0.7 * entry.bound
        over = np.flatnonzero(column >= 1.0)
        assert over[-1] + 1 - last <= entry.clears_s


@pytest.mark.parametrize("bank", NEW, ids=lambda bank: bank.name)
def test_the_reference_is_what_the_graph_says(bank):
    spec = small_spec(banks=(bank,), warm_up_ticks=0)
    detector, _ = detector_of(spec, still_weights(spec))
    x, _ = with_stops(np.random.default_rng(2).normal(0.0, 2.0, (400, 3)).astype(np.float32), None)
    x[np.random.default_rng(3).random(x.shape) < 0.05] = np.nan
    wanted = bank.reference(reference_ticks(np.clip(x, -spec.clip, spec.clip), spec, x), 1.0)
    np.testing.assert_allclose(detector.run(x).chart * LIMIT, wanted, rtol=1e-4, atol=1e-4)


def test_a_spike_and_a_step_are_told_apart():
    spec = small_spec(banks=(SPIKE, CHANGE, BANKS[0]), warm_up_ticks=0)
    detector, _ = detector_of(spec, still_weights(spec))
    x = np.zeros((200, 3), np.float32)
    x[50, 0], x[100:, 1], x[:, 2] = 6.0, 6.0, np.arange(200) * 0.03
    charts = detector.run(x).chart
    spike, change, level = (charts[:, start : start + 3] for start in (0, 3, 6))
    assert spike[:, 0].max() > 1.5 * spike[:, 1].max() > 0
    assert change[:, 2].max() < 0.1 * change[:, 1].max()
    assert level[190, 1] > 1.0 > spike[190, 1]


def test_a_standing_bus_counts_seconds_of_its_own_signals_alone():
    spec = small_spec(banks=(FROZEN,), warm_up_ticks=0, tick_period_s=0.5)
    detector, _ = detector_of(spec, still_weights(spec), limit=30.0)
    x = np.random.default_rng(1).normal(0.0, 1.0, (400, 3)).astype(np.float32)
    x[100:300, 1:] = x[100, 1:]
    x[200:210, 1] = np.nan
    seconds = detector.run(x).chart[:, 0] * 30.0
    assert seconds[:101].max() == seconds[301] == 0.0
    assert seconds[199] == pytest.approx(49.5, abs=1e-3)
    assert (seconds[200:210] == seconds[199]).all()
    # The tick after the gap is compared with the one ahead of it.
    assert seconds[299] == pytest.approx(49.5 + 45.0, abs=1e-3)


@pytest.mark.parametrize("every", [2, 5, 20])
def test_a_bus_that_is_read_seldom_does_not_stand(every):
    """Rows of a slower cadence than the model's: the ticks between them hold the last row for a while, then nothing."""
    spec = small_spec(banks=(FROZEN,), warm_up_ticks=0)
    detector, _ = detector_of(spec, still_weights(spec), limit=30.0)
    x = np.full((1200, 3), np.nan, np.float32)
    rows = np.random.default_rng(1).normal(0.0, 1.0, (1200, 3)).astype(np.float32)
    rows[600:, 1:] = rows[600, 1:]
    for held in range(min(every, 3)):
        x[held::every] = rows[::every][: len(x[held::every])]
    seconds = detector.run(x).chart[:, 0] * 30.0
    assert seconds[:600].max() <= 2.0
    assert seconds[-1] >= 600 / every - 1


def test_a_trip_goes_on_from_the_row_that_the_last_one_ended_with():
    spec = small_spec(banks=(FROZEN,), warm_up_ticks=5)
    detector, _ = detector_of(spec, still_weights(spec), limit=30.0)
    x = np.random.default_rng(1).normal(0.0, 1.0, (100, 3)).astype(np.float32)
    x[40:, 1:] = x[40, 1:]
    starts = np.arange(100) == 60
    seconds = detector.run(x, starts).chart[:, 0] * 30.0
    assert seconds[59] == seconds[64] == pytest.approx(19.0, abs=1e-3)
    assert seconds[99] == pytest.approx(19.0 + 35.0, abs=1e-3)


@pytest.mark.parametrize("bank", NEW, ids=lambda bank: bank.name)
def test_a_manifest_says_enough_to_make_the_bank_again(bank):
    spec = small_spec(banks=(bank,))
    detector, _ = detector_of(spec, random_weights(spec))
    again = bank_of(detector.manifest.charts[0])
    assert again.settings == bank.settings
    assert again.kind == bank.kind

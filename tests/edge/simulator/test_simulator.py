"""The simulated truck: seeded, endless, physically linked, its faults labelled and visible."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import paths
from tickover.core.values import SECOND, Readings
from tickover.simulator import CHANNELS, KINDS, SIGNALS, Fault, Truck, random_faults
from tickover.simulator.signals import INDEX

MINUTE = 60
HOUR = 3600


def column(block: Readings, name: str) -> np.ndarray:
    return block.values[:, INDEX[name]]


def first_break(block: Readings) -> int:
    """Rows before the first break; all of them when there is none."""
    breaks = np.flatnonzero(np.diff(block.time) > 60 * SECOND)
    return int(breaks[0]) + 1 if breaks.size else len(block.time)


@given(
    seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 80), max_size=4), period=st.sampled_from([0.1, 1.0, 3.0])
)
@settings(max_examples=15, deadline=None)
def test_blocks_of_any_size_equal_single_ticks(seed: int, cuts: list[int], period: float) -> None:
    fault = Fault("oil_temp_noise", 5, 60)
    whole = Truck(seed, period_s=period, faults=[fault])
    rows = [whole.tick() for _ in range(sum(cuts))]
    parts = Truck(seed, period_s=period, faults=[fault])
    blocks = [parts.block(cut) for cut in cuts]
    assert [time for time, _ in rows] == [int(time) for block in blocks for time in block.time]
    np.testing.assert_array_equal(
        np.array([values for _, values in rows]).reshape(-1, len(SIGNALS)),
        np.concatenate([block.values for block in blocks] or [np.empty((0, len(SIGNALS)))]),
    )


def test_equal_seeds_agree_and_others_differ() -> None:
    first, again, other = (Truck(seed).block(600).values for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_readings_lie_on_the_sensors_grid_and_inside_the_plausible_range() -> None:
    block = Truck(11).block(2 * HOUR)
    for number, channel in enumerate(CHANNELS):
        values = block.values[:, number]
        steps = values / channel.resolution
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6, err_msg=channel.signal.name)
        assert values.min() >= channel.signal.low, channel.signal.name
        assert values.max() <= channel.signal.high, channel.signal.name


def test_the_signals_hang_together() -> None:
    block = Truck(5, outside=15).block(HOUR)
    speed, rpm, gear = (column(block, name) for name in ("vehicle_speed", "engine_speed", "gear"))
    assert np.corrcoef(column(block, "engine_load"), column(block, "boost_pressure"))[0, 1] > 0.8
    assert np.corrcoef(column(block, "engine_load"), column(block, "fuel_rate"))[0, 1] > 0.8
    top = gear == 8
    assert top.sum() > 60, "the hour must hold some fast driving"
    np.testing.assert_allclose(np.median(rpm[top] / speed[top]), 59.4 / 3.6, rtol=0.03)
    assert (rpm > 600).all()
    assert (speed < 0.6).mean() > 0.1, "a delivery truck stands often"
    coolant = column(block, "coolant_temp")
    assert coolant[0] < 50
    assert 78 < coolant[-600:].mean() < 95
    level = column(block, "fuel_level")
    burnt = column(block, "fuel_rate").mean() / 200 * 100
    assert level[:30].mean() - level[-30:].mean() == pytest.approx(burnt, abs=1.0)


def test_a_break_moves_the_clock_and_cools_the_engine() -> None:
    truck = Truck(0, outside=10)
    block = truck.block(2 * HOUR)
    row = first_break(block)
    assert row < len(block.time)
    away = (block.time[row] - block.time[row - 1]) / SECOND
    assert 25 * MINUTE <= away <= 61 * MINUTE
    assert column(block, "coolant_temp")[row] < column(block, "coolant_temp")[row - 1] - 5
    np.testing.assert_array_equal((block.time - truck.start) % SECOND, 0)


def test_a_truck_equals_its_sound_twin_until_its_first_fault() -> None:
    start = 700
    sound = Truck(2).block(900).values
    broken = Truck(2, faults=[Fault("boost_leak", start, 860)]).block(900).values
    np.testing.assert_array_equal(sound[: start + 1], broken[: start + 1])
    assert not np.array_equal(sound[start:], broken[start:])


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_shows_in_the_signals_that_its_label_blames(kind: str) -> None:
    start, end = 20 * MINUTE, 40 * MINUTE
    fault = Fault(kind, start, end)
    sound = Truck(8, outside=20).block(end)
    broken = Truck(8, outside=20, faults=[fault]).block(end)
    assert first_break(sound) == end, "the window must hold no break"
    for name in KINDS[kind].signals:
        channel = CHANNELS[INDEX[name]]
        difference = np.abs(column(broken, name) - column(sound, name))[start + 5 * MINUTE :]
        if kind == "voltage_dropout":
            assert np.isnan(difference).all()
        else:
            assert np.quantile(difference, 0.9) > 3 * (channel.noise + channel.resolution), name


def test_a_label_tells_when_and_what() -> None:
    label = Fault("tyre_leak", 60, 120.5).label(start=1_000_000)
    assert (label.start, label.end) == (61_000_000, 121_500_000)
    assert label.signals == ("tyre_pressure_front_left",)


def test_faults_without_end_are_read_one_ahead() -> None:
    truck = Truck(1, faults=random_faults(1, every_s=120, lasting_s=60))
    block = truck.block(HOUR)
    assert len(block.time) == HOUR
    faults = list(itertools.islice(random_faults(1), 50))
    assert all(before.end_s <= after.start_s for before, after in itertools.pairwise(faults))
    assert faults == list(itertools.islice(random_faults(1), 50))


def test_wrong_faults_and_periods_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of .*boost_leak"):
        Fault("bost_leak", 0, 1)
    with pytest.raises(ValueError, match="0 <= start < end"):
        Fault("boost_leak", 5, 5)
    with pytest.raises(ValueError, match="more than 0 seconds"):
        Truck(0, period_s=0)
    truck = Truck(0, faults=[Fault("boost_leak", 9, 10), Fault("tyre_leak", 2, 3)])
    with pytest.raises(ValueError, match="in order of start"):
        truck.block(20)


def test_the_docs_name_every_signal_and_fault() -> None:
    page = (paths.ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    for name in [*KINDS, *(signal.name for signal in SIGNALS if not signal.name.startswith("tyre_pressure"))]:
        assert f"`{name}`" in page, name
    assert all(str(signal.spn) in page for signal in SIGNALS)


def test_memory_stays_constant() -> None:
    truck = Truck(6, faults=random_faults(6, every_s=300, lasting_s=100))
    truck.block(1000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(6000):
            truck.tick()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 16_384

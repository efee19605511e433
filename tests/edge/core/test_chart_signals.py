"""Charts over one signal or several: what is fresh, whose level is whose, whose sensitivity counts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

import reported
from tickover.core.chart_signals import ChartSignals

MATRICES = st.integers(1, 5).flatmap(
    lambda width: st.lists(
        st.lists(st.booleans(), min_size=width, max_size=width).filter(any), min_size=1, max_size=7
    ).map(lambda rows: np.array(rows, bool))
)


@settings(max_examples=100, deadline=None)
@given(matrix=MATRICES, seed=st.integers(0, 1000))
def test_each_chart_and_signal_is_as_a_loop_over_all_of_them_says(matrix, seed):
    random = np.random.default_rng(seed)
    (charts, signals), ticks = matrix.shape, 4
    present = random.random((ticks, signals)) < 0.7
    levels = random.random((ticks, charts)).astype(np.float32)
    factors = random.random(signals).astype(np.float32)
    looks = ChartSignals(matrix)
    assert (looks.charts, looks.signals) == matrix.shape
    np.testing.assert_array_equal(looks.matrix, matrix)
    fresh, highest, least = looks.fresh(present), looks.highest(levels), looks.least(factors)
    assert fresh.shape == (ticks, charts)
    for chart in range(charts):
        own = [signal for signal in range(signals) if matrix[chart, signal]]
        assert least[chart] == min(factors[own])
        for tick in range(ticks):
            assert fresh[tick, chart] == all(present[tick, signal] for signal in own)
    for signal in range(signals):
        over = [chart for chart in range(charts) if matrix[chart, signal]]
        assert looks.looking_at(signal).tolist() == over
        alone = [chart for chart in over if matrix[chart].sum() == 1]
        for chosen, found in ((over, looks.levels(levels[0])), (alone, looks.levels(levels[0], alone=True))):
            assert found[signal] == max((levels[0, chart] for chart in chosen), default=-np.inf)
        for tick in range(ticks):
            wanted = max((levels[tick, chart] for chart in over), default=np.nan)
            np.testing.assert_equal(highest[tick, signal], np.float32(wanted))


def test_a_chart_that_reads_nan_does_not_hide_the_others():
    looks = ChartSignals(np.array([[True, False], [True, True]]))
    highest = looks.highest(np.array([[np.nan, 2.0], [1.0, np.nan]], np.float32))
    np.testing.assert_array_equal(highest, [[2.0, 2.0], [1.0, np.nan]])


def test_a_models_charts_are_taken_from_its_manifest():
    manifest = reported.manifest(["oil", "fuel", "air"], ["fast"])
    charts = [structs.replace(manifest.charts[0], name="joint", signals=("air", "oil")), *manifest.charts]
    looks = ChartSignals.of(structs.replace(manifest, charts=tuple(charts)))
    assert looks.matrix.astype(int).tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]

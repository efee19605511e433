"""Figures over many arrays are those of all in one array, to the last bit, whatever their blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickover_train.stored import columns
from tickover_train.stored.columns import Blocks

SHARES = (0.005, 0.5, 0.995)


def arrays(seed: int, dtype: type, steps: bool) -> list[np.ndarray]:
    """Columns of all sizes, one in steps, one that is constant, one that is empty now and then; in uneven pieces."""
    random = np.random.default_rng(seed)
    rows, width = int(random.integers(1, 400)), int(random.integers(2, 6))
    values = random.normal(size=(rows, width)) * 10 ** random.uniform(-6, 6, width)
    values[:, 0] = np.round(values[:, 0] / np.abs(values[:, 0]).max(), 1) if steps else values[:, 0]
    values[:, 1] = 0.0 if seed % 3 else -17.25
    values[random.random(values.shape) < 0.1] = np.nan
    if seed % 4 == 0:
        values[:, -1] = np.nan
    return np.split(values.astype(dtype), np.sort(random.integers(0, rows + 1, 6)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.booleans(), block=st.integers(1, 900))
def test_quantiles_medians_sums_and_extremes_are_numpys(dtype: type, seed: int, steps: bool, block: int):
    parts = arrays(seed, dtype, steps)
    before, columns.BLOCK = columns.BLOCK, block  # type: ignore[misc]
    try:
        blocks = Blocks.of(parts)
        found = columns.quantiles(blocks, SHARES)
        double = columns.quantiles(blocks, SHARES, as_double=True)
        one, middle, (low, high) = columns.quantile(blocks, 0.99), columns.medians(blocks), columns.extremes(blocks)
        total = columns.row_sum(blocks.each(np.nan_to_num))
        number = columns.counts(blocks)
    finally:
        columns.BLOCK = before  # type: ignore[misc]
    whole = np.concatenate(parts)
    np.testing.assert_array_equal(total, np.nan_to_num(whole).astype(np.float64).sum(axis=0))
    for place, column in enumerate(whole.T):
        seen = column[np.isfinite(column)]
        assert number[place] == len(seen)
        if not len(seen):
            assert np.isnan([*found[:, place], one[place], middle[place]]).all()
            continue
        np.testing.assert_array_equal(found[:, place], np.quantile(seen, SHARES))
        np.testing.assert_array_equal(double[:, place], np.quantile(seen.astype(np.float64), SHARES))
        assert one[place] == np.quantile(seen, 0.99)
        assert middle[place] == np.median(seen.astype(np.float64))
        assert (low[place], high[place]) == (seen.min(), seen.max())

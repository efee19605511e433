"""float32 as shortest decimals: all at once as numpy writes them one by one."""

import numpy as np
import pytest

from tickover.core.decimals import plain_rows, shortest

SEED = 5
POWERS = np.float32(2.0) ** np.arange(-149, 128, dtype=np.float32)
TENS = np.concatenate([np.float64(10.0) ** np.arange(-12, 13) * digit for digit in range(1, 10)]).astype(np.float32)


def normal(scale, places=None):
    values = np.random.default_rng(SEED).normal(0.0, scale, 3_000)
    return (values if places is None else np.round(values, places)).astype(np.float32)


CASES = {
    "any bits": np.random.default_rng(SEED).integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32),
    "readings": np.concatenate([normal(scale) for scale in (1e-5, 1e-3, 0.1, 1.0, 100.0, 1e4, 1e6, 1e8)]),
    "rounded readings": np.concatenate([normal(10.0**power, places) for power in range(7) for places in range(5)]),
    "powers of two and their neighbours": np.concatenate(
        [np.nextafter(POWERS, np.float32(0)), POWERS, np.nextafter(POWERS, np.float32(np.inf))]
    ),
    "powers of ten and their neighbours": np.concatenate(
        [np.nextafter(TENS, np.float32(0)), TENS, np.nextafter(TENS, np.float32(np.inf))]
    ),
    "whole and half numbers where float32 ends": np.concatenate(
        [np.arange(2**22, 2**22 + 2_000) / 2, np.arange(9_999_000, 10_001_000), np.arange(2**24 - 1_000, 2**24 + 1_000)]
    ).astype(np.float32),
    "zeros": np.array([0.0, -0.0], np.float32),
}


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_every_decimal_is_the_one_that_numpy_writes(values):
    values = np.concatenate([values, -values])
    values = values[np.isfinite(values)]
    written = np.array([float(str(value)) for value in values])
    np.testing.assert_array_equal(shortest(values).view(np.uint64), written.view(np.uint64))


def test_rows_hold_nothing_where_a_value_is_missing_or_infinite():
    rows = np.array([[19.2, np.nan], [np.inf, 0.1], [-np.inf, 1e30]], np.float32)
    assert plain_rows(rows) == ((19.2, None), (None, 0.1), (None, 1e30))

"""Peaks of blocks, and tails that are known beforehand."""

import numpy as np
import pytest

from tickover_train.calibration.tails import block_peaks, fit_tail


def test_the_tail_of_an_exponential_is_found():
    peaks = np.random.default_rng(0).exponential(2.0, 4000)
    tail = fit_tail(peaks, hours=4000.0)
    assert tail.level(1e-4) == pytest.approx(2.0 * np.log(1e4), rel=0.2)


def test_block_peaks_take_missing_for_nothing():
    charts = np.full((700, 1), np.nan, np.float32)
    charts[650] = 3.0
    assert block_peaks(charts, 1.0).tolist() == [[0.0], [3.0]]

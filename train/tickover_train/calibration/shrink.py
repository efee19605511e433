"""Limits from few trips, drawn towards those that the model was trained with. No torch.

Six trips say little of a tail: with one of them in or out, a limit moves by a fifth to a third, and the limits of some
sets blind a chart while those of others let it cry. The trained limits come from many more, though of another season
or truck. An empirical Bayes estimate weighs the two (Efron and Morris 1973; Morris 1983): in the log, by how uncertain
the new limits are (the jackknife over their trips) and by how far they lie from the trained ones altogether. What all
charts have in common, louder or quieter, is taken over apart from what each has of its own. A truck that is quite
another than the trained one keeps what its own trips say.
"""

from typing import Final

import numpy as np

from tickover.core.values import DoubleArray, FloatArray

SPREAD_OF_AN_HOUR: Final = 0.5
"""Standard deviation of a limit's logarithm from one hour, where trips are too few to say. Six trips of five hours of a
car: 0.16 to 0.36 by the jackknife."""


def uncertainty(without: FloatArray, bounds: FloatArray, hours: float) -> DoubleArray:
    """Variance of the logarithm of each limit ``[C]``: the jackknife over the limits ``without`` each of the trips
    ``[trips, C]``; no rows: by the ``hours`` alone."""
    if not len(without):
        return np.full(len(bounds), SPREAD_OF_AN_HOUR**2 / max(hours, np.finfo(np.float64).tiny))
    logs = _logs(without, bounds)
    off: DoubleArray = logs - logs.mean(axis=0)
    variance: DoubleArray = (len(logs) - 1) / len(logs) * (off**2).sum(axis=0)
    return variance


def shrunk(own: FloatArray, variance: DoubleArray, trained: FloatArray, bounds: FloatArray) -> FloatArray:
    """``own`` limits ``[C]`` (inf = off), drawn towards the ``trained`` ones."""
    off = _logs(own, bounds) - _logs(trained, bounds)
    usual = float(variance.mean())
    common = float(np.median(off))
    each = off - common
    # How far charts differ of their own accord: what is left of the differences once chance is taken away.
    between = max(float((each**2).mean()) - usual, 0.0)
    kept = between / np.maximum(between + variance, np.finfo(np.float64).tiny)
    kept_common = common**2 / max(common**2 + usual, np.finfo(np.float64).tiny)
    drawn = _logs(trained, bounds) + kept_common * common + kept * each
    limits: FloatArray = np.exp(drawn).astype(np.float32)
    # A chart that is off for both is off.
    limits[limits >= bounds * np.float32(1.0 - 1e-6)] = np.inf
    return limits


def _logs(limits: FloatArray, bounds: FloatArray) -> DoubleArray:
    """Logarithms; a chart that is off stands at its bound."""
    logs: DoubleArray = np.log(np.minimum(limits, bounds).astype(np.float64))
    return logs

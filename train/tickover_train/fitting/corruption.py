"""Corrupts a trip's inputs for training: spans in which a signal is missing, foreign or shifted.

The targets stay as they were, so that the network learns to expect each signal from the others and from its own past,
as in a denoising autoencoder (Vincent et al. 2008).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tickover.core.values import FloatArray
from tickover_train.config import CorruptionConfig

Mask = npt.NDArray[np.bool_]


def span_mask(random: np.random.Generator, ticks: int, signals: int, share: float, span: float) -> Mask:
    """Bool ``[ticks, signals]``: spans of exponential length, mean ``span`` ticks, over about ``share`` of each."""
    mask = np.zeros((ticks, signals), dtype=np.bool_)
    if share <= 0.0:
        return mask
    # A Boolean (coverage) model: with rate r and mean length L an instant is covered with probability 1 - exp(-r L).
    number = random.poisson(-np.log1p(-min(share, 0.99)) / span * (ticks + span), size=signals)
    for signal in range(signals):
        for start, length in zip(
            random.uniform(-span, ticks, number[signal]), random.exponential(span, number[signal]), strict=True
        ):
            mask[max(0, int(start)) : max(0, int(np.ceil(start + length))), signal] = True
    return mask


def corrupt(
    trip: FloatArray, others: Sequence[FloatArray], random: np.random.Generator, config: CorruptionConfig, span: float
) -> FloatArray:
    """A corrupted copy of normalised values ``[T, F]``; ``span`` is the mean length in ticks."""
    ticks, signals = trip.shape
    values = trip.copy()
    foreign = span_mask(random, ticks, signals, config.foreign, span)
    # Another trip's values of the same signal: plausible in themselves, so only the other signals contradict them.
    for signal in np.flatnonzero(foreign.any(0)):
        values[foreign[:, signal], signal] = _stretch(others, random, ticks, int(signal))[foreign[:, signal]]
    shifted = span_mask(random, ticks, signals, config.shifted, span)
    values += (shifted * random.normal(0.0, config.shift_size, signals)).astype(np.float32)
    values[span_mask(random, ticks, signals, config.missing, span)] = np.nan
    return values


def _stretch(others: Sequence[FloatArray], random: np.random.Generator, ticks: int, signal: int) -> FloatArray:
    """``ticks`` values of one signal from a random place of a random trip, repeated when that trip is shorter."""
    source = others[int(random.integers(len(others)))][:, signal]
    return np.resize(np.roll(source, -int(random.integers(len(source)))), ticks)

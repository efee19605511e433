"""Centre and scale of residuals: what makes one signal's error comparable with another's. No torch."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover.records import FloatArray
from tickover_train.data import Scaler

LEAST_SCALE: Final = 1e-3
"""Of a residual, in standard deviations of its signal: one that never moves must not alarm at a rounding error."""
OUTLIER: Final = 50.0
"""Residuals count for the scale up to this many robust spreads: one glitch must not blind a signal's charts."""


def standard(residuals: Sequence[FloatArray], warm_up: int) -> Scaler:
    """Centre and scale of residuals ``[T, F]`` of unseen trips, their first ``warm_up`` ticks left out.

    The centre is the median. The scale is the standard deviation with residuals held within ``OUTLIER`` robust spreads
    (the median absolute deviation): a spread that forgets the tails makes charts that live at their clip.
    """
    pooled = np.concatenate([trip[warm_up:] for trip in residuals]).astype(np.float64)
    center, scale = np.zeros(pooled.shape[1]), np.ones(pooled.shape[1])
    for signal, column in enumerate(pooled.T):
        seen = column[np.isfinite(column)]
        if len(seen):
            center[signal] = np.median(seen)
            off = seen - center[signal]
            reach = OUTLIER * max(1.4826 * float(np.median(np.abs(off))), LEAST_SCALE)
            scale[signal] = max(float(np.sqrt(np.mean(np.clip(off, -reach, reach) ** 2))), LEAST_SCALE)
    return Scaler(center.astype(np.float32), scale.astype(np.float32))

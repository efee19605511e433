"""For how long each signal may have one value: its limit from training, which may be shorter at some of its levels."""

import numpy as np

from tickover.core.manifest import Manifest, Signal
from tickover.core.sensor_bins import IntArray
from tickover.core.values import SECOND, DoubleArray, FloatArray


class FrozenLimits:
    """Limits in microseconds ``[F]``, none under ``least``: a signal's own, else the ``default``.

    ``lowest``: that of each signal at the level where it is shortest.
    """

    def __init__(self, signals: tuple[Signal, ...], default: int, least: int) -> None:
        own = [default if one.frozen_s is None else round(one.frozen_s * SECOND) for one in signals]
        self._whole = np.maximum(np.array(own, np.int64), least)
        self._levels = {place: _levels(one, least) for place, one in enumerate(signals) if one.frozen_at}
        self.lowest: IntArray = self._whole.copy()
        for place, (_, limits) in self._levels.items():
            self.lowest[place] = min(self._whole[place], limits.min())

    @property
    def whole(self) -> IntArray:
        """Those that hold where a signal stands for longest."""
        return self._whole

    def at(self, value: FloatArray | DoubleArray) -> IntArray:
        """Those at these values ``[..., F]``."""
        found = np.broadcast_to(self._whole, value.shape)
        if not self._levels:
            return found
        limits: IntArray = found.copy()
        for place, (above, steps) in self._levels.items():
            limits[..., place] = steps[np.maximum(np.searchsorted(above, value[..., place], "right") - 1, 0)]
        return limits


def _levels(signal: Signal, least: int) -> tuple[DoubleArray, IntArray]:
    """From which values on a signal has which limit."""
    steps = signal.frozen_at or ()
    limits = np.array([round(step.frozen_s * SECOND) for step in steps], np.int64)
    return np.array([step.above for step in steps]), np.maximum(limits, least)


def from_training(manifest: Manifest) -> FrozenLimits:
    """Those of a model; a signal without one has none that it could reach."""
    return FrozenLimits(manifest.signals, 2**62, 0)

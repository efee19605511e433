"""CUSUM chart: the two-sided cumulative sum of a residual (Page 1954). It sees small shifts that last."""

import math
from typing import ClassVar

import numpy as np

from tickover.core.manifest import Positive
from tickover.core.values import FloatArray
from tickover_export.charts.base import ClampedSum, PerSignalKind, ReferenceTicks


class Cusum(PerSignalKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="cusum"):
    """``max(S+, S-)`` with ``S+' = clamp(S+ + r - allowance, 0, saturation)``, ``S-'`` likewise with ``-r``.

    Without the saturation a fault of an hour takes hours to clear, and the sum outgrows float32.
    """

    WORDS: ClassVar[str] = "cumulative sum of the residual"
    LEVEL: ClassVar[bool] = True

    allowance: Positive
    saturation: Positive

    def bound(self, clip: float) -> float:
        """The saturation."""
        return float(self.saturation)

    @property
    def unit(self) -> float:
        """The saturation: in the graph the clamp is the activation ``HardSigmoid``, which is 0 to 1."""
        return float(self.saturation)

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        """The sum falls by the allowance at every tick."""
        return math.floor((bound - limit) / self.allowance) + 1

    def unit_of(self, period_s: float) -> ClampedSum:
        """Both sums; the chart is the larger."""
        return ClampedSum(self.allowance, self.saturation)

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        """One chart for each signal."""
        allowance, top = np.float32(self.allowance), np.float32(self.saturation)
        high, low = np.zeros((2, ticks.residual.shape[1]), np.float32)
        charts = np.empty(ticks.residual.shape, np.float32)
        for tick, row in enumerate(ticks.residual):
            here = np.isfinite(row)
            high = np.where(here, np.clip(high + row - allowance, 0.0, top), high)
            low = np.where(here, np.clip(low - row - allowance, 0.0, top), low)
            charts[tick] = np.maximum(high, low)
        return charts

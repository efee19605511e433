"""EWMS chart: the exponentially weighted mean square of a residual (MacGregor and Harris 1993). It sees unrest."""

from typing import ClassVar

import numpy as np

from tickover.core.manifest import Positive
from tickover.core.values import FloatArray
from tickover_export.charts.base import HeldMean, PerSignalKind, ReferenceTicks, decay, running_mean
from tickover_export.charts.ewma import ticks_to_fall


class Ewms(PerSignalKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ewms"):
    """``sqrt(E)`` with ``E' = d E + (1 - d) r^2``, ``d = decay(span_s, period)``; it reaches ``clip``."""

    WORDS: ClassVar[str] = "running root mean square of the residual"
    LEVEL: ClassVar[bool] = True
    OLD_TAGS: ClassVar[tuple[str, ...]] = ("energy",)

    span_s: Positive

    def bound(self, clip: float) -> float:
        """The root of a mean of squares up to ``clip`` squared."""
        return clip

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        """The mean square is multiplied by ``decay`` at every tick."""
        return ticks_to_fall(limit / bound, decay(self.span_s, period_s), power=2)

    def unit_of(self, period_s: float) -> HeldMean:
        """The mean of the squared residual; the chart is its root."""
        return HeldMean(squared=True, share=1.0 - decay(self.span_s, period_s), finish="Sqrt")

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        """One chart for each signal."""
        charts: FloatArray = np.sqrt(running_mean(ticks.residual * ticks.residual, self.span_s, period_s))
        return charts

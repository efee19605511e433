"""EWMA chart: the exponentially weighted moving average of a residual (Roberts 1959). It sees lasting shifts."""

import math
from typing import ClassVar

import numpy as np

from tickover.core.manifest import Positive
from tickover.core.values import FloatArray
from tickover_export.charts.base import HeldMean, PerSignalKind, ReferenceTicks, decay, running_mean


class Ewma(PerSignalKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ewma"):
    """``|E|`` with ``E' = d E + (1 - d) r``, ``d = decay(span_s, period)``; it reaches ``clip``."""

    WORDS: ClassVar[str] = "running mean of the residual"
    LEVEL: ClassVar[bool] = True

    span_s: Positive

    def bound(self, clip: float) -> float:
        """A mean of values up to ``clip``."""
        return clip

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        """The mean is multiplied by ``decay`` at every tick."""
        return ticks_to_fall(limit / bound, decay(self.span_s, period_s))

    def unit_of(self, period_s: float) -> HeldMean:
        """The mean of the residual; the chart is its size."""
        return HeldMean(squared=False, share=1.0 - decay(self.span_s, period_s), finish="Abs")

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        """One chart for each signal."""
        charts: FloatArray = np.abs(running_mean(ticks.residual, self.span_s, period_s))
        return charts


def ticks_to_fall(to: float, kept: float, power: int = 1) -> int:
    """Ticks until a value of 1, whose ``power`` is multiplied by ``kept`` at each, is under ``to``."""
    return 1 if kept == 0.0 else math.floor(power * math.log(to) / math.log(kept)) + 1

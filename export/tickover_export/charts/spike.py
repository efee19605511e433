"""Spike chart: the running root mean square of a residual's second difference. It sees single wrong ticks.

A spike of one tick is as large in the residual as a real event that lasts, and twice as large in the second difference
(1, -2, 1), where what lasts or grows evenly is nothing.
"""

from typing import ClassVar

import numpy as np

from tickover.core.manifest import Positive
from tickover.core.values import FloatArray
from tickover_export.charts.base import HeldMean, PerSignalKind, ReferenceTicks, decay, differences, running_mean
from tickover_export.charts.ewma import ticks_to_fall

ORDER = 2


class Spike(PerSignalKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="spike"):
    """``sqrt(E)`` with ``E' = d E + (1 - d) (r - 2 r before + r before that)^2``; it reaches 4 ``clip``.

    It holds where one of the three ticks is not valid.
    """

    WORDS: ClassVar[str] = "running root mean square of the residual's second difference"

    span_s: Positive

    def bound(self, clip: float) -> float:
        """A residual of ``clip`` between two of ``-clip``."""
        return 4.0 * clip

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        """The mean square is multiplied by ``decay`` at every tick, from the third without a residual on."""
        return ticks_to_fall(limit / bound, decay(self.span_s, period_s), power=2) + ORDER

    def unit_of(self, period_s: float) -> HeldMean:
        """The mean of the squared second difference; the chart is its root."""
        return HeldMean(squared=True, share=1.0 - decay(self.span_s, period_s), finish="Sqrt", order=ORDER)

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        """One chart for each signal."""
        charts: FloatArray = np.sqrt(running_mean(differences(ticks, ORDER) ** 2, self.span_s, period_s))
        return charts

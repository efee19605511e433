"""Change chart: the running root mean square of how fast a residual changes. It sees signals that move wrongly.

The difference of two residuals is the residual of the signal's difference: what is slow cancels out, so that a level
which wanders between trips or seasons, and that level charts must tolerate, costs nothing here.
"""

from typing import ClassVar

import numpy as np

from tickover.core.manifest import Positive
from tickover.core.values import FloatArray
from tickover_export.charts.base import HeldMean, PerSignalKind, ReferenceTicks, decay, differences, running_mean
from tickover_export.charts.ewma import ticks_to_fall

ORDER = 1


class Change(PerSignalKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="change"):
    """``sqrt(E)`` with ``E' = d E + (1 - d) (r - r before)^2``, ``d = decay(span_s, period)``; it reaches 2 ``clip``.

    It holds where this tick or the one before is not valid.
    """

    WORDS: ClassVar[str] = "running root mean square of the residual's change"

    span_s: Positive

    def bound(self, clip: float) -> float:
        """Two residuals up to ``clip`` apart on either side of 0."""
        return 2.0 * clip

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        """The mean square is multiplied by ``decay`` at every tick, from the second without a residual on."""
        return ticks_to_fall(limit / bound, decay(self.span_s, period_s), power=2) + ORDER

    def unit_of(self, period_s: float) -> HeldMean:
        """The mean of the squared difference; the chart is its root."""
        return HeldMean(squared=True, share=1.0 - decay(self.span_s, period_s), finish="Sqrt", order=ORDER)

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        """One chart for each signal."""
        charts: FloatArray = np.sqrt(running_mean(differences(ticks, ORDER) ** 2, self.span_s, period_s))
        return charts

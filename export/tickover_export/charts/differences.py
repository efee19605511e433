"""What charts of a residual's differences share: their running root mean square. Its kinds say of which order."""

from typing import ClassVar

import numpy as np

from tickover.core.manifest import Positive
from tickover.core.values import FloatArray
from tickover_export.charts.base import HeldMean, PerSignalKind, ReferenceTicks, decay, differences, running_mean
from tickover_export.charts.ewma import ticks_to_fall


class DifferenceKind(PerSignalKind, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``sqrt(E)`` with ``E' = d E + (1 - d) D^2``, D the difference of order ``ORDER``, ``d = decay(span_s, period)``.

    It reaches ``2**ORDER * clip``, and holds where one of the ``ORDER + 1`` ticks is not valid.
    """

    ORDER: ClassVar[int]

    span_s: Positive

    def bound(self, clip: float) -> float:
        """Residuals of ``clip`` and ``-clip`` in turn: the coefficients of a difference sum up to ``2**ORDER``."""
        return float(2**self.ORDER) * clip

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        """The mean square is multiplied by ``decay`` at every tick, from ``ORDER`` ticks without a residual on."""
        return ticks_to_fall(limit / bound, decay(self.span_s, period_s), power=2) + self.ORDER

    def unit_of(self, period_s: float) -> HeldMean:
        """The mean of the squared difference; the chart is its root."""
        return HeldMean(squared=True, share=1.0 - decay(self.span_s, period_s), finish="Sqrt", order=self.ORDER)

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        """One chart for each signal."""
        charts: FloatArray = np.sqrt(running_mean(differences(ticks, self.ORDER) ** 2, self.span_s, period_s))
        return charts

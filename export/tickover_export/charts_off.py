"""Charts that are off, and whether a model with them can alarm at all."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover.core.manifest import Chart
from tickover.core.values import FloatArray
from tickover_export.spec import PlannedChart

MOST_OFF: Final = 0.25
"""A larger share of charts that are off is refused."""
WHY_OFF: Final = "a limit that keeps the budget is beyond the largest value that the chart can reach"


def off_lines(charts: Sequence[PlannedChart | Chart], limits: FloatArray) -> list[str]:
    """A line for the charts that are off, none when all are on. ``limits`` ``[C]``, inf = off."""
    off = [chart.name for chart, limit in zip(charts, limits, strict=True) if np.isinf(limit)]
    return [f"{len(off)} of {len(charts)} charts are off ({WHY_OFF}): {', '.join(off)}"] if off else []


def why_mute(charts: Sequence[PlannedChart | Chart], limits: FloatArray) -> str:
    """Why the model must not be used, empty when nothing speaks against it: too many charts are off, or a signal has
    none left.
    """
    on = [chart for chart, limit in zip(charts, limits, strict=True) if np.isfinite(limit)]
    watched = {signal for chart in on for signal in chart.signals if len(chart.signals) == 1}
    single = {signal for chart in charts for signal in chart.signals if len(chart.signals) == 1}
    reasons = []
    if len(on) < (1.0 - MOST_OFF) * len(charts):
        reasons.append(
            f"expected at most {MOST_OFF:.0%} of the charts off, got {len(charts) - len(on)} of {len(charts)}"
        )
    if blind := sorted(single - watched):
        reasons.append(f"no chart is left for {', '.join(blind)}")
    return "; ".join(reasons)

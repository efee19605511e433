"""Spike chart: the running root mean square of a residual's second difference. It sees single wrong ticks.

A spike of one tick is as large in the residual as a real event that lasts, and twice as large in the second difference
(1, -2, 1), where what lasts or grows evenly is nothing.
"""

from typing import ClassVar

from tickover_export.charts.differences import DifferenceKind


class Spike(DifferenceKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="spike"):
    """``sqrt(E)`` with ``E' = d E + (1 - d) (r - 2 r before + r before that)^2``; it reaches 4 ``clip``."""

    WORDS: ClassVar[str] = "running root mean square of the residual's second difference"
    ORDER: ClassVar[int] = 2

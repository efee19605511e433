"""Change chart: the running root mean square of how fast a residual changes. It sees signals that move wrongly.

The difference of two residuals is the residual of the signal's difference: what is slow cancels out, so that a level
which wanders between trips or seasons, and that level charts must tolerate, costs nothing here.
"""

from typing import ClassVar

from tickover_export.charts.differences import DifferenceKind


class Change(DifferenceKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="change"):
    """``sqrt(E)`` with ``E' = d E + (1 - d) (r - r before)^2``; it reaches 2 ``clip``."""

    WORDS: ClassVar[str] = "running root mean square of the residual's change"
    ORDER: ClassVar[int] = 1

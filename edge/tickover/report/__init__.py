"""The report: one self-contained HTML page of a replay (extra ``report``).

``Report`` is imported on first use, so that the pyramid can be had without jinja2 and plotly.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickover.report.report import Report

__all__ = ["Report"]


def __getattr__(name: str) -> Any:
    if name == "Report":
        from tickover.report.report import Report

        return Report
    raise AttributeError(f"module 'tickover.report' has no attribute {name!r}")

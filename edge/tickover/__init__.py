"""tickover: an edge streaming anomaly detector for delivery trucks.

``Detector`` is imported on first use, so that ``tickover --help`` does not load onnxruntime.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickover.detector import Detector

__version__ = "0.1.0"
__all__ = ["Detector", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Detector":
        from tickover.detector import Detector

        return Detector
    raise AttributeError(f"module 'tickover' has no attribute {name!r}")

"""tickover: an edge streaming anomaly detector for delivery trucks.

``Detector`` is imported on first use, so that ``tickover --help`` does not load onnxruntime.

onnxruntime 1.29 and newer report to their maker (the model's name and hashes, the processor) and keep a database in the
user's cache folder, unless an environment variable forbids it before the first import. A truck's detector reports to
nobody but its owner, so it is forbidden here, where every import of tickover comes by.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickover.model.detector import Detector

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Detector", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Detector":
        from tickover.model.detector import Detector

        return Detector
    raise AttributeError(f"module 'tickover' has no attribute {name!r}")

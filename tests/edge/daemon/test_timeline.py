"""What a broker or a gateway does to the order of readings: deliver again, drain a backlog in between, set a clock back.

The fleet with the demo's model and trip, which has an episode. Alerts are compared with those of the trip alone.
"""

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paths import ROOT
from tickover.core.pipeline import Pipeline
from tickover.core.values import SECOND, Alert
from tickover.daemon.events import rows_of
from tickover.daemon.fleet import Fleet
from tickover.daemon.late import REPLAYED
from tickover.logs.mapping import Mapping
from tickover.logs.reading import load_mapping, read_log
from tickover.model.detector import Detector

DEMO = ROOT / "deploy" / "demo"
DETECTOR = Detector.load(DEMO / "truck.onnx")
HOUR = 3600 * SECOND
LATE = f"anomaly{REPLAYED}"
Row = tuple[int, list[float]]


def demo_rows() -> list[Row]:
    """The trip, in order."""
    mapping = load_mapping(DEMO / "mapping.toml", DETECTOR.manifest.names)
    blocks = list(read_log(DEMO / "trip.csv.gz", mapping, vehicle="t1"))
    assert all(block.signals == DETECTOR.manifest.names for block in blocks)
    return [
        (int(time), row) for block in blocks for time, row in zip(block.time, block.values.tolist(), strict=True)
    ]

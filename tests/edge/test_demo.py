"""The bundled demo: its recording, labels and mapping are what the simulator makes from their seed."""

import gzip
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tickover.mapping import load_mapping
from tickover.simulator import KINDS, SIGNALS

DEMO = Path(__file__).resolve().parents[2] / "deploy" / "demo"
LARGEST_RECORDING = 600_000
LARGEST_MODEL = 300_000


@pytest.fixture(scope="module")
def rebuild() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo_rebuild", DEMO / "rebuild.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_recording_is_rebuilt_from_its_seed(rebuild: ModuleType) -> None:
    bundled = gzip.decompress((DEMO / "trip.csv.gz").read_bytes()).decode()
    assert rebuild.csv_text(rebuild.truck(), rebuild.HOURS) == bundled
    assert (DEMO / "trip.csv.gz").stat().st_size < LARGEST_RECORDING


def test_labels_and_mapping_are_rebuilt(rebuild: ModuleType) -> None:
    assert rebuild.labels_text(rebuild.truck()) == (DEMO / "labels.json").read_text()
    assert rebuild.mapping_text() == (DEMO / "mapping.toml").read_text()
    assert load_mapping(DEMO / "mapping.toml").manifest_signals() == SIGNALS


def test_training_trips_and_recording_are_disjoint(rebuild: ModuleType) -> None:
    assert rebuild.SEED not in rebuild.TRAINING_SEEDS
    assert len({fault.kind for fault in rebuild.FAULTS} & set(KINDS)) >= 5

"""The bundled demo: rebuilt from its seed, and its faults found by the bundled model."""

import gzip
import importlib.util
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType

import pytest

import paths
from tickover.core.ladder import why_unsupported
from tickover.core.manifest import SensorPolicy
from tickover.core.values import SECOND, Phase
from tickover.logs.reading import load_mapping
from tickover.messages.alerts import decode_alert
from tickover.model.detector import Detector
from tickover.simulator import KINDS, SIGNALS

DEMO = paths.ROOT / "deploy" / "demo"
LARGEST_RECORDING = 600_000
LARGEST_MODEL = 400_000
MUST_FIND = 6
MAY_BE_FALSE = 0
RECOVERY = 600 * SECOND
"""An alert this soon after a fault may be about the truck's recovery from it."""


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


def test_the_bundled_model_finds_the_labelled_faults(tmp_path: Path) -> None:
    """Replayed as ``make demo`` does, less the report: most faults found and blamed, no alert far from a fault."""
    out = tmp_path / "alerts.jsonl"
    command = [sys.executable, "-m", "tickover", "replay", str(DEMO / "truck.onnx"), str(DEMO / "trip.csv.gz")]
    subprocess.run([*command, "--alerts", str(out)], check=True, capture_output=True, timeout=120)
    blamed: dict[str, set[str]] = {}
    alerts = [decode_alert(line) for line in out.read_bytes().splitlines()]
    for alert in alerts:
        blamed.setdefault(alert.episode_id, set()).add(alert.signals[0].signal)
    episodes = [(alert, blamed[alert.episode_id]) for alert in alerts if alert.phase is Phase.START]
    labels = json.loads((DEMO / "labels.json").read_text())
    spans = [(instant(label["start"]), instant(label["end"]), set(label["signals"])) for label in labels]
    found = [
        any(start <= alert.start < end and signals & names for alert, names in episodes)
        for start, end, signals in spans
    ]
    false = [
        alert for alert, _ in episodes if not any(start <= alert.start < end + RECOVERY for start, end, _ in spans)
    ]
    assert sum(found) >= MUST_FIND, dict(zip((label["kind"] for label in labels), found, strict=True))
    assert len(false) <= MAY_BE_FALSE


def test_the_packages_hold_code_and_no_recordings_or_models() -> None:
    suffixes = {path.suffix for root in ("edge", "export", "train") for path in (paths.ROOT / root).rglob("*.*")}
    assert ".py" in suffixes
    assert not suffixes & {".csv", ".gz", ".jsonl", ".parquet", ".json", ".npz", ".onnx", ".safetensors"}


def test_the_bundled_model_shows_what_today_can_do() -> None:
    """`make demo-model` makes it anew; the one of tickover 0.1 is in `tests/compat`."""
    manifest = Detector.load(DEMO / "truck.onnx").manifest
    assert set(manifest.sensors.kinds) == set(SensorPolicy().kinds)
    assert manifest.episodes.hold_slow_means
    assert len(manifest.ladder) >= 5
    assert not why_unsupported(manifest.false_alarms)


def test_the_bundled_model_is_small() -> None:
    assert (DEMO / "truck.onnx").stat().st_size < LARGEST_MODEL


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) * SECOND

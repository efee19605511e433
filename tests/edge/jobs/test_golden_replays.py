"""Golden folders: ``tickover replay`` of each ``input.csv`` under its ``config.toml`` gives ``expected.jsonl``.

Numbers may differ in the last digits between processors; everything else must be equal. To write the expectations anew
after an intended change, run with ``TICKOVER_WRITE_GOLDEN=1`` and read the diff.
"""

import json
import math
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

import paths
from tickover.commands.replay import replay

MODEL = paths.MODELS / "gru_autoencoder.onnx"
CASES = sorted(path for path in (paths.TESTS / "golden").iterdir() if path.is_dir())
TOLERANCE = 1e-3


def close(found, expected) -> bool:
    """Equal, with a tolerance for numbers."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(found == expected)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_golden(case: Path, tmp_path: Path):
    out = tmp_path / "alerts.jsonl"
    arguments = [str(MODEL), str(case / "input.csv"), "--map", str(case / "config.toml"), "--alerts", str(out)]
    result = CliRunner().invoke(replay, arguments)
    assert result.exit_code == 0, result.output
    if os.environ.get("TICKOVER_WRITE_GOLDEN"):
        (case / "expected.jsonl").write_bytes(out.read_bytes())
    found = [json.loads(line) for line in out.read_text().splitlines()]
    expected = [json.loads(line) for line in (case / "expected.jsonl").read_text().splitlines()]
    story = [(event["data"]["phase"], event["data"]["severity"], event["data"]["reason"]) for event in expected]
    assert [(event["data"]["phase"], event["data"]["severity"], event["data"]["reason"]) for event in found] == story
    for one, other in zip(found, expected, strict=True):
        assert close(one, other), f"{one['time']}: {json.dumps(one, indent=1)}"


def test_there_are_golden_cases():
    assert len(CASES) >= 5

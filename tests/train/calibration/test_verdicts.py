"""What people said of alerts raises the limits of the charts that false alarms came from, and of no others."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from small_models import model_bytes, small_spec
from tickover.core.ledger import Verdict
from tickover.core.manifest import Chart
from tickover.errors import LogError, ModelError
from tickover.model.detector import Detector
from tickover_train.calibration.verdicts import MARGIN, MOST, Said, raise_limits, read_verdicts
from tickover_train.commands.retune import retune

CHARTS = [
    Chart(name=name, signals=(name.split(".")[0],), kind="ewma", limit=limit, bound=10.0, clears_s=9.0)
    for name, limit in [("iat.slow", 2.0), ("iat.fast", 3.0), ("rpm.slow", 8.0), ("off.slow", None)]
]


def said(verdict: str, peak: float, *charts: str) -> Said:
    return Said(
        episode=str(np.random.default_rng().integers(2**60)),
        model="m",
        charts=charts,
        peak=peak,
        verdict=Verdict(verdict),
    )


def test_only_the_charts_that_opened_false_alarms_are_raised_above_their_peak() -> None:
    limits, raised = raise_limits(CHARTS, [said("false", 1.2, "iat.slow"), said("false", 1.4, "iat.slow")])
    assert limits.tolist() == pytest.approx([2.0 * 1.4 * MARGIN, 3.0, 8.0, np.inf])
    assert [(one.chart, one.episodes) for one in raised] == [("iat.slow", 2)]


def test_a_limit_is_at_most_doubled_stays_under_real_faults_and_under_what_the_chart_reaches() -> None:
    false = [said("false", 9.0, chart.name) for chart in CHARTS]
    limits, _ = raise_limits(CHARTS, [*false, said("real", 1.5, "iat.fast"), said("known", 1.8, "iat.fast")])
    assert limits.tolist() == pytest.approx([2.0 * MOST, 3.0 * 1.5 / MARGIN, 10.0 / MARGIN, np.inf])
    limits, raised = raise_limits(CHARTS, [said("false", 1.4, "iat.slow"), said("real", 1.01, "iat.slow")])
    assert (limits[0], raised) == (2.0, [])


def test_a_verdict_that_was_taken_back_and_other_models_raise_nothing(tmp_path: Path) -> None:
    lines = [
        {"episode": "1", "model": "m", "charts": ["iat.slow"], "peak": 1.5, "verdict": "false", "note": "x"},
        {"episode": "2", "model": "other", "charts": ["iat.slow"], "peak": 1.5, "verdict": "false"},
        {"episode": "1", "model": "m", "charts": ["iat.slow"], "peak": 1.5, "verdict": "none"},
    ]
    file = tmp_path / "verdicts.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    newest, others = read_verdicts(file, "m")
    assert ([one.verdict for one in newest], others) == ([Verdict.NONE], 1)
    assert raise_limits(CHARTS, newest)[1] == []
    file.write_text(file.read_text() + "\n[]")
    with pytest.raises(LogError, match="line 4"):
        read_verdicts(file, "m")


def test_retune_raises_them_in_a_model_file(tmp_path: Path) -> None:
    model, new, verdicts = tmp_path / "m.onnx", tmp_path / "new.onnx", tmp_path / "v.jsonl"
    model.write_bytes(model_bytes(small_spec()))
    digest = Detector.load(model).digest
    line = {"episode": "1", "model": digest, "charts": ["coolant.slow"], "peak": 1.3, "verdict": "false"}
    verdicts.write_text(json.dumps(line))
    arguments = [str(model), "--verdicts", str(verdicts), "--out", str(new), "--force"]
    done = CliRunner().invoke(retune, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "coolant.slow: 1.3" in done.output
    assert "to undo it" in done.output
    before, after = (Detector.load(path).manifest.charts for path in (model, new))
    changed = {
        one.name: other.limit / one.limit for one, other in zip(before, after, strict=True) if one.limit != other.limit
    }
    assert changed == {"coolant.slow": pytest.approx(1.3 * MARGIN)}
    verdicts.write_text(json.dumps(line | {"verdict": "real"}))
    with pytest.raises(ModelError, match="expected a false alarm"):
        CliRunner().invoke(retune, arguments, catch_exceptions=False)

"""Retuning: other limits or scaling in a finished model file, sealed again; the weights stay."""

import numpy as np
import pytest
from click.testing import CliRunner

from tickover.core.budget import budget_words
from tickover.core.manifest import Budget
from tickover.errors import ConfigError, ModelError
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.retune import Retuned
from tickover_train.calibration.rescale import rescale
from tickover_train.calibration.scoring import chart_trips
from tickover_train.commands.retune import retune
from tickover_train.trips import Trip

BUDGET = Budget(episodes=2.0, per_s=3600.0)


def test_new_limits_divide_the_same_charts(model_file, trips):
    model = Retuned(model_file.read_bytes())
    limits = np.linspace(0.5, 5.0, 9).astype(np.float32)
    limits[4] = np.inf
    made = Detector(open_bytes(model.finish(limits, BUDGET)))
    old = Detector.load(model_file)
    before = np.array([chart.limit for chart in old.manifest.charts], np.float32)
    np.testing.assert_allclose(
        made.run(trips[0]).chart, old.run(trips[0]).chart * before / limits, rtol=1e-4, atol=1e-6
    )
    assert [chart.limit for chart in made.manifest.charts] == [*limits[:4], None, *limits[5:]]
    assert made.manifest.false_alarms == BUDGET
    assert made.digest != old.digest


def test_the_same_limits_give_the_same_file(model_file):
    model = Retuned(model_file.read_bytes())
    limits = np.array([chart.limit for chart in model.manifest.charts], np.float32)
    assert model.finish(limits, model.manifest.false_alarms) == model_file.read_bytes()


def test_limits_must_be_positive_and_one_each(model_file):
    model = Retuned(model_file.read_bytes())
    for wrong in (np.ones(3, np.float32), np.zeros(9, np.float32)):
        with pytest.raises(ValueError, match="expected 9 positive numbers"):
            model.finish(wrong, BUDGET)


def test_a_damaged_file_is_refused():
    with pytest.raises(ModelError):
        Retuned(b"no model")


def test_rescaling_lets_another_truck_look_like_the_first(model_file, trips):
    other = [Trip(str(n), (trip * 3 + 50).astype(np.float32)) for n, trip in enumerate(trips)]
    same = [Trip(str(n), trip) for n, trip in enumerate(trips)]
    models = [Retuned(model_file.read_bytes()) for _ in range(2)]
    for model, own in zip(models, (same, other), strict=True):
        rescale(model, own)
    first, second = (Detector(open_bytes(model.unlimited())) for model in models)
    np.testing.assert_allclose(first.run(same[0].values).chart, second.run(other[0].values).chart, rtol=0.02, atol=0.02)


def test_the_command_meets_its_budget_on_the_trips_it_was_given(model_file, logs, tmp_path):
    out = tmp_path / "new.onnx"
    args = [str(model_file), "--clean", *map(str, logs), "--false-alarms", "4/1h", "--out", str(out)]
    result = CliRunner().invoke(retune, args)
    assert result.exit_code == 0, result.output
    made = Detector.load(out)
    assert made.manifest.false_alarms.per_hour == pytest.approx(4.0)
    assert made.manifest.false_alarms.hours == pytest.approx(1.0, rel=0.02)
    assert made.manifest.false_alarms.low <= 4.0
    assert made.manifest.false_alarms.legs.hours == pytest.approx(1.0, rel=0.2)
    assert "limits for 4 false alarms an hour" in result.output
    assert "in legs of 3 to 8 minutes" in result.output


def test_limits_are_for_a_vehicle_that_has_found_its_season(model_file, trips):
    """The first of two equal trips has the second's charts when the vehicle has driven both before."""
    detector = Detector(open_bytes(Retuned(model_file.read_bytes()).unlimited()))
    twice = [Trip("first", trips[0]), Trip("second", trips[0])]
    fresh, settled = (chart_trips(detector, twice, settled=settled) for settled in (False, True))
    assert not np.allclose(fresh[0].charts, fresh[1].charts, atol=1e-3)
    np.testing.assert_allclose(settled[0].charts, settled[1].charts, rtol=1e-3, atol=1e-3)
    assert not np.allclose(fresh[0].legs[0], settled[0].legs[0], atol=1e-3)


def test_a_model_that_could_not_alarm_is_not_written_unless_forced(model_file, logs, tmp_path):
    out = tmp_path / "new.onnx"
    args = [str(model_file), "--clean", *map(str, logs), "--false-alarms", "0.0000001/52w", "--out", str(out)]
    result = CliRunner().invoke(retune, args)
    assert isinstance(result.exception, ModelError)
    assert "not written: expected at most 25% of the charts off" in str(result.exception)
    assert "--force" in str(result.exception)
    assert not out.exists()
    assert CliRunner().invoke(retune, [*args, "--force"]).exit_code == 0
    assert any(chart.limit is None for chart in Detector.load(out).manifest.charts)


def run_retune(*args):
    return CliRunner().invoke(retune, [str(arg) for arg in args])


def test_a_model_moves_along_its_ladder_without_data(model_file, logs, tmp_path):
    first, moved, again = tmp_path / "first.onnx", tmp_path / "moved.onnx", tmp_path / "again.onnx"
    result = run_retune(model_file, "--clean", *logs, "--out", first)
    assert result.exit_code == 0, result.output
    made = Detector.load(first).manifest
    assert "budget: 1/h, though not supported: 1 h of held-out driving cannot show it" in result.output
    rungs = {budget_words(rung.budget): rung for rung in made.ladder}
    assert list(rungs) == ["1/h", "1/5h", "1/10h", "1/50h", "1/week"]
    assert all(rung.budget.hours == pytest.approx(1.0, rel=0.02) for rung in made.ladder)
    assert rungs["1/h"].limits == tuple(chart.limit for chart in made.charts)
    assert rungs["1/h"].recall["swapped"] >= rungs["1/week"].recall["swapped"]
    result = run_retune(first, "--false-alarms", "0.1/h", "--out", moved)
    assert result.exit_code == 0, result.output
    assert "limits for 1/10h, as" in result.output
    now = Detector.load(moved).manifest
    assert tuple(chart.limit for chart in now.charts) == rungs["1/10h"].limits
    assert now.false_alarms == rungs["1/10h"].budget
    assert now.ladder == made.ladder, "one can move back"
    assert run_retune(moved, "--false-alarms", "1/1h", "--out", again).exit_code == 0
    assert again.read_bytes() == first.read_bytes()


def test_moving_needs_a_ladder_a_budget_on_it_and_no_rescaling(model_file, logs, tmp_path):
    out = tmp_path / "out.onnx"
    result = run_retune(model_file, "--false-alarms", "1/10h", "--out", out)
    assert isinstance(result.exception, ModelError)
    assert "holds limits for one budget only" in str(result.exception)
    for args in ((), ("--rescale", "--false-alarms", "1/h")):
        result = run_retune(model_file, *args, "--out", out)
        assert result.exit_code == 2
        assert "expected clean trips (--clean), or another budget (--false-alarms N/DURATION" in " ".join(
            result.output.split()
        )
    with pytest.raises(ConfigError, match="--false-alarms: expected N/DURATION"):
        CliRunner().invoke(
            retune,
            [str(model_file), "--false-alarms", "often", "--out", str(out)],
            catch_exceptions=False,
            standalone_mode=False,
        )

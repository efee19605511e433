"""What the tests of back-fills share: the command, run here for speed or as the user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import paths
from tickover.commands import backfill as command
from tickover.commands.replay import replay

MODEL = paths.MODELS / "gru_autoencoder.onnx"


class Inline:
    """Runs the work in this process: as `lanes.Lanes`, without the time that processes take to start."""

    where = "this process"

    def run(self, work, tasks, stopped, weight=None):
        for task in tasks:
            yield task, work(task)
            if stopped():
                return


@pytest.fixture
def run(monkeypatch, tmp_path):
    """``run(archive, ..., code=0)``: the command, its processes replaced by this one."""
    monkeypatch.setattr(command, "_runner", lambda *_: Inline())

    def call(*arguments, out=tmp_path / "out", code=0, model=MODEL):
        result = CliRunner().invoke(command.backfill, [str(model), *map(str, arguments), "--out", str(out)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def replayed(tmp_path):
    """``replayed(vehicle, *logs)``: the alerts that ``tickover replay`` writes of one vehicle's logs."""

    def call(vehicle, *logs):
        alerts = tmp_path / "replayed.jsonl"
        arguments = [MODEL, *logs, "--vehicle", vehicle, "--alerts", alerts]
        result = CliRunner().invoke(replay, [str(one) for one in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return alerts.read_bytes()

    return call


@pytest.fixture
def start():
    """``start(archive, ...)``: the command as a process of its own group, killed at the end."""
    begun = []

    def call(*arguments, **options):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path)), **options}
        one = subprocess.Popen(
            [sys.executable, "-m", "tickover", "backfill", str(MODEL), *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).parent,
        )
        begun.append(one)
        return one

    yield call
    for one in begun:
        if one.poll() is None:
            one.kill()
        one.communicate()

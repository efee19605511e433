"""``tickover train`` as a user runs it; what hangs on a process (signals, equal weights) in real ones."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest
from click.testing import CliRunner, Result

import paths
from tickover.core.budget import budget_words
from tickover.errors import ConfigError, RunError
from tickover.model.detector import Detector
from tickover_export.command import build_model, export
from tickover_export.run import read_run
from tickover_train.commands.train import train
from train.trips import write_logs

ROOT = paths.ROOT
TINY = """
name = "tiny"
[network]
hidden = 8
bottleneck = 3
window_s = 8.0
[fit]
epochs = {epochs}
batch_rows = 4
chunk = 64
threads = 1
patience = {epochs}
[calibration]
folds = {folds}
"""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return write_logs(tmp_path / "logs", 3, 200)


def config(tmp_path: Path, epochs: int = 1, folds: int = 1) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TINY.format(epochs=epochs, folds=folds))
    return path


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "tickover", "train", *map(str, args)]


def environment() -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / part) for part in ("edge", "export", "train"))
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def run(*args: str | Path) -> Result:
    """The command in this process: importing torch anew each time would be most of the time."""
    return CliRunner().invoke(train, [str(arg) for arg in args])


@pytest.mark.parametrize("arch", ["autoencoder", "forecaster", "seq2seq"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_cell_and_architecture_becomes_a_model_file_that_says_what_torch_says(
    tmp_path: Path, logs: Path, cell: str, arch: str
):
    done = run(logs, "--out", tmp_path / "run", "--config", config(tmp_path), "--cell", cell, "--arch", arch)
    assert done.exit_code == 0, done.stderr
    assert "memory horizon" in done.stdout
    data, manifest = build_model(read_run(tmp_path / "run"))
    assert manifest.parity is not None
    assert manifest.parity.error <= 1e-4
    assert (manifest.network.cell, manifest.network.arch) == (cell, arch)
    assert manifest.memory_horizon_s is not None
    (tmp_path / "model.onnx").write_bytes(data)
    assert Detector.load(tmp_path / "model.onnx").manifest.names == ("speed", "rpm", "load", "coolant")


def test_the_run_folder_holds_its_evidence_and_a_report_that_opens_offline(tmp_path: Path, logs: Path):
    done = run(
        logs, "--out", tmp_path / "run", "--config", config(tmp_path, folds=2), "--false-alarms", "2/1d", "--force"
    )
    assert done.exit_code == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    unseen = [name for fold in metrics["folds"] for name in fold["unseen"]]
    assert len(unseen) == len(set(unseen)), "no trip is held out twice"
    assert metrics["budget"]["per_s"] == 86_400.0
    assert metrics["budget"]["episodes"] == 2.0
    assert metrics["budget_why"].startswith("2/24h as asked for, not supported: ")
    assert "* 2/24h" in done.output, "the one in use among the others"
    ladder = read_run(tmp_path / "run").file.ladder
    assert [budget_words(rung.budget) for rung in ladder] == ["1/h", "1/5h", "1/10h", "2/24h", "1/50h", "1/week"]
    assert set(ladder[0].recall) >= {"bias", "swapped"}
    hourly = tmp_path / "hourly.onnx"
    exported = CliRunner().invoke(export, [str(tmp_path / "run"), "--out", str(hourly), "--false-alarms", "1/5h"])
    assert exported.exit_code == 0, exported.output
    made = Detector.load(hourly).manifest
    assert made.ladder == ladder
    assert tuple(chart.limit for chart in made.charts) == pytest.approx(ladder[1].limits)
    refused = CliRunner().invoke(export, [str(tmp_path / "run"), "--out", str(hourly), "--false-alarms", "9/h"])
    assert "expected a budget between 1/h and 1/week" in str(refused.exception)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Memory" in page
    assert 'src="http' not in page


def test_equal_seeds_give_equal_weights_across_processes(tmp_path: Path, logs: Path):
    hashes = []
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        arguments = (logs, "--out", tmp_path / name, "--config", config(tmp_path), "--seed", seed)
        if name == "b":
            done = subprocess.run(command(*arguments), env=environment(), capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
        else:
            assert run(*arguments).exit_code == 0
        hashes.append(json.loads((tmp_path / name / "metrics.json").read_text())["weights_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_ctrl_c_keeps_the_best_so_far_and_resume_goes_on(tmp_path: Path, logs: Path):
    settings, out = config(tmp_path, epochs=5_000), tmp_path / "run"
    process = subprocess.Popen(
        command(logs, "--out", out, "--config", settings), stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch 3/" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130, rest
    assert "keeping the best so far" in rest
    (first,) = json.loads((out / "metrics.json").read_text())["folds"]
    assert 3 <= len(first["losses"]) < 5_000
    build_model(read_run(out))
    resumed = subprocess.Popen(
        command(logs, "--out", out, "--config", settings, "--resume"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert resumed.stderr is not None
    heard = next(line for line in resumed.stderr if "epoch" in line)
    assert f"epoch {len(first['losses']) + 1}/" in heard
    resumed.send_signal(signal.SIGINT)
    resumed.stderr.read()
    assert resumed.wait(timeout=60) == 130


@pytest.mark.parametrize(
    ("phase", "kept"),
    [
        ("load_trips", "nothing is kept to go on from"),
        ("new_job", "nothing is kept to go on from"),
        ("finish", "holds what was fitted; the same command with --resume goes on"),
        ("ladder_of", "writing the run folder without what is not measured yet"),
    ],
)
def test_ctrl_c_ends_every_phase_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, kept: str
):
    logs, out = write_logs(tmp_path / "logs", 2, 150), tmp_path / "run"
    arguments = (logs, "--out", out, "--config", config(tmp_path, epochs=2), "--force")
    name = f"tickover_train.commands.train.{phase}"
    work = resolve_name(name)
    with monkeypatch.context() as patched:
        patched.setattr(name, lambda *args, **kwargs: (os.kill(os.getpid(), signal.SIGINT), work(*args, **kwargs))[1])
        done = run(*arguments)
    assert done.exit_code == 130, done.stderr
    assert kept in done.stderr
    if "nothing is kept" in kept:
        assert not (out / "run.json").exists()
        assert run(*arguments).exit_code == 0, "there is nothing to choose from"
        return
    assert (phase == "finish") != (out / "run.json").exists()
    again = run(*arguments)
    assert isinstance(again.exception, RunError)
    assert "add --resume to go on with it, or --fresh to delete it" in str(again.exception)
    assert run(*arguments, "--resume").exit_code == 0
    assert all(rung.recall for rung in read_run(out).file.ladder)
    assert run(*arguments).exit_code == 0, "one that came to its end may be begun anew"


def test_wrong_keys_are_refused_with_a_suggestion(tmp_path: Path, logs: Path):
    path = tmp_path / "config.toml"
    path.write_text("[fit]\nepoch = 3\n")
    done = run(logs, "--out", tmp_path / "run", "--config", path)
    assert isinstance(done.exception, ConfigError)
    assert "'fit.epoch'" in str(done.exception)
    assert "'epochs'" in str(done.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("budget", ["1", "0/1h", "1/0h", "x/1h", "1/1y", "1/-1h"])
def test_wrong_budgets_are_refused(tmp_path: Path, logs: Path, budget: str):
    done = run(logs, "--out", tmp_path / "run", "--false-alarms", budget)
    assert isinstance(done.exception, ConfigError)
    assert "expected N/DURATION" in str(done.exception)


def test_nothing_to_resume_is_said(tmp_path: Path, logs: Path):
    done = run(logs, "--out", tmp_path / "run", "--resume")
    assert isinstance(done.exception, RunError)
    assert "checkpoint to resume from" in str(done.exception)


def test_auto_tries_a_gru_and_an_lstm_and_says_which_it_keeps(tmp_path: Path, logs: Path):
    done = run(logs, "--out", tmp_path / "run", "--config", config(tmp_path), "--cell", "auto")
    assert done.exit_code == 0, done.stderr
    assert "gru: held-out losses" in done.stderr
    assert "lstm gains" in done.stderr
    assert read_run(tmp_path / "run").file.spec.network.cell in ("gru", "lstm")


def test_a_forgetful_rnn_is_warned_of(tmp_path: Path, logs: Path):
    done = run(logs, "--out", tmp_path / "run", "--config", config(tmp_path), "--cell", "rnn")
    assert "warning: this RNN remembers" in done.stdout
    assert "coolant" in done.stdout


def test_progress_tells_the_time_left(tmp_path: Path, logs: Path):
    done = run(logs, "--out", tmp_path / "run", "--config", config(tmp_path, epochs=2))
    assert " left] fold 1, epoch 1/2" in done.stderr

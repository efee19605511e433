"""The three commands of the README on logs as people have them: each ends with a report, no mapping written by hand."""

import gzip
import importlib.util
import json
import os
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from click import Command
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import paths
from logs import joined
from tickover.commands.replay import replay
from tickover.errors import LogError
from tickover.logs.inspection import propose_mapping
from tickover.logs.reading import read_log
from tickover_export.command import export
from tickover_train.commands.train import train
from train import trips as made_up

RAW = Path(os.environ.get("TICKOVER_DATA", paths.ROOT.parent / "shared" / "data")) / "kit-obd" / "raw"
RAW_ROWS = 8_000
TINY = """
name = "tiny"
[network]
hidden = 8
bottleneck = 3
window_s = 8.0
[fit]
epochs = 1
batch_rows = 4
chunk = 64
threads = 1
patience = 1
[calibration]
folds = 1
"""


def _random_logs():
    # Beside this file: test modules are imported by path, so a plain import does not find it.
    spec = importlib.util.spec_from_file_location("random_logs", Path(__file__).with_name("random_logs.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


random_logs = _random_logs()


def run(command: Command, *args: object) -> Result:
    return CliRunner().invoke(command, [str(arg) for arg in args], catch_exceptions=False)


def three_commands(
    folder: Path, logs: list[Path], replayed: Path, *options: str
) -> tuple[Result, list[dict[str, object]]]:
    """`train`, `export` and `replay`, in this process; the replay's result and its alerts."""
    (folder / "tiny.toml").write_text(TINY)
    done = run(train, *logs, "--out", folder / "run", "--config", folder / "tiny.toml", "--force", *options)
    assert done.exit_code == 0, done.stderr
    assert run(export, folder / "run", "--out", folder / "m.onnx").exit_code == 0
    done = run(replay, folder / "m.onnx", replayed, "--report", folder / "r.html", "--alerts", folder / "a.jsonl")
    assert done.exit_code == 0, done.stderr
    assert "tickover" in (folder / "r.html").read_text()
    return done, [json.loads(line) for line in (folder / "a.jsonl").read_text().splitlines()]


@pytest.mark.data
@pytest.mark.skipif(
    not RAW.is_dir(), reason="recordings absent: set TICKOVER_DATA to the folder that holds kit-obd/raw"
)
def test_recordings_as_the_car_logger_wrote_them(tmp_path: Path) -> None:
    raw = min(RAW.iterdir(), key=lambda path: path.stat().st_size)
    log = tmp_path / raw.name.removesuffix(".gz")
    with gzip.open(raw, "rt") as file:  # as it is, but for its length
        log.write_text("".join(islice(file, RAW_ROWS)))
    done, _ = three_commands(tmp_path, [log], log)
    assert "1 log: " in done.stderr
    assert "h; " in done.stderr


def test_a_folder_of_logs_without_a_time_column(tmp_path: Path) -> None:
    logs = made_up.write_logs(tmp_path / "logs", 3, 200)
    for path in logs.iterdir():
        path.write_text("\n".join(line.partition(",")[2] for line in path.read_text().splitlines()) + "\n")
    done, _ = three_commands(tmp_path, [logs], logs / "trip-0.csv", "--rate-hz", "1")
    assert "1 log: 200 ticks in 1 trip" in done.stderr


def test_logs_with_decimal_commas_and_human_headers(tmp_path: Path) -> None:
    logs = made_up.write_logs(tmp_path / "logs", 3, 200)
    for path in logs.iterdir():
        lines = path.read_text().replace(",", ";").replace(".", ",").splitlines()
        lines[0] = "Zeit (s);Geschwindigkeit [km/h];Motordrehzahl [1/min];Last [%];Kühlmitteltemperatur [°C]"
        path.write_text("\n".join(lines) + "\n", encoding="cp1252")
    done, _ = three_commands(tmp_path, [logs], logs / "trip-1.csv")
    assert "1 log: 237 ticks in 1 trip" in done.stderr


def test_two_vehicles_in_one_file(tmp_path: Path) -> None:
    lines = ["Time,Vehicle Name,speed,rpm,load,coolant"]
    for seed, name in ((1, "VAN 1"), (2, "VAN 2")):
        for row, values in enumerate(made_up.trip(seed, 300)):
            lines.append(f"2023-10-25 13:{15 + row // 60}:{row % 60:02},{name}," + ",".join(f"{v:.3f}" for v in values))
    log = tmp_path / "both.csv"
    log.write_text("\n".join(lines) + "\n")
    done, alerts = three_commands(tmp_path, [log], log)
    assert "1 log: 600 ticks in 2 trips" in done.stderr
    assert {alert["data"]["vehicle"] for alert in alerts} <= {"VAN 1", "VAN 2"}  # type: ignore[index]


SETTINGS = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(seed=st.integers(0, 2**32))
def test_what_inspect_proposes_for_random_logs_holds_their_values(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths_ = random_logs.write(tmp_path_factory.mktemp("logs"), seed)
    try:
        mapping, findings = propose_mapping(paths_)
    except LogError as refusal:
        if "expected a signal that changes" not in str(refusal):
            raise
        return
    for path in paths_:
        _, values = joined(list(read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=pytest.fail)))
        for index, (name, signal) in enumerate(mapping.signals.items()):
            outside = np.count_nonzero((values[:, index] < signal.low) | (values[:, index] > signal.high))
            assert outside <= findings.signals[name].outliers, name


@pytest.mark.parametrize("seed", [1, 6, 25])
def test_random_logs_go_through_all_three_commands_or_are_refused_before_the_fit(seed: int, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    logs = random_logs.write(tmp_path / "logs", seed)
    try:
        three_commands(tmp_path, logs, logs[0])
    except LogError:
        assert not list((tmp_path / "run").glob("checkpoint/fold-*"))

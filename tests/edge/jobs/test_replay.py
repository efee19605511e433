"""``tickover replay`` as a user runs it: real files, and real processes where that matters."""

import csv
import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import paths
from tickover.cli import root
from tickover.commands.replay import replay
from tickover.core.seen import PAGE
from tickover.core.values import Phase, Readings
from tickover.errors import ConfigError, LogError, StateError
from tickover.jobs.replay import pieces
from tickover.messages.alerts import alert_line, decode_alert
from tickover.model.detector import Detector

MODEL = paths.MODELS / "gru_autoencoder.onnx"
OTHER = paths.MODELS / "rnn_seq2seq.onnx"
NAMES = ("coolant", "rpm", "speed")


def values(rows, seed=0, fault=None):
    """Calm values as the small model likes them, and a coolant fault from one row to another."""
    table = np.random.default_rng(seed).normal([24, 49, 45], 1, (rows, 3))
    if fault:
        table[slice(*fault), 0] = 70
    return table


def write(path, table, times=None, header="t_s"):
    """A wide log; NaN is an empty cell."""
    times = range(len(table)) if times is None else times
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([header, *NAMES])
        for moment, row in zip(times, table, strict=True):
            writer.writerow([moment, *("" if math.isnan(value) else f"{value:.3f}" for value in row)])
    return path


def run(*arguments, code=0):
    result = CliRunner().invoke(replay, [str(MODEL), *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def read_scores(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_alerts(path):
    return [decode_alert(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def log(tmp_path):
    return write(tmp_path / "log.csv", values(300, fault=(100, 140)))


def test_alerts_go_to_standard_output_and_the_summary_to_standard_error(log, tmp_path):
    result = run(log, "--alerts", tmp_path / "a.jsonl")
    alerts = read_alerts(tmp_path / "a.jsonl")
    assert [alert.phase for alert in alerts][:1] + [alert.phase for alert in alerts][-1:] == [Phase.START, Phase.END]
    assert result.stdout.splitlines() == [alert_line(alert) for alert in alerts]
    assert {alert.vehicle for alert in alerts} == {"truck-1"}
    assert "1 log: 300 ticks in 1 trip, 0.08 h; 1 episode, " in result.stderr


def test_scores_have_a_row_per_tick_with_the_logs_own_seconds(log, tmp_path):
    run(log, "--scores", tmp_path / "s.csv", "--alerts", tmp_path / "a.jsonl", "--start", "2026-01-01T00:00:07Z")
    rows = read_scores(tmp_path / "s.csv")
    charts = [chart.name for chart in Detector.load(MODEL).manifest.charts]
    assert list(rows[0]) == ["trip", "time", "score", "open", *charts]
    assert [row["time"] for row in rows] == [str(k) for k in range(300)]
    x = np.loadtxt(log, delimiter=",", skiprows=1, usecols=(1, 2, 3)).astype(np.float32)
    expected = Detector.load(MODEL).run(x)
    np.testing.assert_array_equal(np.array([float(row["score"]) for row in rows], np.float32), expected.score)
    np.testing.assert_array_equal(
        np.array([[float(row[name]) for name in charts] for row in rows], np.float32), expected.chart
    )
    start, end = read_alerts(tmp_path / "a.jsonl")[0], read_alerts(tmp_path / "a.jsonl")[-1]
    opened = [k for k, row in enumerate(rows) if row["open"] == "1"]
    first = 1_767_225_607_000_000
    assert (start.time, end.end) == (first + opened[0] * 10**6, first + opened[-1] * 10**6)


def test_absolute_logs_print_iso_times_and_hold_through_empty_rows(tmp_path):
    table = values(30)
    table[10] = np.nan
    times = [f"2026-03-02T06:00:{k:02}Z" for k in range(30)]
    run(write(tmp_path / "log.csv", table, times, "time"), "--scores", tmp_path / "s.csv")
    rows = read_scores(tmp_path / "s.csv")
    assert [row["time"] for row in rows] == times
    assert all(row["score"] for row in rows)


def test_a_tick_without_any_value_has_no_score(tmp_path):
    mapping = tmp_path / "map.toml"
    mapping.write_text("[signals.rpm]\n")
    table = values(30)
    table[10, 1] = 99_999
    log = write(tmp_path / "log.csv", table)
    result = run(log, "--scores", tmp_path / "s.csv", "--map", mapping)
    assert [k for k, row in enumerate(read_scores(tmp_path / "s.csv")) if row["score"] == ""] == [10]
    assert "not mapped, so always missing: coolant, speed" in result.stderr
    assert "rpm: 1 missing, 1 out_of_range" in result.stderr


def test_parquet_scores_equal_csv_scores(log, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run(log, "--scores", tmp_path / "s.csv")
    run(log, "--scores", tmp_path / "s.parquet")
    table = parquet.read_table(tmp_path / "s.parquet").to_pydict()
    rows = read_scores(tmp_path / "s.csv")
    assert list(table) == list(rows[0])
    for name, column in table.items():
        np.testing.assert_array_equal(
            np.array(column, np.float32), np.array([float(row[name]) for row in rows], np.float32)
        )


def test_the_report_is_written(log, tmp_path):
    pytest.importorskip("plotly")
    pytest.importorskip("jinja2")
    run(log, "--report", tmp_path / "r.html")
    assert "gru_autoencoder.onnx over log.csv" in (tmp_path / "r.html").read_text()


def test_many_logs_are_one_vehicles_and_an_earlier_start_is_a_new_trip(tmp_path):
    one = write(tmp_path / "one.csv", values(50))
    on = write(tmp_path / "on.csv", values(50, 1), range(50, 100))
    again = write(tmp_path / "again.csv", values(50, 2), range(98, 148))
    result = run(one, on, again, one, "--scores", tmp_path / "s.csv")
    trips = [int(row["trip"]) for row in read_scores(tmp_path / "s.csv")]
    assert trips == [0] * 100 + [1] * 50 + [2] * 50
    assert "clock_back" not in result.stderr


def both(tmp_path, name, *arguments):
    """Alerts and scores of one call."""
    run(*arguments, "--alerts", tmp_path / f"{name}.jsonl", "--scores", tmp_path / f"{name}.csv")
    return (tmp_path / f"{name}.jsonl").read_text(), (tmp_path / f"{name}.csv").read_text().partition("\n")[2]


@given(st.integers(0, PAGE - 1), st.integers(0, PAGE - 1), st.integers(0, 2**32 - 1))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_log_cut_anywhere_and_resumed_is_as_one(tmp_path, one, other, seed):
    """Rows shaken within the lateness, a missing sensor, a stop; cut twice, also amid disorder.

    Each part is sorted by itself, so that rows at a cut arrive in another order than in the whole log. States are
    compared while all keys lie in one page of what was seen: which of two such rows ends a page hangs on that order.
    """
    rows = PAGE - 1
    table = values(rows, seed % 1000, fault=(80, 120))
    table[110:150, 0] = np.nan
    times = np.arange(float(rows))
    times[180:] += 30
    order = np.argsort(times + np.random.default_rng(seed).uniform(0, 1.9, rows), kind="stable")
    table, times = table[order], [f"{moment:g}" for moment in times[order]]
    for state in ("cut.state", "whole.state"):
        (tmp_path / state).unlink(missing_ok=True)
    whole = both(tmp_path, "whole", write(tmp_path / "log.csv", table, times), "--state", tmp_path / "whole.state")
    parts = ("", "")
    for start, end in zip([0, *sorted((one, other))], [*sorted((one, other)), rows], strict=True):
        if start < end:
            log = write(tmp_path / "log.csv", table[start:end], times[start:end])
            part = both(tmp_path, "part", log, "--state", tmp_path / "cut.state")
            parts = (parts[0] + part[0], parts[1] + part[1])
    assert parts == whole
    assert (tmp_path / "cut.state").read_bytes() == (tmp_path / "whole.state").read_bytes()


def test_without_state_the_open_episode_ends_with_the_log_and_with_state_it_does_not(tmp_path):
    log = write(tmp_path / "log.csv", values(120, fault=(100, 120)))
    assert read_alerts_of(tmp_path, log)[-1].reason == "end_of_log"
    assert read_alerts_of(tmp_path, log, "--state", tmp_path / "s")[-1].phase is not Phase.END


def read_alerts_of(tmp_path, *arguments):
    run(*arguments, "--alerts", tmp_path / "a.jsonl")
    return read_alerts(tmp_path / "a.jsonl")


def test_state_of_another_model_and_damaged_state_are_refused_and_kept(log, tmp_path):
    state = tmp_path / "state"
    run(log, "--state", state)
    before = state.read_bytes()
    with pytest.raises(StateError, match=r"state: vehicle truck-1: expected state of the model \w+, got state of"):
        CliRunner().invoke(replay, [str(OTHER), str(log), "--state", str(state)], catch_exceptions=False)
    assert state.read_bytes() == before
    state.write_bytes(before[:-7] + b"garbage")
    with pytest.raises(StateError, match="damaged or something else; name another --state file, or remove this one"):
        run(log, "--state", state)


def test_the_mapping_file_may_carry_episodes_and_sensitivity(log, tmp_path):
    mapping = tmp_path / "map.toml"
    signals = "".join(f"[signals.{name}]\n" for name in NAMES)
    mapping.write_text(signals + "[sensitivity]\ncoolant = 0.0\n")
    assert run(log, "--map", mapping).stdout == ""
    mapping.write_text(signals + "[episodes]\ntop_signals = 1\n")
    run(log, "--map", mapping, "--alerts", tmp_path / "a.jsonl")
    assert {len(alert.signals) for alert in read_alerts(tmp_path / "a.jsonl")} == {1}
    mapping.write_text(signals + "[sensitivity]\ncoolent = 0.0\n")
    with pytest.raises(ConfigError, match=r"map.toml: key 'sensitivity.coolent': .* did you mean 'coolant'\?"):
        run(log, "--map", mapping)


def test_a_mapping_that_has_nothing_of_the_model_is_refused(log, tmp_path):
    mapping = tmp_path / "map.toml"
    mapping.write_text('[signals.engine]\ncolumn = "rpm"\n')
    with pytest.raises(ConfigError, match=r"expected signals of the model \(coolant, rpm, speed\), got engine"):
        run(log, "--map", mapping)


def test_bad_rows_are_counted_and_stop_the_run_only_when_strict(log, tmp_path):
    log.write_text(log.read_text().replace("\n50,", "\nfifty,"))
    result = run(log, "--alerts", tmp_path / "a.jsonl")
    assert "log.csv:52: " in result.stderr
    assert "counted: 1 bad_rows" in result.stderr
    (tmp_path / "a.jsonl").write_text("before")
    with pytest.raises(LogError, match=r"log.csv:52: "):
        run(log, "--strict", "--alerts", tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "log.csv"]


def test_a_bad_header_of_the_last_log_stops_before_the_first(log, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("t_s,coolant,speed\n1,2,3\n")
    with pytest.raises(LogError, match="rpm"):
        run(log, bad, "--alerts", tmp_path / "a.jsonl")
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--scores", "s.xlsx", "expected a file called *.csv or *.parquet, got s.xlsx"),
        ("--speed", "0", "expected a number above 0, or max, got '0'"),
        ("--start", "yesterday", "expected an ISO 8601 time or epoch seconds, got 'yesterday'"),
        ("--alerts", "/no/such/folder/a.jsonl", "expected an existing folder, got /no/such/folder"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_was_expected(log, option, value, message):
    result = run(log, option, value, code=2)
    assert message in re.sub(r"\s+", " ", result.stderr)


def test_a_log_with_a_vehicle_column_gives_each_vehicle_its_own(tmp_path):
    table = values(200, fault=(100, 140))
    lines = [f"{k},{who},{','.join(f'{v:.3f}' for v in row)}" for k, row in enumerate(table) for who in ("p", 'q,"1"')]
    lines = [line.replace('q,"1"', '"q,""1"""') for line in lines]
    (tmp_path / "fleet.csv").write_text("t_s,who," + ",".join(NAMES) + "\n" + "\n".join(lines) + "\n")
    mapping = tmp_path / "map.toml"
    mapping.write_text('[log]\nvehicle_column = "who"\n' + "".join(f"[signals.{name}]\n" for name in NAMES))
    run(tmp_path / "fleet.csv", "--map", mapping, "--scores", tmp_path / "s.csv", "--alerts", tmp_path / "a.jsonl")
    rows = read_scores(tmp_path / "s.csv")
    alone = [row["score"] for row in rows if row["vehicle"] == "p"]
    assert len(alone) == 200
    assert [row["score"] for row in rows if row["vehicle"] == 'q,"1"'] == alone
    assert {alert.vehicle for alert in read_alerts(tmp_path / "a.jsonl")} == {"p", 'q,"1"'}


def test_pieces_bound_the_ticks_of_sparse_rows():
    time = np.array([0, 5, 9, 10, 11, 8, 50, 51], np.int64)
    block = Readings("p", ("a",), time, np.zeros((8, 1)))
    assert [piece.time.tolist() for piece in pieces(block, 10)] == [[0, 5, 9], [10, 11, 8], [50, 51]]


def command(*arguments):
    return [sys.executable, "-m", "tickover", "replay", str(MODEL), *map(str, arguments)]


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_speed_paces_event_time(tmp_path):
    log = write(tmp_path / "log.csv", values(21))
    began = time.monotonic()
    run(log, "--speed", 20)
    assert 0.9 <= time.monotonic() - began < 5


def test_ctrl_c_finishes_the_files_and_exits_130(tmp_path):
    log = write(tmp_path / "log.csv", values(3600, fault=(5, 3600)))
    state = tmp_path / "state"
    process = subprocess.Popen(
        command(log, "--speed", 30, "--alerts", tmp_path / "a.jsonl", "--scores", tmp_path / "s.csv", "--state", state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert "START" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "stopped; the files hold what was replayed so far" in errors
    alerts = read_alerts(tmp_path / "a.jsonl")
    assert (alerts[0].phase, alerts[-1].phase) == (Phase.START, Phase.END)
    rows = read_scores(tmp_path / "s.csv")
    assert 10 < len(rows) < 3600
    assert not state.exists()
    assert not list(tmp_path.glob(".*.tmp"))


def test_python_m_tickover_and_exit_codes(tmp_path):
    log = write(tmp_path / "log.csv", values(20))
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"junk" * 100)
    done = subprocess.run(command(log), capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "20 ticks in 1 trip" in done.stderr
    refused = subprocess.run(
        [sys.executable, "-m", "tickover", "replay", str(junk), str(log)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("tickover: ")
    assert "Traceback" not in refused.stderr


def test_the_help_names_every_option_of_the_table():
    text = CliRunner().invoke(root, ["replay", "--help"]).output
    for option in ("alerts", "scores", "report", "state", "map", "vehicle", "start", "speed", "strict"):
        assert f"--{option}" in text


@pytest.mark.slow
def test_memory_is_flat_with_scores_on(tmp_path):
    """Five times the log costs no more memory. (Not by ``ru_maxrss``: a child starts with its parent's.)"""
    script = (
        "import re, sys; from click.testing import CliRunner; from tickover.commands.replay import replay\n"
        "result = CliRunner().invoke(replay, sys.argv[1:]); assert result.exit_code == 0, result.output\n"
        "print(re.search(r'VmHWM:\\s+([0-9]+) kB', open('/proc/self/status').read())[1])"
    )
    peaks = []
    for rows in (60_000, 300_000):
        log = tmp_path / "log.csv"
        line = ",".join(f"{value:.2f}" for value in values(1)[0])
        log.write_text("t_s," + ",".join(NAMES) + "\n" + "".join(f"{k},{line}\n" for k in range(rows)))
        call = [sys.executable, "-c", script, str(MODEL), str(log), "--scores", str(tmp_path / "s.csv")]
        done = subprocess.run(call, capture_output=True, text=True, env=environment(), check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 8 * 1024


def test_alerts_are_valid_json_objects_per_line(log, tmp_path):
    run(log, "--alerts", tmp_path / "a.jsonl")
    for line in (tmp_path / "a.jsonl").read_text().splitlines():
        assert json.loads(line)["specversion"] == "1.0"


def test_a_file_that_cannot_be_written_is_named_in_one_line(log):
    done = subprocess.run(
        [sys.executable, "-m", "tickover", "replay", str(MODEL), str(log), "--alerts", "/proc/alerts.jsonl"],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "tickover: cannot write: No such file or directory: /proc/alerts.jsonl"

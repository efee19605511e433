"""What the workshop's commands are given wrongly is answered with one line, before any work is done."""

import gzip
import re

import pytest
from click.testing import CliRunner

from tickover.cli import main
from tickover.errors import TickoverError
from tickover_train.commands.evaluate import evaluate
from tickover_train.commands.files import write
from tickover_train.evaluation.faults import KINDS

pytest.importorskip("torch")


@pytest.fixture
def tickover(capsys):
    """Run the command line; its exit code and what it said on stderr."""

    def run(*args):
        with pytest.raises(SystemExit) as stopped:
            main([str(arg) for arg in args])
        return stopped.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("command", "option"),
    [("evaluate", "--page"), ("evaluate", "--json"), ("retune", "--out"), ("compare", "--json"), ("compare", "--page")],
)
def test_a_missing_folder_is_told_before_any_log_is_read(tickover, model_file, command, option):
    logs = ["no-such.csv"] if command == "compare" else [model_file, "--clean", "no-such.csv"]
    code, said = tickover(command, *logs, option, "no/such/folder/file")
    assert code == 2
    assert "expected an existing folder, got no/such/folder" in re.sub(r"\s+", " ", said)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "gone" / "page.html"
    with pytest.raises(TickoverError, match=f"cannot write: No such file or directory: {path}"):
        write(path, b"page")


@pytest.mark.parametrize("command", ["train", "evaluate", "retune", "compare"])
def test_a_missing_log_is_answered_in_one_line(tickover, model_file, tmp_path, command):
    logs = ["no-such.csv"] if command in ("train", "compare") else [model_file, "--clean", "no-such.csv"]
    out = ["--out", tmp_path / "out"] if command in ("train", "retune") else []
    code, said = tickover(command, *logs, *out)
    assert (code, said) == (1, "tickover: no-such.csv: cannot read the log: No such file or directory\n")


@pytest.mark.parametrize("command", ["evaluate", "retune"])
def test_a_missing_model_is_answered_in_one_line(tickover, logs, tmp_path, command):
    out = ["--out", tmp_path / "out"] if command == "retune" else []
    code, said = tickover(command, "no-such.onnx", "--clean", logs[0], *out)
    assert (code, said) == (1, "tickover: no-such.onnx: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    ("seconds", "rows", "answer"),
    [
        (1, 80, "got none in 1 log: the longest of 1 has 80 (dropped: short_trip 1); give longer logs, or"),
        (400, 300, "of 400 s (48000 s), got none in 1 log: the longest of "),
    ],
)
def test_logs_that_are_too_short_are_told_with_what_to_change(tickover, tmp_path, seconds, rows, answer):
    log = tmp_path / "short.csv"
    lines = [f"{row * seconds + row // 100 * 90_000},{row % 9},{row % 7}" for row in range(rows)]
    log.write_text("\n".join(["t_s,a,b", *lines]) + "\n")
    code, said = tickover("train", log, "--out", tmp_path / "run")
    assert code == 1
    assert answer in said
    assert "a mapping (--map) with a shorter ticks.period_s" in said
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_cannot_be_made_is_answered_in_one_line(tickover, logs, tmp_path):
    (tmp_path / "taken").write_text("a file")
    code, said = tickover("train", logs[0], "--out", tmp_path / "taken" / "run")
    assert code == 1
    assert said.splitlines()[-1] == f"tickover: {tmp_path}/taken/run: cannot make the run folder: Not a directory"


@pytest.fixture
def judge(model_file, logs, tickover):
    """Evaluate two logs with further options."""
    known = dict(KINDS)
    yield lambda *args: tickover("evaluate", model_file, "--clean", *logs[:2], *args)
    KINDS.clear()
    KINDS.update(known)


KIND = "from tickover_train.evaluation.faults import kind\n\n@kind('mine')\ndef mine(case):\n    "


@pytest.mark.parametrize(
    ("source", "code", "answer"),
    [
        ("def broken(:\n", 78, ":1: SyntaxError: invalid syntax"),
        ("\nimport no_such_module\n", 78, ":2: ModuleNotFoundError: No module named 'no_such_module'"),
        (KIND + "case.values[:, 99] = 0\n", 78, ":5: kind 'mine': IndexError: index 99 is out of bounds"),
        ("x = 1\n", 78, ": expected at least one function decorated with @kind(...), got none"),
    ],
)
def test_a_faults_file_that_fails_is_named_with_its_line(judge, tmp_path, source, code, answer):
    mine = tmp_path / "mine.py"
    mine.write_text(source)
    stopped, said = judge("--faults", mine)
    assert stopped == code
    (line,) = said.splitlines()
    assert line.startswith(f"tickover: {mine}{answer}")


def test_a_kind_that_loses_ticks_is_refused(judge, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(KIND + "case.values = case.values[1:]\n")
    code, said = judge("--faults", mine)
    assert code == 78
    assert re.fullmatch(r"tickover: kind 'mine': expected values of shape \[\d+, 3\], got \[\d+, 3\]\n", said)


def test_a_faults_file_that_is_not_there_is_answered_in_one_line(judge):
    assert judge("--faults", "no.py") == (78, "tickover: no.py: expected a Python file, got none\n")


def test_labels_may_be_packed(model_file, logs, tmp_path):
    file = tmp_path / "labels.csv.gz"
    file.write_bytes(gzip.compress(f"log,start,end\n{logs[0]},300,420\n".encode()))
    result = CliRunner().invoke(evaluate, [str(model_file), "--clean", *map(str, logs), "--labels", str(file)])
    assert result.exit_code == 0, result.output
    assert " of 1 events detected at the limit" in result.output


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", ": expected a header and rows, got an empty file"),
        ("log,start,end\n", ": expected labelled rows, got none"),
        ("t_s,a,b,twin,anomaly\n", ": expected labelled rows, got none"),
        ("log,start,end\nx.csv,noon,1\n", ":2: expected ISO 8601 times or seconds, got 'noon' and '1'"),
        ("log,start,end\nx.csv,1\n", ":2: expected ISO 8601 times or seconds, got '1' and None"),
        ("log,start,end\nx.csv,1,2\n", ""),
    ],
)
def test_labels_that_say_nothing_are_refused(judge, tmp_path, text, answer):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    code, said = judge("--labels", file)
    named = f"{file}{answer}" if answer else f"{tmp_path}/x.csv: cannot read the log: No such file or directory"
    assert code in (1, 78)
    assert said == f"tickover: {named}\n"


def test_a_range_outside_its_log_names_the_row_and_the_logs_span(judge, logs, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text(f"log,start,end\n{logs[0]},10,20\n\n{logs[0]},2024-01-01T00:00:00Z,2024-01-01T00:01:00Z\n")
    code, said = judge("--labels", file)
    assert code == 78
    assert said == (
        f"tickover: {file}:4: expected a range with ticks of {logs[0]} in it, which holds 0:00:00 to 0:14:59; "
        "got 2024-01-01 00:00:00 to 2024-01-01 00:01:00\n"
    )


def test_a_range_that_ends_before_it_starts_is_refused(judge, logs, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text(f"log,start,end\n{logs[0]},20,10\n")
    code, said = judge("--labels", file)
    assert (code, said) == (78, f"tickover: {file}:2: expected an end at or after the start, got '20' and '10'\n")

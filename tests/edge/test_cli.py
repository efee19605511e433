"""The command line as a whole: names, help without the extras, exit codes."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import paths
from tickover.cli import COMMANDS, Entry, root

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
from tickover.cli import main
main({args!r})
"""
MODEL = paths.MODELS / "gru_autoencoder.onnx"
WORKSHOP = {"torch", "onnx", "scipy", "safetensors", "plotly", "jinja2", "pyarrow", "rich", "prometheus_client"}
WORKSHOP |= {"starlette", "uvicorn", "anyio", "apprise"}


def tickover(*args: str, blocked: set[str] = frozenset()) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as if the blocked packages were not installed."""
    script = BLOCK.format(blocked=set(blocked), args=list(args))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)


def test_help_lists_every_command_and_needs_no_extra() -> None:
    done = tickover("--help", blocked=WORKSHOP | {"onnxruntime", "numpy", "paho"})
    assert done.returncode == 0, done.stderr
    listed = re.findall(r"^  ([a-z]+)  +\S", done.stdout.split("Commands:")[1], re.M)
    assert listed == list(COMMANDS)


def test_every_command_has_a_help_line() -> None:
    assert all(re.fullmatch(r"[A-Z].*\.", entry.line) for entry in COMMANDS.values())


def test_a_command_is_one_file_and_one_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "greeting.py").write_text("import click\n@click.command()\ndef greet():\n    click.echo('hello')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "greet", Entry("greeting:greet", "Say hello."))
    listed = CliRunner().invoke(root, ["--help"])
    assert re.search(r"^  greet +Say hello\.$", listed.stdout, re.M)
    assert "greeting" not in sys.modules, "--help imports no command"
    assert CliRunner().invoke(root, ["greet"]).stdout == "hello\n"
    assert "did you mean 'greet'?" in CliRunner().invoke(root, ["gret"]).stderr


def test_the_readme_lists_every_command_in_the_order_of_help() -> None:
    assert re.findall(r"^\| `([a-z]+)` \|", (paths.ROOT / "README.md").read_text(), re.M) == list(COMMANDS)


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if entry.where.startswith("tickover.")])
def test_a_device_command_explains_itself_without_the_extras(name: str) -> None:
    done = tickover(name, "--help", blocked=WORKSHOP)
    assert done.returncode == 0, done.stderr
    assert f"tickover {name}" in done.stdout


def test_a_missing_extra_is_answered_with_the_pip_command() -> None:
    done = tickover("train", "x.csv", "--out", "run", blocked=WORKSHOP)
    assert done.returncode == 1
    assert re.search(r"pip install 'tickover\[\w+\]'", done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_import_that_is_no_extra_surfaces() -> None:
    done = tickover("replay", "--help", blocked={"msgspec"})
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_an_unknown_command_is_wrong_usage_and_answered_with_the_nearest() -> None:
    done = tickover("reply")
    assert done.returncode == 2
    assert "no command 'reply'; did you mean 'replay'?" in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["show", "absent.onnx"], 1),
        (["replay", "absent.onnx", "trip.csv"], 1),
        (["replay", str(MODEL), "absent.csv"], 1),
        (["replay", str(MODEL), "absent.csv", "--map", "absent.toml"], 78),
        (["inspect", "absent.csv"], 1),
        (["inspect", "absent.csv", "--map", "absent.toml"], 78),
        (["play", "absent.csv", "--broker", "localhost"], 1),
        (["watch", "--config", "absent.toml"], 78),
        (["web", "--config", "absent.toml"], 78),
        (["run", "--config", "absent.toml"], 78),
        (["doctor", "--config", "absent.toml"], 78),
    ],
)
def test_a_missing_file_is_answered_in_one_line_that_names_it(command: list[str], code: int) -> None:
    done = tickover(*command)
    assert done.returncode == code
    line, *more = done.stderr.splitlines()
    assert more == []
    assert re.match(r"tickover: absent\.\w+: .*No such file or directory", line)


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "tickover", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("tickover, version ")


def test_ctrl_c_in_any_command_is_one_sentence_and_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(root, "get_command", lambda ctx, name: click.Command(name, callback=interrupted))
    done = CliRunner().invoke(root, ["evaluate"])
    assert done.exit_code == 130
    assert done.stderr == "tickover: evaluate was interrupted\n"

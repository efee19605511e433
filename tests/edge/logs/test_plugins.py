"""Log formats of other distributions: found by their entry points, loaded when they are needed, blamed by name."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import paths
from log_cases import ROWS, WIDE, trace
from logs import START, install, joined, read
from tickover.errors import LogError
from tickover.logs.formats.registry import log_format, log_suffixes
from tickover.logs.mapping import Mapping, SignalColumn, TimeColumn, parse_mapping
from tickover.logs.reading import log_is_relative

HEAD = """
import numpy as np
from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.base import Head
def head(stream, layout, name):
    return Head(("rpm",), own_time="iso")
"""
READ = """
def read(stream, job):
    yield Readings(job.vehicle, job.mapping.names, np.arange(3), np.ones((3, 1)))
"""
ONE = Mapping(signals={"rpm": SignalColumn()})

Install = Callable[..., Path]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a format for ``*.odd`` and gives a log of it."""

    def call(source: str, where: str = "", name: str = "odd-logs") -> Path:
        module = name.replace("-", "_")
        site = tmp_path / f"site-{name}"
        site.mkdir()
        install(site, name, source, {".odd": where or module}, version="2.3")
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / "log.odd").write_bytes(b"anything")
        return tmp_path / "log.odd"

    return call


def test_a_plugin_is_loaded_when_its_suffix_is_met_and_not_before(installed: Install, tmp_path: Path) -> None:
    log = installed(HEAD + READ)
    (tmp_path / "log.csv").write_text("time,rpm\n1,2\n")
    read(tmp_path / "log.csv", ONE)
    assert ".odd" in log_suffixes()
    assert "odd_logs" not in sys.modules
    blocks, counts, told = read(log.rename(log.with_suffix(".ODD")), ONE)
    assert joined(blocks)[0].tolist() == [0, 1, 2]
    assert (counts, told) == ({}, [])


def test_a_plugin_may_be_an_object_in_a_module(installed: Install) -> None:
    source = HEAD + READ + "class Odd:\n    head, read = staticmethod(head), staticmethod(read)\n"
    blocks, _, _ = read(installed(source, "odd_logs:Odd"), ONE)
    assert len(joined(blocks)[0]) == 3


def test_our_own_suffixes_stay_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "greedy", "raise RuntimeError", {".csv": "greedy"})
    monkeypatch.syspath_prepend(tmp_path)
    assert log_format(".csv") is not None
    assert log_suffixes().count(".csv") == 1
    assert "greedy" not in sys.modules


WHO = r"the log format of odd-logs 2\.3"


@pytest.mark.parametrize(
    ("source", "where", "message"),
    [
        ("import no_such_module", "", f"^{WHO} cannot be loaded: ModuleNotFoundError: .*; update or uninstall it$"),
        ("1 / 0", "", f"^{WHO} cannot be loaded: ZeroDivisionError: division by zero; "),
        (HEAD + READ, "odd_logs:Missing", f"^{WHO} cannot be loaded: AttributeError: "),
        (HEAD, "", f"^{WHO}: expected functions head and read in odd_logs, got no read$"),
        (
            "def head(stream, layout, name):\n    return {}\n" + READ,
            "",
            f"{WHO}: expected a Head from .*, got dict",
        ),
        (HEAD + "def read(stream, job):\n    yield 1 / 0\n", "", f"log.odd: {WHO} failed: ZeroDivisionError: division"),
        (HEAD + READ + "def head(*_):\n    raise KeyError('x')\n", "", f"log.odd: {WHO} failed: KeyError: 'x'; update"),
        (
            HEAD + READ.replace("(3, 1)", "(3, 2)"),
            "",
            rf"log.odd: {WHO}: expected values \[3, 1\] of rpm, got \[3, 2\] of rpm",
        ),
        (
            HEAD + READ.replace("np.ones((3, 1))", "np.ones((3, 1), 'f4')"),
            "",
            f"{WHO}: expected times int64 and values float64, got int64 and float32",
        ),
        (HEAD + READ + "def head(*_):\n    raise LogError('log.odd: cut')\n", "", "^log.odd: cut$"),
        (
            HEAD + READ + "def head(*_):\n    raise OSError(5, 'bad disk')\n",
            "",
            "cannot read the log: bad disk$",
        ),
    ],
)
def test_a_broken_plugin_gives_one_error_that_names_its_distribution(
    source: str, where: str, message: str, installed: Install
) -> None:
    log = installed(source, where)
    with pytest.raises(LogError, match=message):
        read(log, ONE)


def test_two_distributions_for_one_suffix_are_told(installed: Install) -> None:
    installed(HEAD + READ)
    log = installed(HEAD + READ, name="other-logs")
    with pytest.raises(LogError, match=r"expected one distribution that reads \*\.odd, got (\S+ 2\.3) and (\S+ 2\.3);"):
        read(log, ONE)


def test_an_unknown_suffix_lists_those_of_plugins_too(installed: Install, tmp_path: Path) -> None:
    installed(HEAD + READ)
    (tmp_path / "log.xls").write_bytes(b"")
    with pytest.raises(LogError, match=r"expected a log named .*\*\.parquet, .*\*\.odd.* got log\.xls"):
        read(tmp_path / "log.xls", ONE)


@pytest.mark.usefixtures("third_party")
def test_a_format_with_times_of_its_own_heeds_the_start_and_no_time_table(tmp_path: Path) -> None:
    path = tmp_path / "log.trace"
    timed = Mapping(signals=WIDE.signals, time=TimeColumn(column="Time", kind="time_of_day"))
    for start, relative in ((START, False), (-1, True)):
        path.write_bytes(trace(ROWS, start))
        for mapping in (WIDE, timed):
            assert log_is_relative(path, mapping) is relative
            blocks, _, _ = read(path, mapping, start=START)
            assert joined(blocks)[0].tolist() == [START + t for t, *_ in ROWS]


@pytest.mark.usefixtures("third_party")
def test_damage_in_a_binary_log_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "log.trace"
    path.write_bytes(trace(ROWS)[:-3])
    blocks, counts, told = read(path, WIDE)
    assert joined(blocks)[1][:, 0].tolist()[:2] == [850.0, 851.25]
    assert counts["bad_rows"] == 1
    assert told == [f"{path}:byte {len(trace(ROWS)) - 14}: expected a record of 14 bytes, got 11"]
    with pytest.raises(LogError, match="expected a record of 14 bytes, got 11"):
        read(path, WIDE, strict=True)


def test_a_third_party_format_goes_through_inspect_and_replay(tmp_path: Path) -> None:
    """As a user has it: the distribution is installed, and nothing else is told."""
    source = (paths.TESTS / "plugins" / "acme_trace.py").read_text(encoding="utf-8")
    install(tmp_path, "acme-trace", source, {".trace": "acme_trace"})
    rng = np.random.default_rng(1)
    rows = [(second * 1_000_000, 49.0 + rng.normal(), 24.0 + rng.normal()) for second in range(200)]
    (tmp_path / "log.trace").write_bytes(trace(rows))
    environment = {"PATH": "/usr/bin", "PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}

    def tickover(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tickover", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = tickover("inspect", "log.trace")
    assert done.returncode == 0, done.stderr
    assert "time: the log's own" in done.stderr
    mapping = parse_mapping(done.stdout)
    assert (mapping.signals["Engine"].unit, mapping.time) == ("1/min", TimeColumn())
    text = done.stdout.replace("[signals.Engine]", "[signals.rpm]").replace("[signals.t_c]", "[signals.coolant]")
    (tmp_path / "map.toml").write_text(text)
    done = tickover("replay", str(paths.MODELS / "gru_autoencoder.onnx"), "log.trace", "--map", "map.toml")
    assert done.returncode == 0, done.stderr
    assert "1 log: 200 ticks in 1 trip" in done.stderr

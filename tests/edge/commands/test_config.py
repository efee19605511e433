"""``tickover config``: the shipped example is complete and good, and a bad file is said with its key."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import paths
from tickover.core.manifest import EpisodePolicy, SensorPolicy
from tickover.daemon.config import Config
from tickover.host.toml import decode
from tickover.payloads.base import Input
from tickover.transports.can.settings import Bus

ROOT = paths.ROOT
EXAMPLE = (ROOT / "deploy" / "tickover.toml").read_text(encoding="utf-8")


def tickover(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tickover", *args], capture_output=True, text=True, timeout=60)


def test_the_example_printed_is_the_one_shipped() -> None:
    assert tickover("config", "example").stdout == EXAMPLE


def test_the_example_is_good() -> None:
    config = decode(EXAMPLE, Config, "tickover.toml")
    assert not config.broker.problem()
    assert not [item.problem() for item in config.inputs if item.problem()]


def test_the_defaults_that_the_example_shows_are_the_defaults() -> None:
    """Every key that stands there as a comment is taken in; what is a plain default must not change anything."""
    full = decode(re.sub(r"^# (\w+ = )", r"\1", EXAMPLE, flags=re.MULTILINE), Config, "tickover.toml")
    plain = decode(EXAMPLE, Config, "tickover.toml")
    for name in ("state", "outbox"):
        assert getattr(full, name) == getattr(plain, name)
    for table, illustrations in (("broker", {"credentials"}), ("vehicles", {"gate"}), ("out", {"node"})):
        kept = dict.fromkeys(illustrations)
        assert msgspec.structs.replace(getattr(full, table), **kept) == getattr(plain, table)
    assert msgspec.to_builtins(full.episodes) == msgspec.to_builtins(EpisodePolicy())
    assert msgspec.to_builtins(full.sensors) == msgspec.to_builtins(SensorPolicy())


@pytest.mark.parametrize("section", [*Config.__struct_fields__])
def test_the_example_names_every_key(section: str) -> None:
    kinds: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Config)}
    kind = {"inputs": Input, "bus": Bus, "models": kinds["models"]}.get(section, kinds[section])
    if section == "models":
        from tickover.daemon.config import Model as kind
    table = re.search(rf"^(?:# )?\[+{section}\]+\n(.*?)(?=^(?:# )?\[|\Z)", EXAMPLE, re.MULTILINE | re.DOTALL)
    assert table, f"no table [{section}]"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        shown = set(re.findall(r"^(?:# *)?(\w+) = ", table[1], re.MULTILINE))
        assert shown == set(kind.__struct_fields__) - {"tls"}


def test_the_schema_is_json_and_knows_the_tables() -> None:
    schema = json.loads(tickover("config", "schema").stdout)
    assert set(Config.__struct_fields__) <= set(schema["$defs"]["Config"]["properties"])


def test_a_good_file_is_told_in_words(tmp_path: Path) -> None:
    file = tmp_path / "tickover.toml"
    (tmp_path / "truck.onnx").write_bytes(b"")
    file.write_text(EXAMPLE.replace("/etc/tickover/truck.onnx", str(tmp_path / "truck.onnx")))
    done = tickover("config", "check", str(file))
    assert done.returncode == 0, done.stderr
    assert "broker.example.org:8883 as truck-1, TLS" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("client_id", "client_idd", "unknown key 'broker.client_idd'; did you mean 'client_id'?"),
        ('path = "/etc/tickover/truck.onnx"', 'path = "/nowhere.onnx"', "expected an existing file, got /nowhere.onnx"),
        ("port = 8883", "port = 0", "broker.port"),
        ('# detector = "anomaly"', 'detector = "durability"', "a detector's name that no notice has, got durability"),
        ("\n[broker.tls]", "\n[broker.tlss]", "unknown key 'broker.tlss'"),
    ],
)
def test_a_bad_file_ends_with_78_and_says_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "tickover.toml"
    file.write_text(EXAMPLE.replace(old, new, 1))
    done = tickover("config", "check", str(file))
    assert done.returncode == 78
    assert said in done.stderr
    assert str(file) in done.stderr

"""Daemons that share a fleet: each vehicle has one, and a shard moves with its state."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import paths
from daemon_process import MODEL
from faults.scripted import ScriptedLink, message, started, turn_until_idle, write_config
from tickover.daemon.config import load_config
from tickover.daemon.loop import Daemon
from tickover.daemon.runner import locked
from tickover.daemon.shards import VARIABLE, shard_of
from tickover.errors import ConfigError, StateError
from tickover.storage import moving
from tickover.storage.contents import look
from tickover.transports.base import Received

SHARDS = 3
VEHICLES = [f"truck-{number}" for number in range(30)]


def configuration(folder: Path, fleet: str) -> Path:
    path = write_config(folder / "config.toml", folder / "state", MODEL)
    path.write_text(f"{path.read_text()}\n[fleet]\n{fleet}\n")
    return path


def hear(daemon: Daemon, link: ScriptedLink) -> None:
    """A reading of each vehicle."""
    rows = enumerate(VEHICLES, start=1)
    link.inbox.extend(message((time.time(), {"rpm": 50.0}), n, topic=f"in/{vehicle}") for n, vehicle in rows)
    turn_until_idle(daemon, link)


def test_a_shard_has_a_client_a_node_and_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = load_config(configuration(tmp_path, "shards = 1"))
    path = configuration(tmp_path, f"shards = {SHARDS}")
    monkeypatch.setenv(VARIABLE, "2")
    config = load_config(path)
    assert config.broker.client_id == f"{alone.broker.client_id}-2"
    assert config.node == f"{alone.node}-2"
    assert config.state.folder == str(tmp_path / "state" / "shard-2")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("socket.gethostname", lambda: "tickover-1.fleet.example")
    assert load_config(path).fleet.shard == 1


@pytest.mark.parametrize(
    ("fleet", "host", "words"),
    [
        ("shards = 3", "gateway", r"fleet.shard: expected the number of this daemon, here or in \$TICKOVER_SHARD"),
        ("shards = 3\nshard = 3", "gateway", "fleet.shard: expected 0 to 2 of 3 shards, got 3"),
        ("shards = 3", "tickover-7", "fleet.shard: expected 0 to 2 of 3 shards, got 7"),
        ("shards = 0", "gateway", "fleet.shards"),
    ],
)
def test_a_shard_without_its_number_is_refused(
    fleet: str, host: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("socket.gethostname", lambda: host)
    with pytest.raises(ConfigError, match=words):
        load_config(configuration(tmp_path, fleet))


def test_each_vehicle_and_each_command_has_one_shard(tmp_path: Path) -> None:
    taken: dict[int, list[str]] = {}
    answers: list[str] = []
    for number in range(SHARDS):
        with started(configuration(tmp_path, f"shards = {SHARDS}\nshard = {number}")) as (daemon, link):
            hear(daemon, link)
            taken[number] = list(daemon.engine.fleet.vehicles)
            assert len(link.acknowledged) == len(VEHICLES), "what is another's is acknowledged too"
            for place, target in enumerate([VEHICLES[0], *(f"scripted-{n}" for n in range(SHARDS))]):
                token = message((0.0, {}), 100 + place).token
                topic = f"tickover/v1/{target}/cmd/status/request"
                link.inbox.append(Received(topic, b"{}", time.time_ns() // 1000, token))
            turn_until_idle(daemon, link)
            answers += [topic for topic, _ in link.published if topic.endswith("/cmd/status/response")]
    assert sorted(vehicle for part in taken.values() for vehicle in part) == sorted(VEHICLES)
    assert all(shard_of(vehicle, SHARDS) == number for number, part in taken.items() for vehicle in part)
    assert min(map(len, taken.values())) > 3
    assert len(answers) == len(set(answers)) == 1 + SHARDS


def test_a_shard_moves_with_its_state(tmp_path: Path) -> None:
    config = configuration(tmp_path, "shards = 2\nshard = 1")
    with started(config) as (daemon, link):
        hear(daemon, link)
        daemon.engine.commit(checkpoint=True)
    folder, file, other = Path(load_config(config).state.folder), tmp_path / "shard.tickover", tmp_path / "elsewhere"
    before = look(folder)
    assert before.vehicles
    with locked(folder), pytest.raises(StateError, match="a running daemon holds it"):
        moving.export(folder, file)
    assert not file.exists()
    assert f"{len(before.vehicles)} vehicles" in tickover("export", file, folder)
    assert file.stat().st_mode & 0o777 == 0o600
    assert moving.take(file, other).vehicles == before.vehicles
    after = look(other)
    assert (after.vehicles, after.alarms, after.meta) == (before.vehicles, before.alarms, before.meta)
    assert "expected a folder without a store" in tickover("import", file, other)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(StateError, match="damaged"):
        moving.take(file, tmp_path / "third")
    assert not (tmp_path / "third").exists()
    assert f"{len(before.vehicles):,} with a state" in tickover(other), "a folder alone is shown, as before"


def test_the_template_unit_is_the_unit_with_a_number() -> None:
    unit, template = (
        [
            line
            for line in (paths.ROOT / "deploy" / name).read_text().splitlines()
            if line and not line.startswith(("#", "Description"))
        ]
        for name in ("tickover.service", "tickover@.service")
    )
    assert [line for line in template if line not in unit] == [f"Environment={VARIABLE}=%i"]
    assert [line for line in unit if line not in template] == []


def tickover(*args: str | Path) -> str:
    line = [sys.executable, "-m", "tickover", "state", *map(str, args)]
    return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60).stdout

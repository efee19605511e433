"""``tickover state`` on real stores: what they hold, beside a daemon, of other releases, and the way back as typed."""

import json
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker import Broker, wait_until
from daemon_process import Daemon, Truck, drive
from tickover.commands.state import state
from tickover.errors import StateError
from tickover.storage.store import FILE, Change, Message, Store


def told(folder: Path, *options: str) -> str:
    done = CliRunner().invoke(state, [str(folder), *options], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def filled(folder: Path, version: bytes = b"2", vehicles: tuple[str, ...] = ("t1", "t2")) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    store = Store(folder, writer="0.1.0")
    store.commit(
        Change(
            journal=b"x",
            states=dict.fromkeys(vehicles, b"s"),
            messages=[Message(f"m{number}", "t", b"body") for number in range(3)],
            retained={"tickover/v1/t1/alarm/anomaly": b"{}", "tickover/v1/t2/alarm/anomaly": b""},
            meta={"models": b'{"anomaly":"5ef554a1e788bcce"}', "version": version, "writer": b"0.1.0"},
        )
    )
    store.commit(Change(delivered=[1]), time=0)
    store.close()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_it_says_what_a_store_holds_and_changes_nothing(tmp_path: Path) -> None:
    filled(tmp_path)
    before = content(tmp_path)
    text = told(tmp_path)
    assert f"{tmp_path}: store of version 2, written by tickover 0.1.0" in text
    assert re.search(r"^  models +anomaly 5ef554a1e788$", text, re.M)
    assert re.search(r"^  vehicles +2 with a state: t1, t2$", text, re.M)
    assert re.search(r"^  messages +2 wait for the broker", text, re.M)
    assert re.search(r"^  alarms +1 stand: tickover/v1/t1/alarm/anomaly$", text, re.M)
    assert "go back" not in text
    assert content(tmp_path) == before
    facts = json.loads(told(tmp_path, "--json"))
    assert (facts["version"], facts["waiting"], facts["vehicles"]) == (2, 2, ["t1", "t2"])


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    assert "no store; the daemon makes one" in told(tmp_path)
    with pytest.raises(StateError, match="No such file or directory"):
        told(tmp_path / "none")


def test_a_damaged_store_is_told(tmp_path: Path) -> None:
    filled(tmp_path)
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(1024)
        file.write(b"\xff" * 4096)
    assert "damaged: " in told(tmp_path)


def test_names_from_outside_are_shown_escaped(tmp_path: Path) -> None:
    filled(tmp_path, vehicles=("a\x1b[2Jb", *(f"t{number}" for number in range(30))))
    text = told(tmp_path)
    assert "\x1b" not in text
    assert "'a\\x1b[2Jb'" in text
    assert "and 11 more" in text


def test_beside_a_daemon(tmp_path: Path, broker: Broker, truck: Truck) -> None:
    with Daemon(tmp_path / "one", broker.port, state={"commit_s": 0.1}) as daemon:
        truck.send(drive(60))
        wait_until(lambda: '"waiting"' in told(daemon.state, "--json"), 10, "a copy that fits")
        wait_until(lambda: json.loads(told(daemon.state, "--json"))["journal"] > 0, 10, "the inputs")
        facts = json.loads(told(daemon.state, "--json"))
        assert facts["held"]
        assert facts["problem"] == ""
        assert "a running daemon holds it" in told(daemon.state)
        assert daemon.stop() == 0
    assert json.loads(told(daemon.state, "--json"))["vehicles"] == ["t1"]


def commands(text: str) -> list[str]:
    """The lines to type; there are no services and no other users here."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("  sudo")]
    return [line.replace("sudo -u tickover ", "") for line in lines if "systemctl" not in line]


def test_the_way_back_as_typed_brings_the_earlier_store_back(tmp_path: Path) -> None:
    folder = tmp_path / "a state"
    folder.mkdir(mode=0o700)
    filled(folder, version=b"1")
    Store(folder, writer="0.2.0").close()
    text = told(folder)
    assert "kept beside: tickover.sqlite.version-1" in text
    assert "(2 now) are not sent" in text
    subprocess.run(["sh", "-ec", "\n".join(commands(text))], check=True)
    with closing(sqlite3.connect(folder / FILE)) as db:
        assert db.execute("SELECT body FROM meta WHERE name = 'version'").fetchone() == (b"1",)
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (2,)
    assert sorted(path.name for path in (folder / f"{FILE}.away").iterdir())[0] == FILE


def test_a_store_of_a_later_release_is_refused_and_the_way_back_starts_afresh(
    tmp_path: Path, broker: Broker, truck: Truck
) -> None:
    daemon = Daemon(tmp_path / "one", broker.port)
    filled(daemon.state, version=b"7")
    with daemon.start(ready=False):
        wait_until(daemon.over, 15, "it ends")
    assert daemon.process is not None
    assert daemon.process.returncode == 78
    refusal = daemon.text().splitlines()[-1]
    assert "is a store of version 7, written by tickover 0.1.0; expected version 1 to 2" in refusal
    assert f"`tickover state {daemon.state}` says how" in refusal
    text = told(daemon.state)
    assert "a later release wrote it" in text
    assert "Detection starts afresh" in text
    subprocess.run(["sh", "-ec", "\n".join(commands(text))], check=True)
    with daemon.start():
        assert daemon.stop() == 0
    assert ".away" not in daemon.text(), "what was put away is private, too"

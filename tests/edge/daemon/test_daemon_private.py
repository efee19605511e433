"""What the daemon writes is for its user alone, wherever it runs."""

import os
import stat
from pathlib import Path

import pytest

from broker import Broker, wait_until
from daemon_process import OTHER_MODEL, Daemon, Truck, drive


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_all_that_the_daemon_writes_is_private(tmp_path: Path, broker: Broker, truck: Truck, open_umask: None) -> None:
    """Store, log of the store, and the store kept when the model changes."""
    with Daemon(tmp_path / "one", broker.port, state={"commit_s": 0.1}) as daemon:
        truck.send(drive(100))
        wait_until(lambda: (daemon.state / "tickover.sqlite-wal").exists(), 10, "a commit")
        assert daemon.stop() == 0
        daemon.write_config(OTHER_MODEL)
        daemon.start()
        wait_until(lambda: len(list(daemon.state.glob("*.model-*"))) == 1, 10, "the store before the change")
        found = modes(daemon.state)
    assert found.pop("state") == 0o700
    assert len(found) >= 3
    assert set(found.values()) == {0o600}


def test_a_state_that_an_earlier_release_left_open_is_closed_and_told(
    tmp_path: Path, broker: Broker, truck: Truck
) -> None:
    daemon = Daemon(tmp_path / "one", broker.port, state={"commit_s": 0.1})
    with daemon.start():
        assert daemon.stop() == 0
    daemon.state.chmod(0o755)
    (daemon.state / "tickover.sqlite").chmod(0o644)
    with daemon.start():
        assert modes(daemon.state)["state"] == 0o700
        assert modes(daemon.state)["tickover.sqlite"] == 0o600
    assert daemon.text().count("could be read by others") == 2


def test_a_link_in_place_of_the_store_is_refused(tmp_path: Path, broker: Broker) -> None:
    elsewhere = tmp_path / "passwords"
    elsewhere.write_text("root")
    daemon = Daemon(tmp_path / "one", broker.port)
    daemon.state.mkdir(mode=0o777)
    (daemon.state / "tickover.sqlite").symlink_to(elsewhere)
    with daemon.start(ready=False):
        wait_until(daemon.over, 15, "it ends")
    assert daemon.process is not None
    assert daemon.process.returncode == 78
    assert "tickover.sqlite is a symbolic link; remove it" in daemon.text()
    assert elsewhere.read_text() == "root"

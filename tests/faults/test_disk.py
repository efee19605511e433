"""A disk that is full, that fails, that is read-only: detection goes on, says so, and needs no restart afterwards."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker, broker, wait_until  # noqa: F401  (a fixture)
from daemon_process import drive
from faults.gateway import Ear, Gateway, Player
from faults.recording import STRACE
from small_disk import SmallDisk

pytestmark = pytest.mark.slow
STATE = "commit_s = 0.2\nretry_s = 0.5"


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:  # noqa: F811
    one = Ear(broker)
    yield one
    one.close()


def test_a_disk_that_fills_up_twice(quick_folder: Path, broker: Broker, ear: Ear, small_disk: SmallDisk) -> None:  # noqa: F811
    """Alerts come while it is full; freed, commits reach it again; a kill then loses nothing."""
    gateway = Gateway(quick_folder, broker, "full", state=small_disk.folder, state_more=STATE)
    gateway.start().wait_connected()
    player, rows = Player(gateway), drive(1500)
    parts = [rows[at : at + 300] for at in range(0, len(rows), 300)]
    for turn in range(2):
        player.play(parts[2 * turn])
        small_disk.fill()
        before = len(ear.alerts("full"))
        player.play(parts[2 * turn + 1], pause=0.004)
        wait_until(lambda n=turn: ear.notices("full", "durability") == [True, False] * n + [True], 15, "said aloud")
        wait_until(lambda n=before: len(ear.alerts("full")) > n, 15, "detection goes on")
        small_disk.free()
        wait_until(lambda n=turn: ear.notices("full", "durability") == [True, False] * (n + 1), 15, "durable again")
    gateway.kill()
    gateway.start().wait_connected()
    for part in parts[4:]:
        player.play(part)
    result = ear.judge("full", rows)
    assert result.good, result
    gateway.kill()
    player.close()


@pytest.mark.parametrize("error", ["EROFS", "EIO"])
@pytest.mark.skipif(STRACE is None, reason="strace is not installed (apt install strace)")
def test_a_disk_that_turns_read_only_or_fails_under_the_daemon(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
    error: str,
) -> None:
    """Every write and sync fails for some seconds, as ext4 does after an error (EROFS) or a dying card (EIO)."""
    gateway = Gateway(quick_folder, broker, "failing", state_more=STATE)
    gateway.start().wait_connected()
    player, rows = Player(gateway), drive(900)
    player.play(rows[:300])
    wait_until(lambda: len(ear.alerts("failing")) >= 3, 10, "alerts")
    assert gateway.process
    assert STRACE
    calls = "pwrite64,fdatasync,fsync,ftruncate"
    inject = f"inject={calls}:error={error}"
    tracer = subprocess.Popen(
        [STRACE, "-f", "-qq", "-e", f"trace={calls}", "-e", inject, "-o", "/dev/null", "-p", str(gateway.process.pid)]
    )
    time.sleep(0.5)
    before = len(ear.alerts("failing"))
    player.play(rows[300:600], pause=0.004)
    wait_until(lambda: ear.notices("failing", "durability") == [True], 15, "said aloud")
    wait_until(lambda: len(ear.alerts("failing")) > before, 15, "detection goes on")
    tracer.terminate()
    tracer.wait(10)
    wait_until(lambda: ear.notices("failing", "durability") == [True, False], 15, "durable again")
    player.play(rows[600:])
    result = ear.judge("failing", rows)
    assert result.good, result
    gateway.kill()
    player.close()


def test_a_disk_that_is_read_only_at_the_start(
    quick_folder: Path,
    broker: Broker,  # noqa: F811
    ear: Ear,
    small_disk: SmallDisk,
) -> None:
    small_disk.remount("ro")
    gateway = Gateway(quick_folder, broker, "readonly", state=small_disk.folder, state_more=STATE)
    gateway.start().wait_connected()
    player, rows = Player(gateway), drive(600)
    player.play(rows[:300])
    wait_until(lambda: ear.notices("readonly", "durability") == [True], 15, "said aloud")
    wait_until(lambda: len(ear.alerts("readonly")) >= 3, 15, "detection goes on")
    small_disk.remount("rw")
    wait_until(lambda: ear.notices("readonly", "durability") == [True, False], 15, "durable again")
    gateway.kill()
    gateway.start().wait_connected()
    player.play(rows[300:])
    result = ear.judge("readonly", rows)
    assert result.good, result
    gateway.kill()
    player.close()

"""The daemon under a service manager that watches it: readiness, watchdog, reload, the end in time."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from broker import Broker, wait_until
from daemon_process import MODEL, Daemon, Truck, drive
from hostile_files import HOSTILE
from tickover.daemon import runner, starting

EVERY_S = 0.2
"""How often the daemon pings when it is asked to within three times that."""
STOP_S = 5.0
LOOP_STOPS_S = 1.0
"""What a reload may cost the loop, whatever the files hold."""
HOSTILE_BYTES = 24_000_000


class Manager:
    """The other end of ``NOTIFY_SOCKET``."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)
        self._heard: list[tuple[float, str]] = []

    def heard(self) -> list[str]:
        """All messages so far."""
        try:
            while True:
                self._heard.append((time.monotonic(), self._socket.recv(4096).decode()))
        except BlockingIOError:
            return [message for _, message in self._heard]

    def pings(self) -> int:
        return self.heard().count("WATCHDOG=1")

    def longest_gap(self) -> float:
        """The longest time between two pings."""
        self.heard()
        times = [when for when, message in self._heard if message == "WATCHDOG=1"]
        return max(after - before for before, after in pairwise(times))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", str(round(3 * EVERY_S * 1e6)))
    one = Manager(path)
    yield one
    one.close()


@pytest.fixture
def daemon(tmp_path: Path, broker: Broker, manager: Manager) -> Iterator[Daemon]:
    with Daemon(tmp_path / "daemon", broker.port, state={"commit_s": 0.2}) as running:
        yield running


def test_ready_pings_reload_and_stop_are_told_in_order(daemon: Daemon, manager: Manager) -> None:
    wait_until(lambda: manager.pings() >= 3, 10, "pings")
    daemon.hang_up()
    wait_until(lambda: manager.heard().count("READY=1") == 2, 10, "ready again")
    start = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - start < STOP_S
    told = [message for message in manager.heard() if message != "WATCHDOG=1"]
    assert told == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert manager.heard()[0] == "READY=1"


def test_a_start_that_takes_long_asks_for_more_time_and_says_how_far_it_is(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(starting, "LOGGED_S", 0.0)
    progress = starting.Progress(200)
    with caplog.at_level("INFO"):
        progress(64)
        progress(128)
    assert manager.heard() == [f"EXTEND_TIMEOUT_USEC={starting.MORE_S}000000"] * 2
    assert [record.getMessage() for record in caplog.records][-1].endswith("entries=128 of=200")


@pytest.mark.parametrize("name", ["empty nodes", "inputs of one node", "charts"])
def test_a_reload_with_a_hostile_model_does_not_stop_the_loop(
    daemon: Daemon, manager: Manager, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "hostile.onnx"
    path.write_bytes(HOSTILE[name].make(MODEL.read_bytes(), HOSTILE_BYTES))
    daemon.write_config(path)
    wait_until(lambda: manager.pings() >= 2, 10, "pings")
    daemon.hang_up()
    wait_until(lambda: manager.pings() and "reload refused" in daemon.text(), 20, "the refusal")
    assert f"{path}: {HOSTILE[name].refused}" in daemon.text()
    assert manager.longest_gap() < LOOP_STOPS_S
    assert not daemon.over()
    assert "RELOADING=1" not in manager.heard()


def test_the_end_does_not_wait_for_a_reload(daemon: Daemon, manager: Manager) -> None:
    daemon.hang_up()
    time.sleep(EVERY_S)
    assert daemon.stop() == 0


def test_a_loop_that_hangs_does_not_ping(tmp_path: Path, broker: Broker, manager: Manager) -> None:
    """Its log goes to a pipe that nobody empties: the process lives, the socket thread turns, nothing is done."""
    daemon = Daemon(tmp_path / "daemon", broker.port)
    os.mkfifo(daemon.log)
    pipe = os.open(daemon.log, os.O_RDWR | os.O_NONBLOCK)
    with daemon.start(ready=False):
        wait_until(lambda: manager.pings() >= 3, 10, "pings")
        with suppress(BlockingIOError):
            while True:
                os.write(pipe, b"x" * 512)
        daemon.write_config(vehicles={"silense_s": 0})
        daemon.hang_up()
        time.sleep(2 * EVERY_S)
        before = manager.pings()
        time.sleep(6 * EVERY_S)
        assert manager.pings() == before
        assert not daemon.over()
        with suppress(BlockingIOError):
            while True:
                os.read(pipe, 65_536)
        wait_until(lambda: manager.pings() > before, 5, "it goes on")
    os.close(pipe)


def test_a_socket_thread_that_is_stuck_stops_the_pings(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    one = runner.Runner(Path("unused.toml"))
    link = SimpleNamespace(beat=time.monotonic())
    turns = iter(range(6))

    def turn() -> None:
        number = next(turns)
        link.beat = time.monotonic() - (runner.SOURCE_STUCK_S + 1 if number >= 3 else 0)
        one._stop = number == 5
        time.sleep(EVERY_S * 1.1)

    daemon = SimpleNamespace(turn=turn, source=link, engine=SimpleNamespace(opened=None))
    one._turn_until_told(daemon, None)  # type: ignore[arg-type]
    assert manager.pings() == 3


def test_sigterm_ends_it_in_time_with_a_broker_that_has_frozen(
    daemon: Daemon, manager: Manager, truck: Truck, broker: Broker
) -> None:
    truck.send(drive(400))
    assert broker.process
    broker.process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - start < STOP_S
    assert manager.heard()[-1] == "STOPPING=1"


def test_a_wrong_configuration_is_never_ready(tmp_path: Path, manager: Manager) -> None:
    daemon = Daemon(tmp_path / "wrong", 1883, state={"comit_s": 1})
    with daemon.start(ready=False):
        wait_until(daemon.over, 10, "it ends")
    assert manager.heard() == []

"""A real Mosquitto for tests: one process per broker, on a free loopback port, killed and restarted at will.

`broker` is a fixture once a test module imports it (`from broker import broker`); tests that use it are skipped,
saying so, where Mosquitto is not installed.
"""

import getpass
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
START_LIMIT_S = 10.0

OPEN_TO_ALL = """
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
max_queued_messages 100000
max_inflight_messages 1000
"""


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """A Mosquitto process on 127.0.0.1:port; its files, `log.txt` among them, are in ``folder``.

    ``config`` is the text of its configuration; ``{port}`` and ``{folder}`` are filled in.
    """

    def __init__(self, folder: Path, config: str = OPEN_TO_ALL, port: int | None = None) -> None:
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "mosquitto.conf"
        text = config.replace("{port}", str(self.port)).replace("{folder}", str(folder))
        # Started as root, mosquitto would drop to a user of its own, who may not enter a test's folder.
        self.config.write_text(f"{text}\nuser {getpass.getuser()}\n")

    @property
    def address(self) -> str:
        """HOST:PORT, as the command line takes it."""
        return f"{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """All that the broker has said so far."""
        return (self.folder / "log.txt").read_text()

    def start(self) -> "Broker":
        """Start it and return when it accepts connections."""
        assert MOSQUITTO is not None
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"mosquitto ended at once:\n{self.log}")
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"mosquitto does not answer on port {self.port}:\n{self.log}")

    def stop(self) -> None:
        """A clean end: what it keeps for sessions is written to its folder."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: what was not yet written is gone."""
        self._end(signal.SIGKILL)

    def restart(self, *, clean: bool = True) -> None:
        """End it, cleanly or not, and start it again on the same port."""
        self.stop() if clean else self.kill()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=START_LIMIT_S)


needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt install mosquitto)")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker that lets everyone in."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    one = Broker(tmp_path / "broker").start()
    yield one
    one.stop()

"""A real Mosquitto for tests: on a free loopback port, with the queue limits the shipped config raises."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
LIMITS = """
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes false
max_inflight_messages 0
max_queued_messages 0
log_dest file {folder}/mosquitto.log
connection_messages true
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One Mosquitto process; `kill` and `start` keep port and folder."""

    host = "127.0.0.1"
    protocol = paho.MQTTv5

    def __init__(self, folder: Path, extra: str = "allow_anonymous true") -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        self.config = folder / "mosquitto.conf"
        text = LIMITS.format(folder=folder) + f"user root\nlistener {self.port} 127.0.0.1\n{extra}\n"
        self.config.write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """HOST:PORT, as the command line takes it."""
        return f"{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """All that the broker has said so far."""
        return (self.folder / "mosquitto.log").read_text()

    def restart(self) -> None:
        """A clean end, which saves sessions and queues, and a new start."""
        self.stop()
        self.start()

    def start(self) -> "Broker":
        assert MOSQUITTO
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_until(self._answers, 10, "Mosquitto listens")
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, f"Mosquitto ended: {(self.folder / 'mosquitto.log').read_text()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "Broker":
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)

    def client(self, client_id: str = "") -> paho.Client:
        """A connected paho client with its loop running."""
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=self.protocol)
        client.max_inflight_messages_set(1000)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        wait_until(client.is_connected, 5, "a test client is connected")
        return client


class Listener:
    """Keeps every message under a filter, with the retain flag."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.client = broker.client()
        self.client.on_message = lambda _, __, m: self.messages.append((m.topic, bytes(m.payload), m.retain))
        ready: list[object] = []
        self.client.on_subscribe = lambda *args: ready.append(args)
        self.client.subscribe(topic, qos=1)
        wait_until(lambda: bool(ready), 5, "a test client has subscribed")

    def of(self, part: str) -> list[bytes]:
        """Payloads of the topics that contain ``part``."""
        return [payload for topic, payload, _ in list(self.messages) if part in topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def wait_until(condition, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    with Broker(tmp_path / "broker") as running:
        yield running

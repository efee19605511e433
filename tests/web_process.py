"""A real `tickover web` for tests: a process of its own beside a real broker, and what publishes to it."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from broker import Broker, free_port, wait_until
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection

START_S = 20


class WebProcess:
    """``tickover web`` with a state folder; `kill` and `start` keep port and folder."""

    def __init__(self, broker: Broker, folder: Path, *options: str) -> None:
        self.port, self.folder = free_port(), folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [sys.executable, "-m", "tickover", "web", "--broker", broker.address, "--port", str(self.port)]
        self.command += ["--state", str(folder), *options]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, connected: bool = True) -> "WebProcess":
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(lambda: self.answers(connected), START_S, "the page is served, and hears the broker")
        return self

    def answers(self, connected: bool) -> bool:
        assert self.process
        assert self.process.poll() is None, self.process.stdout.read().decode()  # type: ignore[union-attr]
        try:
            page = self.get("/api/fleet")["page"]
        except (urllib.error.URLError, ConnectionError):
            return False
        return page["broker"]["connected"] is connected

    def get(self, path: str) -> Any:
        return json.loads(self.read(path))

    def read(self, path: str, headers: dict[str, str] | None = None, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers or {})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def post(self, path: str, body: Any) -> Any:
        return json.loads(self.read(path, {"x-tickover": "1"}, body))

    def stop(self) -> str:
        """SIGTERM; what it said."""
        assert self.process
        self.process.terminate()
        said, _ = self.process.communicate(timeout=15)
        return said.decode()

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=10)


class Publisher:
    """Publishes as daemons do; ``drain`` waits until the broker has it all."""

    def __init__(self, broker: Broker) -> None:
        self.client = MqttClient(Connection(host=broker.host, port=broker.port))
        self.client.connect()

    def send(self, vehicle: str, what: str, payload: bytes, retain: bool = False) -> None:
        self.client.publish(f"tickover/v1/{vehicle}/{what}", payload, retain=retain)

    def drain(self) -> None:
        assert self.client.drain(20)

    def close(self) -> None:
        self.client.close()

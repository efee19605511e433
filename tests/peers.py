"""Brokers other than Mosquitto, as real processes; `.ci/peers` installs them. What is not is skipped."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from broker import Broker
from paths import ROOT

PEERS = Path(os.environ.get("TICKOVER_PEERS", ROOT / ".peers"))
INSTALL = "not installed (.ci/peers)"
AEDES = """
import net from 'node:net';
import {{ Aedes }} from '{module}';
const broker = await Aedes.createBroker();
net.createServer(broker.handle).listen({port}, '127.0.0.1');
"""
AMQTT = """
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""
RABBIT = """
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:{port}
mqtt.allow_anonymous = true
mqtt.prefetch = 1000
"""


def quiet_port() -> int:
    """A free port that the kernel gives to no outgoing connection: these brokers take seconds to listen."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Peer(Broker):
    """A broker of another make on a free loopback port."""

    protocol = paho.MQTTv311

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, quiet_port()
        self.process = None
        self.environment = dict(os.environ)
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Write what the broker reads."""

    @abstractmethod
    def command(self) -> list[str]:
        """How it is started."""

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> "Peer":
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=self.environment, start_new_session=True
            )
        end = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > end:
                self.kill()
                pytest.fail(f"{type(self).__name__} does not listen: {self.log[-2000:]}")
            time.sleep(0.2)
        return self

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, f"it ended: {self.log[-2000:]}"
        return super()._answers()

    def kill(self) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        self.kill()


class Aedes(Peer):
    """aedes 1.x: answers "unacceptable protocol version" to MQTT 5."""

    def prepare(self) -> None:
        module = PEERS / "node_modules" / "aedes" / "aedes.js"
        if not (module.exists() and shutil.which("node")):
            pytest.skip(f"aedes is {INSTALL}")
        (self.folder / "aedes.mjs").write_text(AEDES.format(module=module, port=self.port))

    def command(self) -> list[str]:
        return ["node", str(self.folder / "aedes.mjs")]


class Amqtt(Peer):
    """amqtt: does not answer a CONNECT of MQTT 5."""

    def prepare(self) -> None:
        if not (PEERS / "amqtt" / "bin" / "amqtt").exists():
            pytest.skip(f"amqtt is {INSTALL}")
        (self.folder / "amqtt.yaml").write_text(AMQTT.format(port=self.port))
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def command(self) -> list[str]:
        return [str(PEERS / "amqtt" / "bin" / "amqtt"), "-c", str(self.folder / "amqtt.yaml")]


class RabbitMQ(Peer):
    """RabbitMQ 3.10 with its MQTT plugin: hangs up at a CONNECT of MQTT 5, and turns dots in topics into slashes."""

    def prepare(self) -> None:
        found = sorted(Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server"))
        if not found:
            pytest.skip(f"RabbitMQ is {INSTALL}")
        self._program = str(found[-1])
        (self.folder / "enabled").write_text("[rabbitmq_mqtt].")
        (self.folder / "rabbitmq.conf").write_text(RABBIT.format(port=self.port))
        self.environment |= {
            "HOME": str(self.folder),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(quiet_port()),
            "ERL_EPMD_PORT": str(quiet_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def command(self) -> list[str]:
        return [self._program]

    def kill(self) -> None:
        """Erlang's port mapper leaves the group of processes that started it; this one is of this broker alone.

        It does not end before it has seen that the broker is gone.
        """
        super().kill()
        mapper = next(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"), None)
        end = time.monotonic() + 5
        while mapper and time.monotonic() < end:
            done = subprocess.run([mapper, "-kill"], capture_output=True, text=True, env=self.environment, timeout=10)
            if "Killing not allowed" not in done.stdout + done.stderr:
                break
            time.sleep(0.1)


BROKERS = {"mosquitto": Broker, "aedes": Aedes, "amqtt": Amqtt, "rabbitmq": RabbitMQ}


@contextmanager
def running(name: str, folder: Path) -> Iterator[Broker]:
    """One of `BROKERS`, started."""
    with BROKERS[name](folder) as one:
        yield one


def tickover(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """A command, run to its end."""
    command = [sys.executable, "-m", "tickover", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)

"""A broker, a daemon and a listener as plain processes and clients, with nothing of tickover's own modules.

The tests of ``tests/compat`` must outlive any move of modules, so they know tickover by its command line only.
"""

import contextlib
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
TICKOVER = (sys.executable, "-m", "tickover")
LIMIT_S = 30.0
"""How long anything may take on a busy machine."""
PORT, STORE = "port = 1883", "/var/lib/tickover"
"""What a kept configuration says of the broker and the state folder, to be replaced."""
SETTINGS = """
listener {port} 127.0.0.1
user {user}
max_inflight_messages 0
max_queued_messages 0
persistence false
log_type error
{extra}
"""


def environment() -> dict[str, str]:
    """This process's own, with its PYTHONPATH, and one thread for the arithmetic."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def tickover(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a failure shows what it said."""
    command = [*TICKOVER, *map(str, args)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done


def wait_until(condition: Callable[[], bool], what: str | Callable[[], str], seconds: float = LIMIT_S) -> None:
    """Look again and again; AssertionError says what did not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.02)


class Broker:
    """A Mosquitto on a free loopback port, without a memory of its own; ``extra`` are lines of its configuration."""

    def __init__(self, folder: Path, extra: str = "allow_anonymous true") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        self._config.write_text(SETTINGS.format(port=self.port, user=getpass.getuser(), extra=extra))
        self._process: subprocess.Popen[bytes] | None = None

    def _listens(self) -> bool:
        assert self._process
        assert self._process.poll() is None, "Mosquitto ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False

    def __enter__(self) -> Self:
        assert MOSQUITTO, "Mosquitto is not installed"
        with self._config.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log)
        wait_until(self._listens, "Mosquitto listens")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


class Client:
    """Publishes at QoS 1, and keeps all that is published under ``topic``, in order of arrival."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.messages: list[tuple[str, bytes]] = []
        ready: list[object] = []
        self._paho = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._paho.max_inflight_messages_set(1000)
        self._paho.on_message = lambda _, __, message: self.messages.append((message.topic, bytes(message.payload)))
        self._paho.on_connect = lambda *_: self._paho.subscribe(topic, qos=1)
        self._paho.on_subscribe = lambda *args: ready.append(args)
        self._paho.connect("127.0.0.1", broker.port)
        self._paho.loop_start()
        wait_until(lambda: bool(ready), "a test client has subscribed")

    def publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """All of them, in order; returns when the broker has them."""
        sent = [self._paho.publish(topic, payload, qos=1) for topic, payload in messages]
        for one in sent:
            one.wait_for_publish(LIMIT_S)

    def of(self, end: str) -> list[bytes]:
        """The bodies so far of the topics that end so."""
        return [body for topic, body in list(self.messages) if topic.endswith(end)]

    def under(self, level: str) -> list[tuple[str, bytes]]:
        """Topics and bodies so far of ``<base>/v1/<vehicle>/<level>/…``."""
        return [(topic, body) for topic, body in list(self.messages) if topic.split("/")[3] == level]

    def ask(self, topic: str, **request: object) -> dict[str, Any]:
        """Send a command to ``<base>/v1/<vehicle>/cmd/<name>``; its response."""
        before = len(self.of(f"{topic}/response"))
        self.publish([(f"{topic}/request", json.dumps(request).encode())])
        wait_until(lambda: len(self.of(f"{topic}/response")) > before, f"an answer on {topic}")
        answer: dict[str, Any] = json.loads(self.of(f"{topic}/response")[-1])
        assert answer["ok"], answer
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()


class Daemon:
    """``tickover run``; ``program`` in place of ``python -m tickover`` runs it under other clocks."""

    def __init__(self, config: Path, program: Sequence[str] = TICKOVER) -> None:
        self._log = config.with_suffix(".log")
        with self._log.open("ab") as log:
            command = [*program, "run", "--config", str(config)]
            self._process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)

    @property
    def text(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL: nothing is finished or saved."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.over:
            self.kill()


def online(client: Client, daemon: Daemon, node: str) -> None:
    """Wait until the daemon under this ``<base>/v1/<node>`` says that it is there."""

    def is_online() -> bool:
        assert not daemon.over, daemon.text
        bodies = [body for topic, body in list(client.messages) if topic == f"{node}/status"]
        return bool(bodies) and json.loads(bodies[-1])["state"] == "online"

    wait_until(is_online, lambda: f"the daemon is online\n{daemon.text}")


def retained(broker: Broker, topic: str, seconds: float = 1.0) -> dict[str, bytes]:
    """What the broker keeps under a topic: all that a newcomer is sent in the first moments."""
    with Client(broker, topic) as client:
        time.sleep(seconds)
        return dict(client.messages)


def moved(text: str, places: Mapping[str, str | Path | int]) -> str:
    """A configuration with its paths and port where they are here; each must be there to be replaced."""
    for old, new in places.items():
        assert old in text, f"expected {old!r} in the configuration"
        text = text.replace(old, str(new))
    return text


@dataclass(frozen=True)
class Continuation:
    """What a daemon told after it was started on a store.

    ``alerts`` and ``notices`` in order of arrival; ``alarms``: the topics retained at the broker when the daemon came
    online, and when all was read; all ``messages``; its exit code; its log; the names of the files in its state folder.
    """

    alerts: list[bytes]
    notices: list[bytes]
    alarms: tuple[dict[str, bytes], dict[str, bytes]]
    messages: list[tuple[str, bytes]]
    exit_code: int
    log: str
    files: set[str]


@dataclass(frozen=True)
class Kept:
    """A store to go on with: the archive of its folder, and its configuration; ``places`` are what that says of the
    models' paths, and where they are here."""

    store: Path
    config: str
    places: Mapping[str, str | Path]
    base: str
    node: str


def go_on(
    folder: Path,
    kept: Kept,
    messages: list[tuple[str, bytes]],
    expected: Iterable[bytes] = (),
    quiet_s: float = 1.0,
) -> Continuation:
    """Start a daemon on a copy of a store at a new broker, publish ``messages``, and hear all it has to tell.

    It is heard until the ``expected`` alerts have come and nothing else has for ``quiet_s``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state, path, node = folder / "state", folder / "tickover.toml", f"{kept.base}/v1/{kept.node}"
    unpacked_store(kept.store, state)
    with Broker(folder / "broker") as broker, Client(broker, f"{kept.base}/#") as client:
        path.write_text(moved(kept.config, {PORT: f"port = {broker.port}", STORE: state, **kept.places}))
        with Daemon(path) as daemon:
            online(client, daemon, node)
            begin = retained(broker, f"{kept.base}/v1/+/alarm/+")
            client.publish(messages)
            hear(client, set(expected), quiet_s)
            client.ask(f"{node}/cmd/status")
            end = retained(broker, f"{kept.base}/v1/+/alarm/+")
            code = daemon.stop()
            wait_until(
                lambda: json.loads(client.of(f"{kept.node}/status")[-1])["state"] == "stopped", "it says stopped"
            )
        events = [body for _, body in client.under("alert")]
        alerts, notices = [b for b in events if is_alert(b)], [b for b in events if not is_alert(b)]
        files = {file.name for file in state.iterdir()}
        return Continuation(alerts, notices, (begin, end), list(client.messages), code, daemon.text, files)


def unpacked_store(archive: Path, folder: Path) -> Path:
    """A state folder from its archive."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def is_alert(body: bytes) -> bool:
    """Whether an event is a detector's alert; the others are notices of the daemon."""
    return ".alert." in str(json.loads(body)["type"])


def hear(client: Client, expected: set[bytes], quiet_s: float) -> None:
    """Wait for the expected alerts, as far as they come in time, and then until none has come for ``quiet_s``."""
    with contextlib.suppress(AssertionError):  # what is missing is said by who compares
        wait_until(lambda: expected <= {body for _, body in client.under("alert")}, "all alerts", LIMIT_S / 2)
    heard = -1
    while heard < len(client.under("alert")):
        heard = len(client.under("alert"))
        time.sleep(quiet_s)

"""One daemon under test among many at one broker: its own topics, its own state folder, its own session.

The alerts that arrive are compared with a replay of the same rows: none lost, none different, none that the replay
does not know, and again only under the same id.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker import Broker, wait_until
from daemon_process import MODEL, Row, alerts_in, as_told, replayed
from faults.nursery import Forked, Nursery
from faults.process import environment
from tickover.core.values import Alert
from tickover.storage.store import FILE

VEHICLE = "t1"
SOUND = ("-m", "tickover")
"""What is run: the program as it is. `broken` names programs that are not."""
CONFIG = """
[broker]
client_id = "{name}"
port = {port}
receive_maximum = {receive_maximum}
{broker}
[state]
folder = "{state}"
{state_more}
[vehicles]
silence_s = {silence_s}
[out]
base = "{name}/out"
health_s = 2
[outbox]
{outbox}
[[models]]
path = "{model}"
[[inputs]]
topic = "{name}/in/{{vehicle}}"
time = "{time_key}"
{more}
"""


@dataclass
class Result:
    """What became of the alerts."""

    wanted: int = 0
    arrived: int = 0
    again: int = 0
    lost: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.different or self.unknown)


class Gateway:
    """``tickover run`` with a name of its own; `start`, `kill` and `stop` as often as one likes."""

    made: ClassVar[list["Gateway"]] = []
    """All of this process, so that a test that failed leaves none behind."""

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        name: str,
        *,
        port: int = 0,
        receive_maximum: int = 60,
        broker_more: str = "",
        state_more: str = "",
        silence_s: float = 0,
        outbox: str = "",
        state: Path | None = None,
        model: Path = MODEL,
        time_key: str = "t",
        more: str = "",
    ) -> None:
        self.broker, self.name = broker, name
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.state = state or self.folder / "state"
        self.log = self.folder / "log"
        self.log.touch()
        self.config = self.folder / "tickover.toml"
        self.config.write_text(
            CONFIG.format(
                name=name,
                port=port or broker.port,
                receive_maximum=receive_maximum,
                broker=broker_more,
                state=self.state,
                state_more=state_more,
                silence_s=silence_s,
                outbox=outbox,
                model=model,
                time_key=time_key,
                more=more,
            )
        )
        self.process: subprocess.Popen[bytes] | Forked | None = None
        Gateway.made.append(self)

    @property
    def file(self) -> Path:
        """The store."""
        return self.state / FILE

    @property
    def topic(self) -> str:
        """Where the truck speaks."""
        return f"{self.name}/in/{VEHICLE}"

    def open_session(self) -> None:
        """Subscribe in the daemon's name, so that the broker keeps rows for it before its first start."""
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.name, protocol=paho.MQTTv5)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        done = threading.Event()
        client.on_subscribe = lambda *_: done.set()
        client.connect("127.0.0.1", self.broker.port, clean_start=False, properties=properties)
        client.loop_start()
        client.subscribe(f"{self.name}/in/+", qos=1)
        assert done.wait(10)
        client.disconnect()
        client.loop_stop()

    def start(self, *prefix: str, launcher: Iterable[str] = SOUND) -> "Gateway":
        """Start it, under another program if ``prefix`` says so; returns at once."""
        command = [*prefix, sys.executable, *launcher, "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(), start_new_session=True)
        return self

    def start_from(self, nursery: Nursery) -> None:
        """Start it as `start` does, in milliseconds."""
        self.process = nursery.start(self.config, self.log)

    def wait_connected(self, seconds: float = 20) -> None:
        """Until it says once more that it is connected."""
        before = self.text().count("connected broker=")
        wait_until(lambda: self.text().count("connected broker=") > before or self.over, seconds, "the daemon connects")
        assert not self.over, self.text()

    def text(self) -> str:
        """All that it has said."""
        return self.log.read_text()

    @property
    def over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL, the tracer with it."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process
        self.process.terminate()
        return self.process.wait(10)

    def resident_mb(self) -> float:
        """Resident memory, MB."""
        assert self.process
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Ear:
    """Hears all gateways through one durable session, and tells their alerts apart by topic."""

    def __init__(self, broker: Broker, port: int = 0) -> None:
        self._messages: dict[str, list[tuple[str, bytes]]] = {}
        self._lock = threading.Lock()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="ear", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._hear
        self._client.on_subscribe = self._note
        self._client.on_connect = lambda client, *_: client.subscribe("+/out/#", qos=1)
        self.subscribed = 0
        """How often the broker said yes to the subscription."""
        self._client.connect("127.0.0.1", port or broker.port)
        self._client.loop_start()
        wait_until(lambda: self.subscribed > 0, 10, "the ear has subscribed")

    def _note(self, *_: Any) -> None:
        self.subscribed += 1

    def _hear(self, _: Any, __: Any, message: Any) -> None:
        with self._lock:
            self._messages.setdefault(message.topic.split("/")[0], []).append((message.topic, bytes(message.payload)))

    def of(self, name: str, part: str) -> list[bytes]:
        """Bodies of one gateway's topics that contain ``part``."""
        with self._lock:
            return [body for topic, body in self._messages.get(name, []) if part in topic]

    def alerts(self, name: str) -> list[Alert]:
        """All alerts of one gateway, in order of arrival."""
        return alerts_in(self.of(name, "/alert/"))

    def notices(self, name: str, kind: str) -> list[bool]:
        """On and off of one kind of notice."""
        return [json.loads(body)["data"]["active"] for body in self.of(name, f"/alert/{kind}")]

    def health(self, name: str) -> dict[str, Any]:
        """The newest health report; empty before the first."""
        return next((json.loads(body) for body in reversed(self.of(name, "/health"))), {})

    def judge(self, name: str, rows: Iterable[Row], seconds: float = 30, settle: float = 0.3) -> Result:
        """Wait for the alerts of these rows (and a little for any that should not come), then compare."""
        return self.compare(name, as_told(replayed(rows, VEHICLE)), seconds, settle)

    def compare(self, name: str, wanted: dict[str, Alert], seconds: float = 30, settle: float = 0.3) -> Result:
        """As `judge`, with the alerts at hand."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not {alert.alert_id for alert in self.alerts(name)} >= wanted.keys():
            time.sleep(0.05)
        time.sleep(settle)
        alerts = self.alerts(name)
        times = Counter(alert.alert_id for alert in alerts)
        return Result(
            wanted=len(wanted),
            arrived=len(times),
            again=sum(times.values()) - len(times),
            lost=[key for key in wanted if key not in times],
            different=[a.alert_id for a in alerts if a.alert_id in wanted and a != wanted[a.alert_id]],
            unknown=[key for key in times if key not in wanted],
        )

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Player:
    """A truck that publishes rows at QoS 1 to one gateway, each when the broker has the one before.

    With more under way paho would send them in another order after a reconnect, later than the lateness allows.
    """

    def __init__(self, gateway: Gateway, port: int = 0) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"{gateway.name}-truck", protocol=paho.MQTTv5)
        self.client.max_inflight_messages_set(1000)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_publish = self._note
        self._accepted = threading.Semaphore(0)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", port or gateway.broker.port, clean_start=False, properties=properties)
        self.client.loop_start()
        wait_until(self.client.is_connected, 10, "the truck is connected")
        self.topic = gateway.topic

    def _note(self, *_: Any) -> None:
        self._accepted.release()

    def play(self, rows: Iterable[Row], pause: float = 0.0) -> None:
        """Publish, and wait until the broker has everything."""
        for stamp, shown in rows:
            self.client.publish(self.topic, json.dumps({"t": stamp, **shown}), qos=1)
            assert self._accepted.acquire(timeout=60), "the broker does not take a row"
            if pause:
                time.sleep(pause)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

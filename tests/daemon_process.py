"""The daemon as a real process, a seeded drive to feed it, and the alerts that a replay of the drive gives."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from broker import Broker, wait_until
from tickover.core.pipeline import Pipeline
from tickover.core.policy import EpisodeOverrides, Settings
from tickover.core.values import Alert, Readings
from tickover.host import toml
from tickover.messages.alerts import decode_alert, encode_alert
from tickover.model.detector import Detector

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "tests" / "models" / "gru_autoencoder.onnx"
OTHER_MODEL = ROOT / "tests" / "models" / "lstm_forecaster.onnx"
SIGNALS = ("coolant", "rpm", "speed")
START = 1_700_000_000
Row = tuple[float, dict[str, float]]


def drive(seconds: int, seed: int = 0) -> list[Row]:
    """A truck at 1 Hz, near what the model expects: a fault every 150 s, dropouts, stops beyond the gap limit."""
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    for second in range(seconds):
        if second % 700 > 685:
            continue
        values = np.array([27.3, 49.2, 39.0]) + random.normal(0.0, 0.1, 3)
        if 40 < second % 150 < 48:
            values[second // 150 % 3] += 100.0
        shown = {name: round(float(v), 3) for name, v in zip(SIGNALS, values, strict=True) if random.random() > 0.03}
        if shown:
            rows.append((START + second + round(random.uniform(0, 0.2), 3), shown))
    return rows


def replayed(
    rows: Iterable[Row],
    vehicle: str = "t1",
    policy: EpisodeOverrides | None = None,
    model: Path = MODEL,
    detector: str = "anomaly",
) -> list[Alert]:
    """What the same readings give without a daemon; the log's end ends nothing."""
    pipeline = Pipeline(Detector.load(model), Settings(episodes=policy or EpisodeOverrides()), detector)
    rows = list(rows)
    time = np.array([round(stamp * 1e6) for stamp, _ in rows], np.int64)
    values = np.array([[shown.get(name, np.nan) for name in SIGNALS] for _, shown in rows])
    pipeline.feed(Readings(vehicle, SIGNALS, time, values))
    return [alert for output in pipeline.pump() for alert in output.alerts]


def as_told(alerts: Iterable[Alert]) -> dict[str, Alert]:
    """Id to alert as it looks after a journey through JSON."""
    return {alert.alert_id: decode_alert(encode_alert(alert)) for alert in alerts}


class Daemon:
    """``tickover run`` with its own folder; `start` and `kill` as often as one likes. ``tables`` go into its config."""

    def __init__(self, folder: Path, port: int, model: Path = MODEL, **tables: dict[str, object]) -> None:
        self.folder, self.port, self.tables = folder, port, tables
        folder.mkdir(parents=True, exist_ok=True)
        self.state = Path(str(tables.get("state", {}).get("folder", folder / "state")))
        self.config = folder / "tickover.toml"
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.write_config(model)

    def write_config(self, model: Path = MODEL, **tables: dict[str, object]) -> None:
        whole: dict[str, dict[str, object]] = {
            "broker": {"client_id": "gateway", "port": self.port, "receive_maximum": 200},
            "state": {"folder": str(self.state)},
            "vehicles": {"silence_s": 0},
        }
        for name, table in (self.tables | tables).items():
            whole[name] = whole.get(name, {}) | table
        text = toml.encode(whole)  # type: ignore[arg-type]
        text += f'\n[[models]]\npath = "{model}"\n'
        text += '\n[[inputs]]\ntopic = "truck/{vehicle}/telemetry"\ntime = "t"\n'
        self.config.write_text(text)

    def start(self, ready: bool = True) -> "Daemon":
        env = {**os.environ, "PYTHONPATH": str(ROOT / "edge"), "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "tickover", "run", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=env)
        if ready:
            before = self.text().count("subscribed topics=")
            wait_until(
                lambda: self.text().count("subscribed topics=") > before or self.over(), 15, "the daemon subscribes"
            )
            assert not self.over(), self.text()
        return self

    def text(self) -> str:
        return self.log.read_text()

    def over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def __enter__(self) -> "Daemon":
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        if self.process and not self.over():
            self.kill()

    def hang_up(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGHUP)


class Truck:
    """Publishes rows as JSON at QoS 1."""

    def __init__(self, broker: Broker, vehicle: str = "t1") -> None:
        self.client: paho.Client = broker.client()
        self.topic = f"truck/{vehicle}/telemetry"

    def send(self, rows: Iterable[Row], pause: float = 0.0) -> None:
        infos = []
        for stamp, shown in rows:
            infos.append(self.client.publish(self.topic, json.dumps({"t": stamp, **shown}), qos=1))
            time.sleep(pause)
        for info in infos:
            info.wait_for_publish(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def alerts_in(messages: Iterable[bytes]) -> list[Alert]:
    """The alerts among published bodies; notices are left out."""
    events = [(body, msgspec.json.decode(body)) for body in messages if body]
    return [decode_alert(body) for body, event in events if "alert" in event["type"]]


class Watcher:
    """Subscribes with a session that outlives broker restarts; keeps everything below a topic."""

    def __init__(self, broker: Broker, topic: str = "tickover/#") -> None:
        self.messages: list[tuple[str, bytes]] = []
        ready: list[object] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="watcher", clean_session=False)
        self.client.on_message = lambda _, __, m: self.messages.append((m.topic, bytes(m.payload)))
        self.client.on_subscribe = lambda *args: ready.append(args)
        self.client.on_connect = lambda *_: self.client.subscribe(topic, qos=1)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        wait_until(lambda: bool(ready), 5, "the watcher has subscribed")

    def of(self, part: str) -> list[bytes]:
        return [body for topic, body in list(self.messages) if part in topic]

    def alerts(self) -> list[Alert]:
        return alerts_in(self.of("/alert/"))

    def notices(self, kind: str) -> list[bool]:
        """Whether each is active; one that comes again, as after a connection that was cut, counts once."""
        told = [msgspec.json.decode(body) for body in self.of(f"/alert/{kind}")]
        return [*{one["id"]: one["data"]["active"] for one in told}.values()]

    def answer(self, command: str, target: str = "gateway", **request: object) -> dict:
        """Send a command and wait for its response."""
        before = len(self.of(f"/{target}/cmd/{command}/response"))
        self.client.publish(f"tickover/v1/{target}/cmd/{command}/request", json.dumps({"id": "7", **request}), qos=1)
        wait_until(lambda: len(self.of(f"/{target}/cmd/{command}/response")) > before, 10, f"an answer to {command}")
        answer = json.loads(self.of(f"/{target}/cmd/{command}/response")[-1])
        assert answer["id"] == "7"
        return answer

    def expect(self, wanted: dict[str, Alert], seconds: float = 20) -> None:
        """Exactly these alerts arrive; again only under the same id and with the same content."""
        wait_until(lambda: {a.alert_id for a in self.alerts()} >= wanted.keys(), seconds, "all alerts")
        for alert in self.alerts():
            assert alert == wanted.get(alert.alert_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

"""The daemon as a real process, a seeded drive to feed it, and the alerts that a replay of the drive gives."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import paho.mqtt.client as paho
from broker import Broker, wait_until

from tickover.detector import Detector
from tickover.formats.alerts import decode_alert, encode_alert
from tickover.pipeline import Pipeline
from tickover.records import Alert, Readings
from tickover.settings import EpisodeOverrides, Settings

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "tests" / "edge" / "models" / "gru_autoencoder.onnx"
OTHER_MODEL = ROOT / "tests" / "edge" / "models" / "lstm_forecaster.onnx"
SIGNALS = ("coolant", "rpm", "speed")
START = 1_700_000_000
Row = tuple[float, dict[str, float]]


def drive(seconds: int, seed: int = 0) -> list[Row]:
    """A truck at 1 Hz, near what the model expects, with a fault every 150 s, dropouts, and stops beyond the gap limit."""
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


def replayed(rows: Iterable[Row], vehicle: str = "t1", policy: EpisodeOverrides | None = None) -> list[Alert]:
    """What the same readings give without a daemon; the log's end ends nothing."""
    pipeline = Pipeline(Detector.load(MODEL), Settings(episodes=policy or EpisodeOverrides()))
    rows = list(rows)
    time = np.array([round(stamp * 1e6) for stamp, _ in rows], np.int64)
    values = np.array([[shown.get(name, np.nan) for name in SIGNALS] for _, shown in rows])
    pipeline.feed(Readings(vehicle, SIGNALS, time, values))
    return [alert for output in pipeline.pump() for alert in output.alerts]


def as_told(alerts: Iterable[Alert]) -> dict[str, Alert]:
    """Id to alert as it looks after a journey through JSON."""
    return {alert.alert_id: decode_alert(encode_alert(alert)) for alert in alerts}


class Daemon:
    """``tickover run`` with its own folder; `start` and `kill` as often as one likes."""

    def __init__(self, folder: Path, port: int, more: str = "", model: Path = MODEL) -> None:
        self.folder, self.port, self.more = folder, port, more
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "state"
        self.config = folder / "tickover.toml"
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.write_config(model)

    def write_config(self, model: Path = MODEL, client_id: str = "gateway") -> None:
        tables = {"broker": "", "state": "", "vehicles": "silence_s = 0\n", "out": "", "outbox": ""}
        for block in self.more.split("["):
            if block.strip():
                name, _, body = block.partition("]")
                tables[name] = tables.get(name, "") + body.strip("\n") + "\n"
        if "client_id" not in tables["broker"]:
            tables["broker"] += f'client_id = "{client_id}"\n'
        tables["broker"] += f"port = {self.port}\nreceive_maximum = 200\n"
        tables["state"] += f'folder = "{self.state}"\n' if "folder" not in tables["state"] else ""
        text = "".join(f"[{name}]\n{body}\n" for name, body in tables.items())
        text += f'[[models]]\npath = "{model}"\n'
        text += '[[inputs]]\ntopic = "truck/{vehicle}/telemetry"\ntime = "t"\n'
        self.config.write_text(text)

    def start(self, ready: bool = True) -> "Daemon":
        env = {**os.environ, "PYTHONPATH": str(ROOT / "edge"), "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "tickover", "run", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=env)
        if ready:
            connected = self.text().count("connected to")
            wait_until(lambda: self.text().count("connected to") > connected or self.over(), 15, "the daemon connects")
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

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def alerts_in(messages: Iterable[bytes]) -> list[Alert]:
    """The alerts among published bodies; notices are left out."""
    events = [(body, msgspec.json.decode(body)) for body in messages if body]
    return [decode_alert(body) for body, event in events if "alert" in event["type"]]


def numbered(prefix: str) -> Iterable[str]:
    return (f"{prefix}-{number}" for number in itertools.count())

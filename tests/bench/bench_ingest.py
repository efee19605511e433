"""How fast the whole daemon takes in messages, beside a paho receiver that only acknowledges.

Run: python tests/bench/bench_ingest.py [--json] [--messages N]. 100 vehicles, 12 signals in about 200 B of JSON, QoS 1.
Both empty a queue of N messages at the same Mosquitto; then the daemon reads from a socket that plays broker and never
waits. One run, ratios within it; rates run from the first message taken to the last commit, durable commits on. CPU is
that of the whole process, both threads: on a shared machine it is a better measure than the clock.
"""

import argparse
import json
import multiprocessing
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), *(str(TESTS.parent / room) for room in ("edge", "export"))]

import numpy as np  # noqa: E402
import paho.mqtt.client as paho  # noqa: E402
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402
from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402

from broker import Broker, free_port  # noqa: E402
from small_models import many_signals, model_bytes, small_spec  # noqa: E402
from tickover.daemon.config import load_config  # noqa: E402
from tickover.daemon.recovery import open_fleet  # noqa: E402
from tickover.daemon.runner import open_daemon  # noqa: E402

VEHICLES, SIGNALS, START = 100, 12, 1_700_000_000
RECEIVE_MAXIMUM = 2000
MUST_RATIO, MUST_RATE = 0.6, 20_000
"""What is asked for: of the bare receiver's rate, and messages a second from a socket."""


def payload(number: int) -> bytes:
    values = {f"s{place}": round(50 + place + number % 7 * 0.25, 2) for place in range(SIGNALS)}
    return json.dumps({"t": START + number // VEHICLES, **values}, separators=(",", ":")).encode()


def topic(number: int) -> str:
    return f"truck/v{number % VEHICLES}/telemetry"


def quiet_model() -> bytes:
    """A model with random weights that never alarms: open episodes cost extra, and trucks are mostly well."""
    spec = small_spec(signals=many_signals(SIGNALS), hidden=32)
    limits = np.full(len(spec.banks) * SIGNALS, 1e6, np.float32)
    return model_bytes(spec, limits=limits)


def config(folder: Path, port: int, model: Path) -> Path:
    path = folder / "tickover.toml"
    path.write_text(
        f'[broker]\nclient_id = "bench"\nport = {port}\nreceive_maximum = {RECEIVE_MAXIMUM}\n'
        f'[state]\nfolder = "{folder}/state-{port}"\n[vehicles]\nsilence_s = 0\n'
        f'[[models]]\npath = "{model}"\n[[inputs]]\ntopic = "truck/{{vehicle}}/telemetry"\ntime = "t"\n'
    )
    return path


def fill(broker: Broker, count: int) -> None:
    client = broker.client()
    infos = [client.publish(topic(number), payload(number), qos=1) for number in range(count)]
    infos[-1].wait_for_publish(120)
    client.disconnect()
    client.loop_stop()


@dataclass
class Rate:
    """Messages a second, and CPU microseconds a message."""

    a_second: float
    cpu_us: float


class Stopwatch:
    """Started at the first messages, which do not count."""

    def __init__(self, taken: int) -> None:
        self.taken, self.wall, self.cpu = taken, time.perf_counter(), time.process_time()

    def rate(self, taken: int) -> Rate:
        wall, cpu, count = time.perf_counter() - self.wall, time.process_time() - self.cpu, taken - self.taken
        return Rate(count / wall, 1e6 * cpu / count)


def bare_receiver(broker: Broker, count: int) -> Rate:
    """A client that acknowledges and does nothing else; its own session, the same queue."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, RECEIVE_MAXIMUM

    def connect() -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, "bare", protocol=paho.MQTTv5, manual_ack=True)
        client.on_message = take
        client.connect("127.0.0.1", broker.port, clean_start=False, properties=properties)
        return client

    taken, done = 0, threading.Event()
    watch: Stopwatch | None = None

    def take(client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        nonlocal taken, watch
        client.ack(message.mid, 1)
        taken += 1
        watch = watch or Stopwatch(taken)
        if taken == count:
            done.set()

    client = connect()
    client.loop_start()
    client.subscribe("truck/+/telemetry", qos=1)
    time.sleep(0.5)
    client.disconnect()
    client.loop_stop()
    fill(broker, count)
    client = connect()
    client.loop_start()
    assert done.wait(300)
    assert watch
    rate = watch.rate(taken)
    client.disconnect()
    client.loop_stop()
    return rate


def daemon_rate(path: Path, count: int) -> Rate:
    """The daemon in this process."""
    loaded = load_config(path)
    daemon = open_daemon(loaded, open_fleet(loaded), "bench")
    end, watch = time.monotonic() + 300, None
    counts = daemon.engine.intake.counts
    while (taken := counts["rows"] + counts["repeated"]) < count:
        watch = watch or (Stopwatch(taken) if taken else None)
        daemon.turn()
        assert time.monotonic() < end
    daemon.engine.commit()
    assert watch
    assert daemon.engine.store.durable
    rate = watch.rate(taken)
    daemon.stop(0.5)
    return rate


def daemon_session(path: Path) -> None:
    """Make the daemon's session at the broker, so that messages queue for it."""
    loaded = load_config(path)
    daemon = open_daemon(loaded, open_fleet(loaded), "bench")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        daemon.turn()
    daemon.stop(0.5)


def packet(number: int) -> bytes:
    name, body = topic(number).encode(), payload(number)
    rest = struct.pack(">H", len(name)) + name + struct.pack(">HB", number % 60_000 + 1, 0) + body
    length, left = b"", len(rest)
    while True:
        left, low = divmod(left, 128)
        length += bytes([low | (128 if left else 0)])
        if not left:
            return b"\x32" + length + rest


def play_broker(port: int, count: int) -> None:
    """Greets, grants three subscriptions, then sends everything at once."""
    blob = b"".join(packet(number) for number in range(count))
    server = socket.create_server(("127.0.0.1", port))
    peer, _ = server.accept()
    peer.recv(4096)
    peer.sendall(b"\x20\x03\x00\x00\x00")
    time.sleep(0.5)
    subscribe = peer.recv(4096)
    peer.sendall(b"\x90\x06" + subscribe[2:4] + b"\x00\x01\x01\x01")

    def drain() -> None:
        while peer.recv(65_536):
            pass

    threading.Thread(target=drain, daemon=True).start()
    peer.sendall(blob)
    time.sleep(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=30_000, metavar="N", help="of each turn (default 30000)")
    parser.add_argument("--json", action="store_true", help="print JSON in the last line")
    given = parser.parse_args()
    count = given.messages
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.onnx"
        model.write_bytes(quiet_model())
        broker = Broker(folder / "broker")
        broker.start()
        bare = bare_receiver(broker, count)
        path = config(folder, broker.port, model)
        daemon_session(path)
        fill(broker, count)
        daemon = daemon_rate(path, count)
        broker.kill()
        port = free_port()
        player = multiprocessing.Process(target=play_broker, args=(port, count), daemon=True)
        player.start()
        time.sleep(2)
        fake = daemon_rate(config(folder, port, model), count)
        player.kill()
    ratio = daemon.a_second / bare.a_second
    for name, rate in (
        ("paho that only acknowledges", bare),
        ("the daemon", daemon),
        ("the daemon, from a socket", fake),
    ):
        print(f"{name:28} {rate.a_second:8.0f} messages/s, {rate.cpu_us:5.1f} us of CPU each")
    print(f"same Mosquitto: {ratio:.2f} x the bare receiver (must: {MUST_RATIO})")
    print(f"from a socket:  {fake.a_second / MUST_RATE:.2f} x {MUST_RATE:,} messages/s (must: 1)")
    if given.json:
        print(json.dumps({"bare": asdict(bare), "daemon": asdict(daemon), "ratio": ratio, "socket": asdict(fake)}))


if __name__ == "__main__":
    main()

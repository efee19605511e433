"""How fast the whole daemon takes messages in, beside a paho receiver that only acknowledges.

Run: python tests/bench/bench_ingest.py [--json] [--messages N]. 100 vehicles, 12 signals in about 200 B of JSON, QoS 1.
Both empty a queue of N messages at the same Mosquitto; then the daemon reads from a socket that plays broker and never
waits. One run, ratios within it.
"""

import json
import multiprocessing
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), *(str(TESTS.parent / room) for room in ("edge", "export"))]

import numpy as np  # noqa: E402
import paho.mqtt.client as paho  # noqa: E402
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402
from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402

from broker import Broker, free_port, wait_until  # noqa: E402
from small_models import many_signals, model_bytes, small_spec  # noqa: E402
from tickover.config import load_config  # noqa: E402
from tickover.daemon.recovery import open_fleet  # noqa: E402
from tickover.daemon.runner import open_daemon  # noqa: E402

VEHICLES, SIGNALS, START = 100, 12, 1_700_000_000
RECEIVE_MAXIMUM = 2000


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


def bare_receiver(broker: Broker, count: int) -> float:
    """Messages a second of a client that acknowledges and does nothing else; its own session, the same queue."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, RECEIVE_MAXIMUM

    def connect() -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, "bare", protocol=paho.MQTTv5, manual_ack=True)
        client.on_message = take
        client.connect("127.0.0.1", broker.port, clean_start=False, properties=properties)
        return client

    taken, done = 0, threading.Event()

    def take(client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        nonlocal taken
        client.ack(message.mid, 1)
        taken += 1
        if taken == count:
            done.set()

    client = connect()
    client.loop_start()
    client.subscribe("truck/+/telemetry", qos=1)
    time.sleep(0.5)
    client.disconnect()
    client.loop_stop()
    fill(broker, count)
    start = time.perf_counter()
    client = connect()
    client.loop_start()
    done.wait(300)
    seconds = time.perf_counter() - start
    client.disconnect()
    client.loop_stop()
    return count / seconds


def daemon_rate(path: Path, count: int, before: object = None) -> float:
    """Messages a second of the daemon in this process, from connecting to the last commit."""
    loaded = load_config(path)
    daemon = open_daemon(loaded, open_fleet(loaded), "bench")
    start = time.perf_counter()
    first = 0.0
    while daemon.intake.counts["rows"] + daemon.intake.counts["repeated"] < count:
        daemon.turn()
        first = first or (time.perf_counter() if daemon.intake.counts["rows"] else 0.0)
        assert time.perf_counter() - start < 300
    daemon.commit()
    seconds = time.perf_counter() - (first or start)
    daemon.stop(0.5)
    return count / seconds


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
    count = int(sys.argv[sys.argv.index("--messages") + 1]) if "--messages" in sys.argv else 30_000
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.onnx"
        model.write_bytes(quiet_model())
        broker = Broker(folder / "broker")
        broker.start()
        wait_until(lambda: True, 1, "")
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
    results = {"bare_paho": bare, "daemon": daemon, "ratio": daemon / bare, "daemon_from_socket": fake}
    print(f"paho that only acknowledges: {bare:8.0f} messages/s")
    print(f"the daemon, same Mosquitto:  {daemon:8.0f} messages/s, {daemon / bare:.2f} x")
    print(f"the daemon, from a socket:   {fake:8.0f} messages/s")
    if "--json" in sys.argv:
        print(json.dumps(results))


if __name__ == "__main__":
    main()

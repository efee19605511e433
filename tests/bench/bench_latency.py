"""From publish to alert at a paced truck, and what share of a core the daemon takes.

Run: python tests/bench/bench_latency.py [--json] [--seconds N]. A real daemon, a real Mosquitto, durable commits. A
truck publishes at 10 Hz, then at 100 Hz, with the clock's time in its payload; the model ticks at the same rate and
allows one tick of lateness. Each second a signal steps for three ticks, which opens an episode and closes it again.

``whole``: from the publish of the first reading of the alert's tick; it holds the tick and the lateness allowed, which
no daemon can shorten. ``daemon``: from the publish of the reading that closes that tick; broker, decoding, detector,
commit, and the way to the subscriber.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from bisect import bisect_left
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
sys.path[:0] = [str(Path(__file__).resolve().parents[2] / room) for room in ("edge", "export")]

import numpy as np  # noqa: E402
import paho.mqtt.client as paho  # noqa: E402

from broker import Broker, wait_until  # noqa: E402
from daemon_process import Daemon  # noqa: E402
from small_models import model_bytes, random_weights, small_spec  # noqa: E402
from tickover.messages.alerts import decode_alert  # noqa: E402
from tickover_export.charts.ewma import Ewma  # noqa: E402

NORMAL = {"coolant": 27.3, "rpm": 49.2, "speed": 39.0}
STEP, STEP_TICKS, LIMIT = 100.0, 3, 3.0
WARM_UP_S = 4


def model(rate: int) -> bytes:
    """Ticks at the truck's rate; one quick chart a signal."""
    bank = Ewma(name="fast", span_s=2.0 / rate)
    spec = small_spec(banks=(bank,), tick_period_s=1.0 / rate, lateness_s=1.0 / rate, gap_limit_s=10.0)
    return model_bytes(spec, random_weights(spec), np.full(3, LIMIT, np.float32))


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drive(client: paho.Client, rate: int, seconds: int) -> tuple[list[int], list[float]]:
    """Publish on time; event times (microseconds) and the monotonic times of their publishes."""
    period = 1_000_000 // rate
    first = (time.time_ns() // 1000 // period + 2) * period
    offset = time.monotonic() - time.time()
    stamps, sent = [], []
    for number in range(rate * seconds):
        stamp = first + number * period
        time.sleep(max(0.0, stamp / 1e6 + offset - time.monotonic()))
        place = number % rate
        stepped = number > WARM_UP_S * rate and place < STEP_TICKS
        values = NORMAL | {"coolant": NORMAL["coolant"] + (STEP if stepped else 0.0)}
        stamps.append(stamp)
        sent.append(time.monotonic())
        client.publish("truck/t1/telemetry", json.dumps({"t": stamp / 1e6, **values}), qos=1)
    return stamps, sent


def measure(rate: int, seconds: int) -> dict[str, float]:
    """Percentiles in milliseconds."""
    arrived: list[tuple[float, bytes]] = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.onnx"
        path.write_bytes(model(rate))
        episodes = {"close_after_s": 3.0 / rate, "hold_off_s": 0.0}
        with Broker(Path(name) / "broker") as broker:
            listener, truck = broker.client(), broker.client()
            listener.on_message = lambda _, __, m: arrived.append((time.monotonic(), bytes(m.payload)))
            listener.subscribe("tickover/v1/t1/alert/anomaly", qos=1)
            daemon = Daemon(Path(name) / "daemon", broker.port, path, episodes=episodes)
            with daemon:
                assert daemon.process
                before, start = cpu_s(daemon.process.pid), time.monotonic()
                stamps, sent = drive(truck, rate, seconds)
                cpu = (cpu_s(daemon.process.pid) - before) / (time.monotonic() - start)
                wait_until(lambda: len(arrived) > 2, 10, "alerts")
                time.sleep(0.5)
                daemon.stop()
            for client in (listener, truck):
                client.disconnect()
                client.loop_stop()
    whole, own = [], []
    period = 1_000_000 // rate
    for at, body in arrived:
        tick = decode_alert(body).time
        opened, closed = bisect_left(stamps, tick), bisect_left(stamps, tick + 2 * period)
        if closed < len(sent):
            whole.append(1000 * (at - sent[opened]))
            own.append(1000 * (at - sent[closed]))
    p50, p99 = np.percentile(own, [50, 99])
    whole_p50, whole_p99 = np.percentile(whole, [50, 99])
    return {
        "alerts": len(own),
        "daemon_p50_ms": p50,
        "daemon_p99_ms": p99,
        "whole_p50_ms": whole_p50,
        "whole_p99_ms": whole_p99,
        "cpu_share": cpu,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="of each rate (default 60)")
    parser.add_argument("--json", action="store_true", help="print JSON in the last line")
    given = parser.parse_args()
    seconds = given.seconds
    results = {}
    for rate in (10, 100):
        results[f"{rate} Hz"] = figures = measure(rate, seconds)
        print(
            f"{rate:3} Hz: {figures['alerts']} alerts; whole p50 {figures['whole_p50_ms']:.1f} ms, "
            f"p99 {figures['whole_p99_ms']:.1f} ms; daemon p50 {figures['daemon_p50_ms']:.1f} ms, "
            f"p99 {figures['daemon_p99_ms']:.1f} ms; {100 * figures['cpu_share']:.1f} % of a core"
        )
    if given.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()

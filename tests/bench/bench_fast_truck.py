"""CPU of a whole daemon whose one truck sends 100 rows a second to a model with ticks of a second.

Run: python tests/bench/bench_fast_truck.py [OTHER_CHECKOUT] [--seconds N] [--json]. A real Mosquitto, durable commits,
CPU of both threads from /proc. With another checkout its daemon takes turns with ours, each with its own code and
model, and the ratio is ours by theirs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

OURS = Path(__file__).resolve().parents[2]
RATE, SETTLE_S = 100, 5
TURNS = 2


def measured(checkout: Path, seconds: int) -> float:
    """Share of a core, of a daemon with a checkout's code."""
    rooms = os.pathsep.join(str(checkout / room) for room in ("edge", "export", "tests", "tests/bench"))
    # -P: this script's folder, which is ours, does not come before the checkout's.
    command = [sys.executable, "-P", __file__, "--seconds", str(seconds), "--here"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": rooms}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"expected a share of a core from {checkout}, got:\n{done.stderr[-2000:]}")
    return float(done.stdout)


def here(seconds: int) -> float:
    """The same with the code that is first on the path."""
    from bench_ingest import RECEIVE_MAXIMUM, SIGNALS, quiet_model
    from bench_latency import cpu_s

    from broker import Broker
    from daemon_process import Daemon

    def drive(broker: Broker, ended: threading.Event) -> None:
        client, begin, number = broker.client(), time.time(), 0
        while not ended.wait(max(0.0, begin + number / RATE - time.time())):
            values = {f"s{place}": round(50 + place + number % 7 * 0.25, 2) for place in range(SIGNALS)}
            client.publish("truck/t1/telemetry", json.dumps({"t": round(begin + number / RATE, 3), **values}), qos=1)
            number += 1
        client.disconnect()
        client.loop_stop()

    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model.onnx"
        model.write_bytes(quiet_model())
        with Broker(Path(name) / "broker") as broker:
            daemon = Daemon(Path(name) / "daemon", broker.port, model, broker={"receive_maximum": RECEIVE_MAXIMUM})
            with daemon:
                assert daemon.process
                ended = threading.Event()
                driver = threading.Thread(target=drive, args=(broker, ended))
                driver.start()
                time.sleep(SETTLE_S)
                before, start = cpu_s(daemon.process.pid), time.monotonic()
                time.sleep(seconds)
                share = (cpu_s(daemon.process.pid) - before) / (time.monotonic() - start)
                ended.set()
                driver.join()
                daemon.stop()
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        print(here(given.seconds))
        return
    checkouts = {"ours": OURS} | ({"theirs": given.other.resolve()} if given.other else {})
    shares: dict[str, list[float]] = {name: [] for name in checkouts}
    for _ in range(TURNS):
        for name, checkout in checkouts.items():
            shares[name].append(measured(checkout, given.seconds))
    found = {name: sum(each) / len(each) for name, each in shares.items()}
    for name, share in found.items():
        print(f"{name}: {100 * share:.2f} % of a core, {share / RATE * 1e6:.0f} us a message")
    if given.other:
        found["ratio"] = found["ours"] / found["theirs"]
        print(f"ratio {found['ratio']:.2f} (must: 0.25)")
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()

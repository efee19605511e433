"""Hostile model files. 10,000 mutants, half of them sealed again: none may crash, hang or grow the process that opens
them. And at SIGHUP, each file that is small to make and dear to read: how long the loop stops, how large the daemon is.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from faults_common import TESTS, quick_folder

from hostile_files import HOSTILE, MEASURED
from tickover.model.session import MAX_BYTES

MODELS = sorted((TESTS / "models").glob("*.onnx"))
MUTANTS = 10_000
BATCH = 1_000
LIMIT_S = 300
SIZES = (24_000_000, MAX_BYTES - 200_000)
PING_S = 0.02
STOPS_S, GROWS_MB = 1.0, 120
"""What must hold at SIGHUP."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    options = parser.parse_args()
    figures = mutants(options.mutants) | reloads()
    print(json.dumps(figures) if options.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))
    good = not figures["crashes"] and not figures["hangs"] and figures["reload_not_refused"] == []
    sys.exit(not good or figures["loop_stops_s"] > STOPS_S or figures["daemon_mb"] > GROWS_MB)


def mutants(count: int) -> dict:
    """Open mutants in processes of a thousand each."""
    path = os.pathsep.join((str(TESTS.parent / "edge"), str(TESTS)))
    figures = {"opened": 0, "loaded": 0, "crashes": 0, "hangs": 0, "slowest_s": 0.0, "peak_mb": 0}
    refused = Counter()
    for number, first in enumerate(range(0, count, BATCH)):
        model = MODELS[number % len(MODELS)]
        command = [sys.executable, TESTS / "hostile_models.py", model, str(first), str(BATCH)]
        try:
            done = subprocess.run(
                command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            figures["hangs"] += 1
            print(f"hang of {model.name} at seed {(error.stderr or b'').split()[-1:]}", file=sys.stderr)
            continue
        if done.returncode:
            figures["crashes"] += 1
            print(f"crash of {model.name}: {done.stderr[-2000:].decode()}", file=sys.stderr)
            continue
        summary = json.loads(done.stdout)
        refused.update(summary["refused"])
        figures["opened"] += BATCH
        figures["loaded"] += summary["loaded"]
        for name in ("slowest_s", "peak_mb"):
            figures[name] = max(figures[name], summary[name])
    return figures | {"refused": dict(refused.most_common())}


class Manager:
    """The service manager that a daemon pings; it always listens, as a full socket would stop the daemon."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.pings: list[float] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            if message == b"WATCHDOG=1":
                self.pings.append(time.monotonic())

    def longest(self) -> float:
        """The longest time between two pings so far, and forget them."""
        longest = max((after - before for before, after in pairwise(self.pings)), default=0.0)
        del self.pings[:-1]
        return longest


@contextmanager
def running(folder: Path, config: Path) -> Iterator[tuple[subprocess.Popen, Manager, Path]]:
    """A daemon whose broker is not there, its manager, its log."""
    manager, log = Manager(folder / "notify"), folder / "log"
    env = os.environ | {"PYTHONPATH": str(TESTS.parent / "edge"), "OMP_NUM_THREADS": "1"}
    env |= {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(round(3 * PING_S * 1e6))}
    command = [sys.executable, "-m", "tickover", "run", "--config", str(config)]
    with log.open("wb") as file, subprocess.Popen(command, env=env, stderr=file, stdout=file) as process:
        try:
            wait(lambda: len(manager.pings) > 50 or process.poll() is not None)
            yield process, manager, log
        finally:
            process.kill()


def wait(until: Callable[[], bool]) -> None:
    """Look often."""
    while not until():
        time.sleep(PING_S)


def reloads() -> dict:
    """SIGHUP with each file in two sizes, and with a good one between."""
    slowest, not_refused = {}, []
    with quick_folder() as folder:
        config, model = folder / "tickover.toml", folder / "model.onnx"
        good = MODELS[0].read_bytes()
        model.write_bytes(good)
        config.write_text(
            f'[broker]\nclient_id = "one"\nport = 1\n[state]\nfolder = "{folder / "state"}"\n'
            f'[[models]]\npath = "{model}"\n[[inputs]]\ntopic = "truck/one"\nvehicle = "one"\n'
        )
        with running(folder, config) as (process, manager, log):
            idle = manager.longest()
            for size in SIZES:
                for name, hostile in (HOSTILE | MEASURED).items():
                    model.write_bytes(hostile.make(good, size))
                    before = log.read_text().count("reload refused")
                    manager.longest()
                    process.send_signal(signal.SIGHUP)
                    wait(
                        lambda before=before: (
                            log.read_text().count("reload refused") > before
                            or process.poll() is not None
                            or log.read_text().count("started") > 1
                        )
                    )
                    if hostile.refused not in log.read_text().splitlines()[-1]:
                        not_refused.append(name)
                    slowest[f"{name}, {size // 1_000_000} MB"] = manager.longest()
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = next(line for line in status if "VmHWM" in line)
    worst = max(slowest, key=lambda name: slowest[name])
    return {
        "reloads": len(slowest),
        "reload_not_refused": not_refused,
        "loop_stops_s": round(slowest[worst], 3),
        "loop_stops_with": worst,
        "loop_idle_s": round(idle, 3),
        "daemon_mb": int(peak.split()[1]) // 1024,
    }


if __name__ == "__main__":
    main()

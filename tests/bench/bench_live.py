"""The daemon as a process: start, memory, 1,000 vehicles live.

Run: python tests/bench/bench_live.py [--json] [--readings N] [--seconds N] [--memory] [--vehicles N [--hz N --split]].

- start to first alert: the broker holds a queue for the daemon's session; from the process's start until the first
  alert of it has reached a subscriber, so the first tick was before.
- memory: resident after the start without a reading, and while N readings (12 a message, 100 vehicles) come from a
  socket that plays broker and keeps to the receive maximum. Growth is counted from reading 100,000 on: each of the 100
  vehicles has then driven for 83 s, and has its state and its freeze-frame. ``--memory`` measures this alone.
- 1,000 vehicles, a message a second each, 12 signals, through Mosquitto: CPU share of one core, how far the last
  tick is behind the clock (the model allows 1 s of lateness and a tick lasts 1 s), bytes of state on disk, memory.
  ``--vehicles N`` measures this alone, with so many, ``--hz`` times a second, each signal in a message of its own with
  ``--split``; the daemon has one core, broker and fleet have the others.
"""

import json
import multiprocessing
import os
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
sys.path[:0] = [str(Path(__file__).resolve().parents[2] / room) for room in ("edge", "export")]

import fleet_traffic  # noqa: E402
from bench_ingest import RECEIVE_MAXIMUM, SIGNALS, packet, quiet_model  # noqa: E402
from bench_latency import cpu_s  # noqa: E402

from broker import Broker, wait_until  # noqa: E402
from daemon_process import Daemon, Truck, Watcher, drive  # noqa: E402

FLEET = 1000
WARM_S = 5
MOST_UNACKNOWLEDGED = 65_535
LAG_S, CATCH_UP_S = 5, 120
"""A fleet that starts as one has first rows, which cost most: how far behind it may be, and for how long."""
DRIVING = 100_000
"""Readings from which on growth is counted."""
MARKS = (DRIVING, 500_000, *(million * 1_000_000 for million in (1, 2, 4, 6, 8)))
"""Readings at which memory is looked at, besides the last."""
CHUNK = 200
PUBACK_BYTES = 4


def resident_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def start_to_first_alert(folder: Path) -> float:
    """Seconds."""
    with Broker(folder / "broker") as broker, Watcher(broker) as watcher, Truck(broker) as truck:
        daemon = Daemon(folder / "daemon", broker.port)
        with daemon:
            daemon.stop()
        truck.send(drive(60))
        start = time.monotonic()
        daemon.start(ready=False)
        while not watcher.alerts():
            time.sleep(0.005)
            assert time.monotonic() < start + 20
        seconds = time.monotonic() - start
        daemon.stop()
    return seconds


def greet(server: socket.socket) -> socket.socket:
    """The fake broker's side of connecting and subscribing."""
    peer, _ = server.accept()
    peer.recv(4096)
    peer.sendall(b"\x20\x03\x00\x00\x00")
    subscribe = peer.recv(4096)
    peer.sendall(b"\x90\x06" + subscribe[2:4] + b"\x00\x01\x01\x01")
    return peer


def growth(folder: Path, model: Path, readings: int) -> dict[str, float]:
    """Resident MiB by readings taken: none (after the start), at each mark, and ``DRIVING + readings``."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    daemon = Daemon(folder / "memory", port, model, broker={"receive_maximum": RECEIVE_MAXIMUM}).start(ready=False)
    assert daemon.process
    peer, pid = greet(server), daemon.process.pid
    time.sleep(2)
    curve, acknowledged = {"0": resident_mib(pid)}, 0

    def count() -> None:
        nonlocal acknowledged
        with suppress(ConnectionError):  # the daemon is killed at the end
            while got := peer.recv(65_536):
                acknowledged += len(got) // PUBACK_BYTES

    threading.Thread(target=count, daemon=True).start()
    last = DRIVING + readings
    marks = [*(mark for mark in MARKS if mark < last), last]
    for first in range(0, last // SIGNALS + CHUNK, CHUNK):
        while first + CHUNK - acknowledged > RECEIVE_MAXIMUM:
            time.sleep(0.001)
            assert not daemon.over(), daemon.text()
        if acknowledged * SIGNALS >= marks[0]:
            curve[str(marks.pop(0))] = resident_mib(pid)
        peer.sendall(b"".join(packet(number) for number in range(first, first + CHUNK)))
    wait_until(lambda: acknowledged * SIGNALS >= last, 60, "all acknowledged")
    curve[str(last)] = resident_mib(pid)
    daemon.kill()
    return curve


def tell_memory(folder: Path, model: Path, readings: int) -> dict[str, float]:
    """Measure and print."""
    curve = growth(folder, model, readings)
    print(f"resident after start: {curve['0']:.1f} MiB (must: 90 MB = 85.8 MiB); with readings:")
    base = curve[str(DRIVING)]
    for taken, mib in curve.items():
        print(f"  {int(taken):>12,} readings {mib:6.2f} MiB ({mib - base:+.2f})")
    grew = curve[str(DRIVING + readings)] - base
    print(f"grew by {grew:.2f} MiB over {readings:,} readings (must: 1 MiB)")
    return curve


def unsaved(broker: Broker) -> Broker:
    """The broker keeps its queue in memory: to save it each second, as in other tests, takes more than to fill it."""
    broker.config.write_text(broker.config.read_text().replace("persistence true", "persistence false"))
    return broker


def apart(pid: int, broker: int) -> None:
    """Give the daemon one core and the broker the others, as far as there are others."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {cores[0]})
    os.sched_setaffinity(broker, set(cores[1:]) or set(cores))


def fleet(
    folder: Path, model: Path, seconds: int, vehicles: int = FLEET, hz: float = 1.0, split: bool = False
) -> dict[str, float]:
    """Shares and lags while the fleet drives."""
    # Half of it is a commit, and a commit waits for the disk: two seconds of messages may wait with it.
    messages = vehicles * hz * (SIGNALS if split else 1)
    window = min(max(RECEIVE_MAXIMUM, round(2 * messages)), MOST_UNACKNOWLEDGED)
    tables = {"broker": {"receive_maximum": window}, "vehicles": {"max": max(FLEET, vehicles)}}
    with unsaved(Broker(folder / "broker2")) as broker, Watcher(broker) as watcher:
        daemon = Daemon(folder / "fleet", broker.port, model, **tables)
        with daemon:
            assert daemon.process
            assert broker.process
            pid = daemon.process.pid
            apart(pid, broker.process.pid)
            idle = resident_mib(pid)
            parts = (broker.port, vehicles, SIGNALS, seconds + CATCH_UP_S, hz, split)
            player = multiprocessing.Process(target=fleet_traffic.publish, args=parts, daemon=True)
            player.start()
            caught_up = catch_up(watcher, vehicles)
            cpu, start, rows = cpu_s(pid), time.monotonic(), status(watcher)["rows"]
            lags = []
            while time.monotonic() < start + seconds:
                time.sleep(1)
                lags.append(status(watcher)["lag_s"])
            wall = time.monotonic() - start
            share = (cpu_s(pid) - cpu) / wall
            rate = (status(watcher)["rows"] - rows) / wall
            memory = resident_mib(pid)
            player.terminate()
            daemon.process.terminate()
            daemon.process.wait(60)
        with sqlite3.connect(daemon.state / "tickover.sqlite") as db:
            (size,) = db.execute("SELECT avg(length(body)) FROM state").fetchone()
    return {
        "vehicles": vehicles,
        "cpu_share": share,
        "rows_a_second": rate,
        "worst_lag_s": max(lags),
        "state_bytes": size,
        "caught_up_s": caught_up,
        "idle_mib": idle,
        "mib": memory,
    }


def catch_up(watcher: Watcher, vehicles: int) -> float:
    """Wait until all vehicles are known and the newest tick is close to the clock; seconds."""
    start = time.monotonic()
    time.sleep(WARM_S)
    while time.monotonic() < start + CATCH_UP_S:
        with suppress(AssertionError):  # an answer waits behind the backlog
            now = status(watcher)
            if now["vehicles"] == vehicles and now["lag_s"] <= LAG_S:
                break
        time.sleep(1)
    return time.monotonic() - start


def tell_fleet(live: dict[str, float]) -> None:
    """For people."""
    each = 1024 * (live["mib"] - live["idle_mib"]) / live["vehicles"]
    print(
        f"{live['vehicles']:,} vehicles, caught up with after {live['caught_up_s']:.0f} s: "
        f"{live['rows_a_second']:.0f} rows/s, {100 * live['cpu_share']:.0f} % of a core, last tick at most "
        f"{live['worst_lag_s']:.1f} s behind the clock, {live['state_bytes']:.0f} B of state a vehicle, "
        f"{live['mib']:.0f} MiB ({live['idle_mib']:.0f} before, {each:.1f} KiB a vehicle)"
    )


def status(watcher: Watcher) -> dict:
    return watcher.answer("status")["result"]


def option(name: str, default: Any) -> Any:
    return type(default)(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.onnx"
        model.write_bytes(quiet_model())
        readings = option("--readings", 10_000_000)
        if "--memory" in sys.argv:
            tell_memory(folder, model, readings)
            return
        if "--vehicles" in sys.argv:
            shape = option("--hz", 1.0), "--split" in sys.argv
            live = fleet(folder, model, option("--seconds", 60), option("--vehicles", FLEET), *shape)
            tell_fleet(live)
            if "--json" in sys.argv:
                print(json.dumps(live))
            return
        starts = sorted(start_to_first_alert(folder / str(turn)) for turn in range(3))
        print(f"start to first alert: {', '.join(f'{s:.2f}' for s in starts)} s (must: 1.5 to the first tick)")
        memory = tell_memory(folder, model, readings)
        live = fleet(folder, model, option("--seconds", 60))
        tell_fleet(live)
    if "--json" in sys.argv:
        print(json.dumps({"start_s": starts, "memory": memory, "fleet": live}))


if __name__ == "__main__":
    main()

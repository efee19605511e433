"""What a full bus of 500 kbit/s costs live: 4,000 frames/s with twenty signals over a socket pair, without the models.

``python -m pytest tests/bench/bench_can_live.py -m bench -s``; ``CAN_SECONDS`` sets how long.
"""

import multiprocessing
import os
import resource
import socket
import time

import pytest

import can_traffic
from tickover.daemon.bus import LiveBus
from tickover.daemon.config import Vehicles
from tickover.daemon.health import resident_mb
from tickover.daemon.intake import Intake
from tickover.transports.can.base import EXTENDED
from tickover.transports.can.listener import Listener
from tickover.transports.can.settings import Bus
from tickover.transports.can.socketcan import CLASSIC, SocketPort

RATE = 4_000
SECONDS = int(os.environ.get("CAN_SECONDS", "20"))
HOUR_S = int(os.environ.get("CAN_HOUR_S", "3600"))
"""Seconds of traffic that are pushed through faster than real time."""
MAX_SHARE = 0.25
"""Of a core."""


def send(handle: socket.socket, number: int) -> None:
    """Frames at the rate of a full bus, in bursts of 10 ms."""
    begun, burst = time.monotonic(), RATE // 100
    for k, (_, key, data) in enumerate(can_traffic.frames(number)):
        if k % burst == 0:
            time.sleep(max(0.0, begun + k / RATE - time.monotonic()))
        handle.send(CLASSIC.pack(EXTENDED | key, len(data), data))


@pytest.mark.bench
def test_a_full_bus_costs_a_quarter_of_a_core_at_most_and_loses_nothing() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    intake = Intake((), can_traffic.SIGNALS, Vehicles(), lambda vehicle: False)
    listener = Listener("pair", lambda: SocketPort(ours))
    bus = LiveBus(Bus(channel="pair", vehicle="t1"), can_traffic.SIGNALS, intake, listener)
    sender = multiprocessing.get_context("fork").Process(target=send, args=(theirs, RATE * SECONDS), daemon=True)
    sender.start()
    theirs.close()
    bus.start()
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    peaks = []
    while time.monotonic() < begun + SECONDS + 1:
        bus.turn(time.time_ns() // 1000, synced=False)
        intake.drain()
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        time.sleep(0.05)
    after = resource.getrusage(resource.RUSAGE_SELF)
    bus.stop()
    share = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / (time.monotonic() - begun)
    growth = (peaks[-1] - peaks[len(peaks) // 2]) / 1024
    print(
        f"\n{listener.counts['frames']:,} frames, {share:.1%} of a core, "
        f"memory grew by {growth:.1f} MB in the second half"
    )
    assert listener.counts["frames"] == RATE * SECONDS
    assert listener.dropped == 0
    assert share <= MAX_SHARE
    assert growth < 2


def push(handle: socket.socket, number: int) -> None:
    """Frames as fast as they are taken; the socket pair blocks while the receiver is behind."""
    cycle = [CLASSIC.pack(EXTENDED | key, len(data), data) for _, key, data in can_traffic.frames(RATE)]
    send_one = handle.send
    for _ in range(number // len(cycle)):
        for frame in cycle:
            send_one(frame)


@pytest.mark.bench
@pytest.mark.timeout(HOUR_S + 60)
def test_an_hours_worth_of_a_full_bus_leaves_memory_as_it_was() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    intake = Intake((), can_traffic.SIGNALS, Vehicles(), lambda vehicle: False)
    listener = Listener("pair", lambda: SocketPort(ours))
    bus = LiveBus(Bus(channel="pair", vehicle="t1"), can_traffic.SIGNALS, intake, listener)
    number = RATE * HOUR_S
    sender = multiprocessing.get_context("fork").Process(target=push, args=(theirs, number), daemon=True)
    sender.start()
    theirs.close()
    bus.start()
    sizes, begun = [], time.monotonic()
    while (taken := listener.counts["frames"]) < number and time.monotonic() < begun + HOUR_S:
        bus.turn(time.time_ns() // 1000, synced=False)
        intake.drain()
        sizes.append((taken, resident_mb()))
        time.sleep(0.02)
    seconds = time.monotonic() - begun
    bus.stop()
    # How many frames wait for the decoder varies with what else the machine does, and their memory stays: the second
    # quarter has seen as much of that as the last.
    early = max(size for taken, size in sizes if number // 4 < taken <= number // 2)
    late = max(size for taken, size in sizes if taken > number * 3 // 4)
    print(
        f"\n{listener.counts['frames']:,} frames in {seconds:.0f} s ({number / seconds / RATE:.1f} times real time), "
        f"lost {listener.dropped}; memory {early:.1f} MB in the second quarter, {late:.1f} MB in the last"
    )
    assert listener.counts["frames"] == number
    assert listener.dropped == 0
    assert late - early < 10


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-m", "bench", "-s", "-q", "-p", "no:cacheprovider"]))

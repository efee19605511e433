"""How fast recordings of a bus become ticks, against python-can's bare reader, and how much memory they take.

``python -m pytest tests/bench/bench_can.py -m bench -s`` prints the tables of docs/can.md. ``CAN_FRAMES`` and
``CAN_MB`` set the sizes; ``CAN_MB=250`` writes 5 GB, one file at a time, into the folder of ``--basetemp``.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import can_streams
import can_traffic
from tickover.core.resample import Ticks
from tickover.core.values import SECOND
from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import read_log

FRAMES = int(os.environ.get("CAN_FRAMES", "200000"))
LEAST = {"a.log": 1.5, "screen.log": 1.5, "a.asc": 1.5, "a.trc": 1.5, "a.blf": 0.7, "a.mf4": 10.0}
"""How many times as fast as python-can's reader each must be, over the whole way to ticks."""
READABLE_BY_PYTHON_CAN = {"screen.log": "a.log"}
"""python-can does not read candump's screen form: that is compared with the log form."""
MEGABYTES = int(os.environ.get("CAN_MB", "10"))
"""The size of the smaller recordings whose memory is compared with that of twenty times as large ones."""
MEMORY_MARGIN_KB = 10 * 1024
MAX_PEAK_KB = 200 * 1024

MAPPING = Mapping(
    signals={
        name: SignalColumn(aggregation="mean" if place < 7 else "last", hold_s=3.0)
        for place, name in enumerate(can_traffic.SIGNALS)
    }
)
PEAK = """
import sys
sys.path[:0] = sys.argv[2:]
import bench_can
print(bench_can.ticks_of(__import__("pathlib").Path(sys.argv[1])), bench_can.peak_kb())
"""
BARE = """
import sys, time, can
begun = time.process_time()
number = sum(1 for _ in can.LogReader(sys.argv[1]))
print(number, time.process_time() - begun)
"""


def ticks_of(path: Path) -> int:
    """Frames to ticks of a second with twenty signals; how many ticks."""
    ticks = Ticks("v", MAPPING.manifest_signals(), SECOND, 30 * SECOND, 2 * SECOND)
    blocks = [len(ticks.add(b).time) for b in read_log(path, MAPPING, vehicle="v", counts=Counter(), on_bad=print)]
    return sum(blocks) + len(ticks.flush().time)


def seconds_of_python_can(path: Path) -> float:
    """CPU seconds of its bare reader, in a process of its own: a DBC read here hides asammdf from it."""
    done = subprocess.run([sys.executable, "-c", BARE, str(path)], check=True, capture_output=True, text=True)
    number, seconds = done.stdout.split()
    assert int(number) == FRAMES
    return float(seconds)


@pytest.mark.bench
@pytest.mark.parametrize("name", LEAST)
def test_recordings_become_ticks_faster_than_python_can_reads_them(name: str, tmp_path: Path) -> None:
    pytest.importorskip("can")
    path = can_traffic.write(tmp_path / name, FRAMES)
    theirs_path = can_traffic.write(tmp_path / READABLE_BY_PYTHON_CAN.get(name, name), FRAMES)
    ticks_of(can_traffic.write(tmp_path / f"small{path.suffix}", 1_000))  # imports, and python-can's are not counted
    begun = time.process_time()
    ticks = ticks_of(path)
    ours = time.process_time() - begun
    theirs = seconds_of_python_can(theirs_path)
    assert ticks == pytest.approx(FRAMES * can_traffic.STEP_S, abs=1)
    print(f"\n| {name} | {FRAMES / ours:,.0f} | {FRAMES / theirs:,.0f} | {theirs / ours:.1f} |")
    assert theirs / ours >= LEAST[name]


@pytest.mark.bench
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("kind", can_streams.KINDS)
def test_memory_is_the_same_for_twenty_times_the_size(kind: str, tmp_path: Path) -> None:
    path = tmp_path / can_streams.name_of(kind)
    peaks = []
    for size in (MEGABYTES, 20 * MEGABYTES):
        frames = can_streams.write(path, kind, size << 20)
        peaks.append(peak_of(path, frames))
        print(
            f"\n{kind}: {path.stat().st_size >> 20} MB, {frames:,} frames: peak {peaks[-1] / 1024:.0f} MB", flush=True
        )
        path.unlink()
    assert abs(peaks[1] - peaks[0]) < MEMORY_MARGIN_KB
    assert max(peaks) < MAX_PEAK_KB


def peak_of(path: Path, frames: int) -> int:
    """The peak memory of a process that makes ticks of a recording, kB."""
    folders = [str(Path(__file__).parent), str(Path(can_traffic.__file__).parent)]
    done = subprocess.run([sys.executable, "-c", PEAK, str(path), *folders], check=True, capture_output=True, text=True)
    ticks, peak = map(int, done.stdout.split())
    assert ticks == pytest.approx(frames * can_traffic.STEP_S, abs=2)
    return peak


def peak_kb() -> int:
    """The peak of this process's own memory: what ``getrusage`` says includes that of its parent before it began."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-m", "bench", "-s", "-q", "-p", "no:cacheprovider"]))

"""Opens mutants one after the other; run as a process of its own, so that a crash, a hang or greed is the process's.

``python hostile_models.py MODEL FIRST COUNT`` prints a JSON summary: how many were refused, by first word of
the message, how many loaded, the slowest in seconds. Memory is limited to what is used at the start plus ``HEADROOM``.
"""

import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from mutants import mutate
from tickover.errors import ModelError
from tickover.model.detector import Detector
from tickover.model.session import open_bytes

HEADROOM = 1024 * 1024 * 1024
TICKS = 700


def main(path: str, first: int, count: int) -> None:
    data = Path(path).read_bytes()
    x = np.random.default_rng(0).normal(40.0, 30.0, (TICKS, len(open_bytes(data).manifest.signals))).astype(np.float32)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + HEADROOM,) * 2)
    refused: Counter[str] = Counter()
    loaded, slowest = 0, 0.0
    for seed in range(first, first + count):
        mutant = mutate(data, seed)
        print(seed, file=sys.stderr, flush=True)
        begin = time.perf_counter()
        try:
            _use(mutant, x)
            loaded += 1
        except ModelError as error:
            refused[str(error).split(":")[0].split(" ")[0]] += 1
        slowest = max(slowest, time.perf_counter() - begin)
    print(json.dumps({"loaded": loaded, "refused": dict(refused), "slowest_s": slowest, "peak_mb": _peak_mb()}))


def _peak_mb() -> int:
    """The most memory this process has held; ``getrusage`` would count what its parent held when it forked."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024


def _use(mutant: bytes, x: np.ndarray) -> None:
    """Whatever loads must also run, as ticks, chunks and batches."""
    detector = Detector(open_bytes(mutant))
    x = np.resize(x, (TICKS, len(detector.manifest.signals)))
    detector.run(x)
    detector.step(x[0])
    detector.run_batch(np.tile(detector.new_state(), (33, 1)), x[:5, None].repeat(33, 1))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

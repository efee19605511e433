"""CPU a tick against the physical limit: the graph, and the same arithmetic as one plain C loop, in one run.

Run: python tests/bench/bench_floor.py [--json]. Needs a C compiler (``cc``), which builds ``floor.c`` for this machine.
Both take turns, 1,000 trucks at once and one alone; of each the median of the rounds. The C loop is no reference for
values: its weights are random, and its compiler may reorder sums.
"""

import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_fleet import SIGNALS, Graph, quiet_detector

SOURCE = Path(__file__).with_name("floor.c")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-lm")
CHARTS = 4 * SIGNALS
ROUNDS = {1000: 60, 1: 4000}
TIMES = {1000: 1, 1: 100}
"""How often the C loop runs in one call, so that the call itself, 2 us, counts little."""


class Floor:
    """The C loop over some trucks."""

    def __init__(self, library: ctypes.CDLL, trucks: int) -> None:
        random = np.random.default_rng(0)
        self._library, self._trucks = library, trucks
        self._weights = random.normal(0.0, 0.1, library.weights_size()).astype(np.float32)
        shapes = (library.state_size(), CHARTS, SIGNALS, 1)
        self._arrays = [np.zeros((trucks, size), np.float32) for size in shapes]
        self._places = [self._place(array) for array in (self._weights, *self._arrays)]

    @staticmethod
    def _place(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def run(self, x: np.ndarray) -> None:
        weights, *arrays = self._places
        self._library.ticks(weights, self._place(x), *arrays, self._trucks, TIMES[self._trucks])


def built(folder: Path) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("expected a C compiler (cc) to measure the limit with, got none")
    library = folder / "floor.so"
    subprocess.run([compiler, str(SOURCE), "-o", str(library), *FLAGS], check=True)
    return ctypes.CDLL(str(library))


def measure(library: ctypes.CDLL, trucks: int) -> dict[str, float]:
    """Microseconds of CPU a tick."""
    detector, random = quiet_detector(), np.random.default_rng(0)
    graph, floor = Graph(detector, trucks), Floor(library, trucks)
    spent: dict[str, list[float]] = {"graph_us": [], "floor_us": []}
    for number in range(ROUNDS[trucks] + 10):
        x = np.round(50 + random.normal(0, 5, (trucks, SIGNALS)), 2).astype(np.float32)
        for name, one in (("graph_us", graph), ("floor_us", floor)):
            begin = time.thread_time()
            one.run(x)
            times = TIMES[trucks] if one is floor else 1
            if number >= 10:
                spent[name].append((time.thread_time() - begin) / trucks / times * 1e6)
    return {name: float(np.median(times)) for name, times in spent.items()}


def main() -> None:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        library = built(Path(folder))
        for trucks in ROUNDS:
            found[str(trucks)] = one = measure(library, trucks)
            graph, floor = one["graph_us"], one["floor_us"]
            print(f"{trucks:5} trucks: graph {graph:6.2f} us a tick, plain C {floor:5.2f}: {graph / floor:.1f} x")
    if "--json" in sys.argv:
        print(json.dumps(found))


if __name__ == "__main__":
    main()

"""`Detector.step` and `Detector.run` against bare `session.run` of the same graph, interleaved in one run.

GRU autoencoder, hidden 32, 16 signals, three EWMA scales and a CUSUM. ``--json`` prints the figures for machines.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from small_models import many_signals, model_bytes, random_weights, small_spec, ticks_of
from tickover.model.binding import CHUNK
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.charts.cusum import Cusum
from tickover_export.charts.ewma import Ewma

BANKS = (
    Ewma(name="fast", span_s=5.0),
    Ewma(name="middle", span_s=30.0),
    Ewma(name="slow", span_s=120.0),
    Cusum(name="sum", allowance=0.5, saturation=40.0),
)
ROUNDS = 40
STEPS = 2_000
PACE_S = 0.1
PACED_STEPS = 150
RUN_TICKS = 10 * CHUNK
RUN_ROUNDS = 200


def bench_detector():
    spec = small_spec(signals=many_signals(16), hidden=32, banks=BANKS)
    weights = random_weights(spec)
    return Detector(open_bytes(model_bytes(spec, weights))), ticks_of(spec, weights, RUN_TICKS)[0]


class Bare:
    """`session.run` with a feed dictionary, the plainest correct loop."""

    def __init__(self, detector):
        self.session = detector.model.session
        self.names = [state.name for state in detector.manifest.states]
        self.states = {state.name: np.zeros((1, 1, state.size), np.float32) for state in detector.manifest.states}

    def run(self, x):
        _, _, _, *states = self.session.run(None, {"x": x, **self.states})
        self.states = dict(zip(self.names, states, strict=True))


def timed(call, items, pace=0.0):
    """Seconds of each call."""
    clock, taken = time.perf_counter, []
    for item in items:
        if pace:
            time.sleep(pace)
        begin = clock()
        call(item)
        taken.append(clock() - begin)
    return taken


def percentiles(seconds):
    least, p50, p99 = np.percentile(np.array(seconds) * 1e6, (1, 50, 99))
    return {"p1_us": round(float(least), 2), "p50_us": round(float(p50), 2), "p99_us": round(float(p99), 2)}


def steps(detector, x, rounds, count, pace=0.0):
    """Both ways, round by round in turn."""
    bare = Bare(detector)
    rows, tensors = list(x[:count]), list(x[:count, None, None])
    ours, floor, ratios = [], [], []
    for turn in range(rounds):
        pairs = [(detector.step, rows, ours), (bare.run, tensors, floor)]
        spent = []
        for call, items, into in pairs if turn % 2 else pairs[::-1]:
            taken = timed(call, items, pace)
            into += taken
            spent.append((into is ours, float(np.median(taken))))
        both = dict(spent)
        ratios.append(both[True] / both[False])
    return {"step": percentiles(ours), "bare": percentiles(floor), "ratio": round(float(np.median(ratios)), 3)}


def runs(detector, x):
    """Ticks per second of `run` and of bare chunks, and their ratio (1.0 = no cost of ours)."""
    bare = Bare(detector)
    chunks = [np.ascontiguousarray(x[at : at + CHUNK, None]) for at in range(0, len(x), CHUNK)]
    ours, floor = [], []
    for _ in range(RUN_ROUNDS):
        begin = time.perf_counter()
        detector.run(x)
        middle = time.perf_counter()
        for chunk in chunks:
            bare.run(chunk)
        ours.append(middle - begin)
        floor.append(time.perf_counter() - middle)
    ratio = float(np.median(np.array(ours) / np.array(floor)))
    return {
        "ticks_per_s": round(len(x) / float(np.median(ours))),
        "best_ticks_per_s": round(len(x) / min(ours)),
        "bare_ticks_per_s": round(len(x) / float(np.median(floor))),
        "ratio": round(ratio, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    detector, x = bench_detector()
    for row in x[:500]:
        detector.step(row)
    figures = {
        "hot": steps(detector, x, ROUNDS, STEPS),
        "paced at 10 Hz": steps(detector, x, 2, PACED_STEPS, PACE_S),
        "run": runs(detector, x),
    }
    print(json.dumps(figures) if options.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()

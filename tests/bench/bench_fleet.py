"""What a row costs in a fleet: ``Fleet.apply`` and ``pump`` against the graph alone, CPU, interleaved in one run.

Run: python tests/bench/bench_fleet.py [--json] [--vehicle-by-vehicle] [--paced]. GRU autoencoder, hidden 32, 16
signals, 64 charts, all policies on; each vehicle sends one row a second, and all are well. The graph alone is
`session.run` over as many vehicles at once, and for one vehicle `Detector.step`. ``--vehicle-by-vehicle`` runs nothing
side by side. These are hot loops: a truck that sends now and then finds cold caches. ``--paced`` sends its rows a tenth
of a second apart.
"""

import json
import statistics
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), *(str(TESTS.parent / room) for room in ("edge", "export"))]

import numpy as np  # noqa: E402

from small_models import many_signals, model_bytes, small_spec  # noqa: E402
from tickover.core import pipeline  # noqa: E402
from tickover.core.arrivals import DEFAULT_WINDOW  # noqa: E402
from tickover.core.values import SECOND  # noqa: E402
from tickover.daemon import fleet as fleets  # noqa: E402
from tickover.daemon.events import Rows, rows_of  # noqa: E402
from tickover.model.detector import Detector  # noqa: E402
from tickover.model.session import open_bytes  # noqa: E402

SIGNALS, START = 16, 1_700_000_000
MUSTS = {1000: 4.0, 100: 8.0, 1: 2.5}
ROUNDS = {1000: 30, 100: 200, 1: 3000}
WARM = 20
PACE_S, PACED_ROUNDS = 0.1, 100
STALE_S = 600


def quiet_detector() -> Detector:
    """Random weights that never alarm."""
    spec = small_spec(signals=many_signals(SIGNALS), hidden=32)
    limits = np.full(len(spec.charts), 1e6, np.float32)
    return Detector(open_bytes(model_bytes(spec, limits=limits)))


class Graph:
    """The graph alone, over many vehicles at once, or `Detector.step` for one."""

    def __init__(self, detector: Detector, vehicles: int) -> None:
        self._detector, self._session = detector, detector.model.session
        self._names = [state.name for state in detector.manifest.states]
        self._states = {
            state.name: np.full((1, vehicles, state.size), state.initial, np.float32)
            for state in detector.manifest.states
        }
        self._one = vehicles == 1

    def run(self, x: np.ndarray) -> None:
        if self._one:
            self._detector.step(x[0])
            return
        _, _, _, *states = self._session.run(None, {"x": x[None], **self._states})
        self._states = dict(zip(self._names, states, strict=True))


def rows_at(second: int, values: np.ndarray) -> list[Rows]:
    stamp = (START + second) * SECOND
    return [rows_of(f"truck-{number}", [stamp], [row]) for number, row in enumerate(values.tolist())]


def measure(detector: Detector, vehicles: int, rounds: int, pace_s: float = 0.0) -> dict[str, float]:
    """Microseconds of CPU a row of both, and the ratio of their means."""
    fleet = fleets.Fleet(
        {"anomaly": pipeline.Pipeline(detector)}, detector.manifest.names, None, STALE_S * SECOND, DEFAULT_WINDOW
    )
    graph, random = Graph(detector, vehicles), np.random.default_rng(0)
    ours: list[float] = []
    floor: list[float] = []
    for second in range(WARM + rounds):
        if pace_s:
            time.sleep(pace_s)  # not of 0 s either: it gives the core away
        values = np.round(50 + random.normal(0, 5, (vehicles, SIGNALS)), 2)
        events, x = rows_at(second, values), values.astype(np.float32)
        begin = time.thread_time()
        for event in events:
            fleet.apply(event)
        outcome = fleet.pump()
        middle = time.thread_time()
        graph.run(x)
        end = time.thread_time()
        assert not outcome.alerts
        if second >= WARM:
            ours.append((middle - begin) / vehicles * 1e6)
            floor.append((end - middle) / vehicles * 1e6)
    # Means, since a sensor's bins are counted every fifth second alone.
    return {
        "row_us": statistics.fmean(ours),
        "graph_us": statistics.fmean(floor),
        "ratio": statistics.fmean(ours) / statistics.fmean(floor),
        "state_bytes": len(fleet.state("truck-0")),
    }


def main() -> None:
    if "--vehicle-by-vehicle" in sys.argv:
        pipeline.MOST_TICKS = fleets.MOST_ROWS = 0
    detector, figures = quiet_detector(), {}
    for vehicles, must in MUSTS.items():
        figures[f"x{vehicles}"] = found = measure(detector, vehicles, ROUNDS[vehicles])
        print(
            f"{vehicles:5} x 1 row: {found['row_us']:7.1f} us of CPU a row, graph alone {found['graph_us']:6.1f}: "
            f"{found['ratio']:.2f} x (must: {must:g}); state {found['state_bytes']} bytes"
        )
    if "--paced" in sys.argv:
        paced = measure(detector, 1, PACED_ROUNDS, PACE_S)
        print(f"    1 x 1 row at 10 Hz: {paced['row_us']:.0f} us of CPU a row, `Detector.step` {paced['graph_us']:.0f}")
    if "--json" in sys.argv:
        print(json.dumps({name: round(found["ratio"], 2) for name, found in figures.items()}))


if __name__ == "__main__":
    main()

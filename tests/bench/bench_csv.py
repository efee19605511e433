"""How fast logs are read, in one run: the fast CSV way, the exact way, and the bare parsers they stand on.

    python tests/bench/bench_csv.py [--rows N] [--json]

Ratios are to ``np.loadtxt`` of the same numbers in one call, the floor of the fast way.
"""

import argparse
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from tickover.logs.formats import csv_fast
from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import read_log

SIGNALS = 16
REPEATS = 5
MAPPING = Mapping(signals={f"s{index}": SignalColumn() for index in range(SIGNALS)})
EPOCH = np.datetime64("2024-03-01T00:00:00", "ms")


def write(path: Path, rows: int, kind: str) -> None:
    """A log of ``SIGNALS`` columns with one decimal and now and then an empty cell."""
    rng = np.random.default_rng(0)
    values = rng.normal(500, 300, (rows, SIGNALS)).round(1)
    times = {
        "seconds": [f"{row / 10:.1f}" for row in range(rows)],
        "iso": [f"{EPOCH + row * 100}Z" for row in range(rows)],
        "time of day": [str(EPOCH + row * 100)[11:] for row in range(rows)],
    }[kind]
    with path.open("w") as file:
        file.write(",".join(["time", *MAPPING.names]) + "\n")
        for moment, row in zip(times, values, strict=True):
            cells = ["" if value > 1200 else str(value) for value in row.tolist()]
            file.write(",".join([moment, *cells]) + "\n")


def read(path: Path) -> int:
    """All rows of the log."""
    blocks = read_log(path, MAPPING, vehicle="", counts=Counter(), on_bad=print)
    return sum(len(block.time) for block in blocks)


def exact(path: Path) -> int:
    """The same, row by row."""
    with mock.patch.object(csv_fast, "parse", return_value=None):
        return read(path)


def floor(path: Path) -> int:
    """One call of NumPy's parser over the values, empty cells filled."""
    body = path.read_bytes().partition(b"\n")[2].replace(b",,", b",nan,").replace(b",,", b",nan,")
    body = body.replace(b",\n", b",nan\n")
    table = np.loadtxt(io.BytesIO(body), delimiter=",", comments=None, usecols=range(1, SIGNALS + 1), encoding="ascii")
    return len(table)


def best(run: Callable[[Path], int], path: Path) -> float:
    """Rows per second, the best of a few runs."""
    rates = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        rows = run(path)
        rates.append(rows / (time.perf_counter() - start))
    return max(rates)


def measure(rows: int) -> dict[str, float]:
    """Rows per second of each way."""
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("seconds", "iso", "time of day"):
            path = Path(folder) / f"{kind.replace(' ', '_')}.csv"
            write(path, rows, kind)
            rates[f"{kind}, fast"] = best(read, path)
            rates[f"{kind}, exact"] = best(exact, path)
            rates[f"{kind}, np.loadtxt"] = best(floor, path)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rates = measure(options.rows)
    if options.json:
        print(json.dumps(rates))
        return
    for name, rate in rates.items():
        floor_rate = rates[f"{name.partition(', ')[0]}, np.loadtxt"]
        print(f"{name:26} {rate:12,.0f} rows/s  {rate / floor_rate:5.2f} of np.loadtxt")


if __name__ == "__main__":
    main()

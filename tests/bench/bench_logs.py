"""CSV reading against ``pyarrow.csv`` (one thread, to float64 arrays, warm file): ratios within one run.

python tests/bench/bench_logs.py
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyarrow import csv as arrow_csv

from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import read_log

SHAPES = {"long": (200_000, 8), "wide": (4_000, 400)}
RUNS = 5


def write(path: Path, rows: int, columns: int) -> None:
    """A log of seeded numbers."""
    values = np.round(np.random.default_rng(1).normal(100, 30, (rows, columns)), 3)
    with path.open("w") as file:
        file.write("time," + ",".join(f"c{column}" for column in range(columns)) + "\n")
        for row in range(rows):
            file.write(f"{1_698_232_500 + row}," + ",".join(map(str, values[row])) + "\n")


def best(work: Callable[[], object]) -> float:
    """The shortest of some runs, seconds."""
    spans = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        work()
        spans.append(time.perf_counter() - begun)
    return min(spans)


def ratio(rows: int, columns: int) -> float:
    """Our time over pyarrow's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        write(path, rows, columns)
        mapping = Mapping(signals={f"c{column}": SignalColumn() for column in range(columns)})

        def ours() -> int:
            blocks = read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=print)
            return sum(len(block.time) for block in blocks)

        def theirs() -> object:
            table = arrow_csv.read_csv(path, arrow_csv.ReadOptions(use_threads=False))
            return np.column_stack([column.to_numpy().astype(np.float64) for column in table.columns])

        assert ours() == rows
        theirs()
        return best(ours) / best(theirs)


if __name__ == "__main__":
    for name, (rows, columns) in SHAPES.items():
        sys.stdout.write(f"{name}: {rows} x {columns}: {ratio(rows, columns):.2f} x pyarrow.csv\n")

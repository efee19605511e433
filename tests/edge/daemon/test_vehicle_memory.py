"""What a vehicle takes in memory, by how many rows it sent: little before its first tick, and flat from then on.

Allocations as Python and numpy make them, of a model with 18 signals; what the process holds is in docs/daemon.md
(`tests/bench/bench_live.py --vehicles`).
"""

import gc
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from fleet_histories import DEMO, START, trip
from tickover.core.columns import Columns
from tickover.core.pipeline import Pipeline
from tickover.core.seen import _factors
from tickover.core.values import SECOND
from tickover.daemon.events import rows_of
from tickover.daemon.fleet import Fleet
from tickover.model.detector import Detector

VEHICLES = 28
"""A little below a power of two: columns grow by doubling."""
FIRST, LATER, LONG = 1, 60, 400
NEW_BYTES, LIVE_BYTES = 8_000, 20_000
"""At most, of a vehicle that has no tick yet, and of one that drives."""
GROWTH_BYTES = 3_000
"""From row 60 to row 400: keys of rows that no full page holds yet, 8 bytes each, and room for as many."""


def fleet_of(stored: dict[tuple[str, int], bytes]) -> Fleet:
    model = Detector.load(DEMO / "truck.onnx")
    fleet = Fleet({"anomaly": Pipeline(model)}, model.manifest.names, None, 0, 3600 * SECOND)
    fleet.reads_pages(lambda vehicle, number: stored.get((vehicle, number)))
    return fleet


def send(fleet: Fleet, vehicles: int, first: int, last: int) -> None:
    """Rows of these seconds, of all vehicles side by side; full pages are stored elsewhere."""
    for second in range(first, last):
        values = trip()[second].tolist()
        for number in range(vehicles):
            fleet.apply(rows_of(f"v{number}", [(START + second) * SECOND], [values]))
        fleet.pump()
    for number in range(vehicles):
        fleet.state(f"v{number}")
        fleet.pages(f"v{number}", everything=False)


def test_memory_of_a_vehicle_is_small_and_flat() -> None:
    warm = fleet_of({})
    send(warm, 2, 0, LATER)
    fleet, taken = fleet_of({}), {}
    tracemalloc.start()
    try:
        gc.collect()
        before, done = tracemalloc.get_traced_memory()[0], 0
        for rows in (FIRST, LATER, LONG):
            send(fleet, VEHICLES, done, rows)
            done = rows
            gc.collect()
            taken[rows] = (tracemalloc.get_traced_memory()[0] - before) / VEHICLES
    finally:
        tracemalloc.stop()
    assert taken[FIRST] < NEW_BYTES, taken
    assert taken[LATER] < LIVE_BYTES, taken
    assert taken[LONG] - taken[LATER] < GROWTH_BYTES, taken


def test_factors_of_keys_are_those_that_stores_were_written_with() -> None:
    drawn = np.random.default_rng(0x7C15).integers(2**63, 2**64, 300, np.uint64) | np.uint64(1)
    assert _factors(300).tolist() == drawn.tolist()


def test_a_daemon_loads_only_what_it_runs() -> None:
    """No random numbers, no readers of logs, no protobuf and checks of model files (a child process has them), nothing
    of HTTP and e-mail."""
    what = "import sys, tickover.commands.run, tickover.daemon.runner, tickover.transports.mqtt.link;" + (
        "from tickover.core.seen import keys_of; import numpy as np; keys_of(np.zeros(1, np.int64), np.zeros((1, 3)));"
        "rare = ('numpy.random', 'tickover.logs', 'tickover.model.file.', 'zipfile', 'google', 'email', 'http');"
        "print([name for name in sys.modules if name.startswith(rare)])"
    )
    assert subprocess.run([sys.executable, "-c", what], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("rows", [1, 100, 20_000])
def test_columns_keep_what_they_hold_as_they_grow(rows: int) -> None:
    columns = Columns({"number": (np.int64, ()), "values": (np.float32, (5,))})
    taken = [columns.take() for _ in range(rows)]
    assert sorted(taken) == list(range(rows))
    for row in taken:
        columns["number"][row], columns["values"][row] = row, row / 2
    more = columns.take()
    columns.reach(8 * rows)
    assert more not in taken
    assert columns["number"][taken].tolist() == taken
    assert (columns["values"][taken] == np.array(taken, np.float32)[:, None] / 2).all()
    assert not columns["values"][more].any()


def test_a_module_that_waits_to_be_used_is_the_real_one_then() -> None:
    what = (
        "import tickover.transports.mqtt.link, sys; print('http' in sys.modules); import urllib.request;"
        "from urllib.request import Request; print(urllib.request.Request is Request, type(urllib.request).__name__)"
    )
    said = subprocess.run([sys.executable, "-c", what], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "True", "module"]

"""How fast a back-fill is: 200 vehicle-days by 1 and 2 processes, against `Detector.run` over the same ticks.

20 trucks of 10 days, each a Parquet file of 3 hours at 1 Hz in Hive partitions: a healthy truck of the simulator that
the bundled model was trained on. Prints ticks per second of wall time, what 2 processes gain over 1 (2 is linear), and
the speed of one process, its start and the gathering of results included, as a share of `Detector.run`'s in this
process, which is the better of a run before and one behind. The tables of both must be equal. ``--hours`` makes days
longer or shorter, ``--model`` takes another model of the truck, ``--json`` prints the figures as JSON.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tickover.core.values import SECOND, DoubleArray
from tickover.logs.mapping import mapping_of
from tickover.model.detector import Detector
from tickover.simulator import Truck

ROOT: Final = Path(__file__).resolve().parents[2]
MODEL: Final = ROOT / "deploy/demo/truck.onnx"
VEHICLES: Final = 20
DAYS: Final = 10
BEGIN: Final = 1_704_088_800 * SECOND
DAY: Final = 86_400 * SECOND
SEED: Final = 700
CHUNK: Final = 16_384
LEAST_GAIN: Final = 1.7
LEAST_SHARE: Final = 0.8
TABLES: Final = ("alerts.parquet", "daily.csv", "drops.csv", "vehicles.csv")


def days_of(rows: int) -> list[DoubleArray]:
    """Days of a healthy simulated truck, in the model's signals."""
    truck = Truck(SEED)
    return [truck.block(rows).values for _ in range(DAYS)]


def write_archive(folder: Path, detector: Detector, days: list[DoubleArray]) -> None:
    """The archive, a file a truck and day."""
    mapping = mapping_of(detector.manifest)
    for vehicle in range(VEHICLES):
        for day in range(DAYS):
            values = days[day]
            stamps = pa.array(BEGIN + day * DAY + np.arange(len(values)) * SECOND).cast(pa.timestamp("us"))
            columns = dict(zip(mapping.columns, values.T, strict=True))
            path = folder / f"vehicle=truck-{vehicle:02}" / f"date=2024-01-{1 + day:02}" / "part-0.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(pa.table({"time": stamps, **columns}), path)


def run_detector(detector: Detector, days: list[DoubleArray]) -> tuple[float, float]:
    """Seconds of `Detector.run` over all ticks of the archive, by the wall and of CPU."""
    spent, cpu = 0.0, 0.0
    for _ in range(VEHICLES):
        detector.reset(trip_only=False)
        for day in range(DAYS):
            x = days[day].astype(np.float32)
            began, before = time.perf_counter(), time.process_time()
            detector.reset()
            for at in range(0, len(x), CHUNK):
                detector.run(x[at : at + CHUNK])
            spent += time.perf_counter() - began
            cpu += time.process_time() - before
    return spent, cpu


def run_backfill(model: Path, archive: Path, out: Path, workers: int) -> tuple[float, float]:
    """Seconds of the command from its start to its end, by the wall and of CPU, its processes' included."""
    paths = [str(ROOT / name) for name in ("edge", "export", "train")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "tickover", "backfill", model, archive, "--out", out, "--workers", str(workers)],
        check=True,
        capture_output=True,
        env=environment,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def measure(hours: float, model: Path) -> dict[str, float]:
    """All of it, in one folder that is removed."""
    detector, rows = Detector.load(model), round(hours * 3600)
    days, ticks = days_of(rows), VEHICLES * DAYS * rows
    with tempfile.TemporaryDirectory(prefix="backfill-") as name:
        folder = Path(name)
        write_archive(folder / "archive", detector, days)
        before = run_detector(detector, days)
        one, one_cpu = run_backfill(model, folder / "archive", folder / "one", 1)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        two, two_cpu = run_backfill(model, folder / "archive", folder / "two", 2)
        alone, alone_cpu = map(min, zip(before, run_detector(detector, days), strict=True))
        for table in TABLES:
            assert (folder / "one" / table).read_bytes() == (folder / "two" / table).read_bytes(), table
    rates = {"detector_ticks_s": ticks / alone, "one_ticks_s": ticks / one, "two_ticks_s": ticks / two}
    shares = {"of_linear": one / two / 2, "of_detector": alone / one}
    cpu = {"cpu_of_detector": alone_cpu / one_cpu, "cpu_of_linear": one_cpu / two_cpu}
    return {"ticks": ticks, **rates, "gain": one / two, **shares, **cpu, "mib": memory}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=3.0, help="of each day (3)")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.hours, given.model)
    if given.json:
        print(json.dumps(found))
        return
    print(f"{VEHICLES * DAYS} vehicle-days, {found['ticks']:,.0f} ticks")
    print(f"Detector.run       {found['detector_ticks_s']:>10,.0f} ticks/s")
    print(f"backfill, 1 worker {found['one_ticks_s']:>10,.0f} ticks/s, {found['of_detector']:.2f} of Detector.run")
    both = f"{found['gain']:.2f} x one, {found['of_linear']:.2f} of linear"
    print(f"backfill, 2        {found['two_ticks_s']:>10,.0f} ticks/s, {both}")
    shares = f"{found['cpu_of_detector']:.2f} of Detector.run, {found['cpu_of_linear']:.2f} of linear"
    print(f"by CPU time, which other work on the machine changes little: {shares}")
    print(f"the largest process of the first: {found['mib']:.0f} MiB")
    print(f"must: {LEAST_SHARE:g} of Detector.run, {LEAST_GAIN / 2:g} of linear")


if __name__ == "__main__":
    main()

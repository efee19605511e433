"""Archives of small trucks for the tests of back-fills: seeded, with a fault here and there."""

import csv
import datetime as dt
from pathlib import Path

import numpy as np

NAMES = ("coolant", "rpm", "speed")
BEGIN = dt.datetime(2024, 1, 30, 6)


def table(seed, rows=300, fault=False):
    """Calm values as the small model likes them; a coolant fault in the middle."""
    values = np.random.default_rng(seed).normal([24, 49, 45], 1, (rows, 3)).round(3)
    if fault:
        values[100:160, 0] = 70
    return values


def times(day, rows=300, hour=6):
    begin = BEGIN.replace(hour=hour) + dt.timedelta(days=day)
    return [f"{(begin + dt.timedelta(seconds=row)).isoformat()}Z" for row in range(rows)]


def write_csv(path, rows, header):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def trip(path, seed, day, fault=False, rows=300):
    """One trip of one vehicle."""
    values = table(seed, rows, fault)
    rows_ = ([moment, *row] for moment, row in zip(times(day, rows), values.tolist(), strict=True))
    return write_csv(path, rows_, ["time", *NAMES])


def folders(root: Path, vehicles=3, days=3, rows=300):
    """A folder a vehicle, a file a day; every third trip has a fault."""
    for vehicle in range(vehicles):
        for day in range(days):
            path = root / f"truck-{vehicle}" / f"trip {day + 8}.csv"
            trip(path, vehicle * 100 + day, day, fault=(vehicle + day) % 3 == 0, rows=rows)
    return root

"""Resident growth of a `Detector.step` loop from tick 1 M to tick 10 M: it must stay within 64 KiB."""

import argparse
import gc
import json
import resource
from pathlib import Path

from bench_step import bench_detector

MILLION = 1_000_000
MUST_KIB = 64


def resident_kib():
    """Resident set size now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--millions", type=int, default=10)
    options = parser.parse_args()
    detector, x = bench_detector()
    rows, seen = list(x[:10_000]), []
    for _ in range(options.millions):
        for _ in range(MILLION // len(rows)):
            for row in rows:
                detector.step(row)
        gc.collect()
        seen.append(resident_kib())
    figures = {"resident_kib": seen, "growth_kib": seen[-1] - seen[0], "must_kib": MUST_KIB}
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()

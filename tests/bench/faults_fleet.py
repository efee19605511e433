"""Random histories of a fleet, run side by side and vehicle by vehicle: alerts, scores, states and counts must be
equal.

Run: python tests/bench/faults_fleet.py [HISTORIES] [FIRST SEED] [SECONDS]: of event time a history, 60.
"""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "edge")]

import fleet_histories as histories  # noqa: E402
from tickover.core import pipeline  # noqa: E402
from tickover.daemon import fleet, side_by_side  # noqa: E402

DEFAULTS = 1000, 0, 60
FEW_KEPT = 7
"""Rows whose keys are made later, in every other history; usually they are more than a history has."""


def main() -> None:
    given = [int(text) for text in sys.argv[1:]]
    count, first, seconds = *given, *DEFAULTS[len(given) :]
    most, different = (pipeline.MOST_TICKS, fleet.MOST_ROWS, True), []
    kept = side_by_side.KEPT
    for seed in range(first, first + count):
        made = []
        side_by_side.KEPT = kept if seed % 2 else FEW_KEPT
        for pipeline.MOST_TICKS, fleet.MOST_ROWS, fleet.DEFERS in ((0, 0, False), most):
            made.append(histories.made_of(histories.history(seed, seconds), histories.new_fleet(seed)))
        if made[0] != made[1]:
            different.append(seed)
            print(f"seed {seed}: different")
        if sys.stdout.isatty():
            print(f"\r{seed - first + 1} of {count}", end="", flush=True)
    print(f"{count} histories of 1 to {len(histories.VEHICLES)} vehicles, {len(different)} different")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()

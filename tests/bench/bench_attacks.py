"""How large the daemon gets under attack by one truck (`tests/faults/attacks.py`): at most 120 MB with defaults.

Run: python tests/bench/bench_attacks.py [--json] [--only NAME ...] [--scale X].
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), *(str(TESTS.parent / room) for room in ("edge", "export"))]

from faults_common import quick_folder  # noqa: E402

from broker import Broker  # noqa: E402
from faults.attacks import ATTACKS, attack  # noqa: E402

MUST_MB = 120


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="*", default=[*ATTACKS], help=f"of {', '.join(ATTACKS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of messages")
    given = parser.parse_args()
    figures = {}
    for name in given.only:
        with quick_folder() as folder, Broker(folder / "broker") as broker:
            memory = attack(folder, broker, name, max(1, round(ATTACKS[name][1] * given.scale)))
        figures[name] = {key: round(value, 1) for key, value in asdict(memory).items()}
        if not given.json:
            print(f"{name}: {figures[name]}", flush=True)
    good = all(one["peak"] <= MUST_MB and one["restarted"] <= MUST_MB for one in figures.values())
    if given.json:
        print(json.dumps({**figures, "must_mb": MUST_MB, "good": good}))
    sys.exit(not good)


if __name__ == "__main__":
    main()

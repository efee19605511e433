"""The same benches of two checkouts, in turn within one run: how this one compares with the other.

Run: python tests/bench/against.py OTHER_CHECKOUT [--rounds N] [--only ingest latency memory] [--json]. Each checkout
runs its own bench with its own code, the two in turn, so that a machine that gets busy does so for both; of each figure
the median of the rounds counts. A ratio is ours by theirs: above 1 is better for rates (``a_second``), below for all
else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

OURS = Path(__file__).resolve().parents[2]
BENCHES = {
    "ingest": ["bench_ingest.py", "--messages", "20000"],
    "latency": ["bench_latency.py", "--seconds", "14"],
    "memory": ["bench_live.py", "--memory", "--readings", "1000000"],
}
RATE = "a_second"
"""Of a figure's name: more is better."""


def measured(checkout: Path, bench: list[str]) -> dict[str, float]:
    """The figures that a bench prints as JSON in its last line, by their path."""
    rooms = os.pathsep.join(str(checkout / room) for room in ("edge", "export", "train"))
    env = {**os.environ, "PYTHONPATH": rooms}
    command = [sys.executable, str(checkout / "tests" / "bench" / bench[0]), *bench[1:], "--json"]
    done = subprocess.run(command, env=env, cwd=checkout, capture_output=True, text=True)
    last = done.stdout.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        said = f"{done.stdout[-500:]}\n{done.stderr[-2000:]}"
        sys.exit(f"{bench[0]} of {checkout} printed no figures (exit {done.returncode}):\n{said}")
    return dict(flat("", json.loads(last)))


def flat(name: str, value: Any):
    """Every number, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(f"{name}.{key}" if name else key, inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def compare(other: Path, bench: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Of each figure that both have: ours, theirs, and the ratio of the two."""
    turns: dict[Path, list[dict[str, float]]] = {OURS: [], other: []}
    for number in range(rounds):
        for checkout in (OURS, other) if number % 2 == 0 else (other, OURS):
            turns[checkout].append(measured(checkout, bench))
    found = {}
    for name in turns[OURS][0]:
        if all(name in turn for turn in turns[other]):
            ours, theirs = (statistics.median(turn[name] for turn in turns[one]) for one in (OURS, other))
            found[name] = {"ours": ours, "theirs": theirs, "ratio": ours / theirs if theirs else float("nan")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, metavar="OTHER_CHECKOUT")
    parser.add_argument("--rounds", type=int, default=3, help="of each bench (default 3)")
    parser.add_argument("--only", nargs="*", choices=[*BENCHES], default=[*BENCHES], help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    results = {}
    for name in given.only:
        results[name] = compare(given.other.resolve(), BENCHES[name], given.rounds)
        if not given.json:
            show(name, results[name])
    if given.json:
        print(json.dumps(results))


def show(bench: str, figures: dict[str, dict[str, float]]) -> None:
    for name, one in figures.items():
        better = "more" if RATE in name else "less"
        row = f"{bench:8} {name:28} {one['ours']:12.4g} {one['theirs']:12.4g}"
        print(f"{row}  {one['ratio']:.2f} x ({better} is better)", flush=True)


if __name__ == "__main__":
    main()

"""Training on recorded trips as a user runs it: wall time, peak memory, and what came out.

    python tests/bench/bench_train.py LOG... [--config FILE] [--json FILE]

Run it under ``taskset -c 0,1`` for two cores. ``us_per_tick`` is wall time over (training ticks x epochs x folds).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", nargs="+")
    parser.add_argument("--config")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    found = measure(arguments.logs, ["--config", arguments.config] if arguments.config else [])
    for name, value in found.items():
        print(f"{name:16} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=2))


def measure(logs: list[str], options: list[str]) -> dict[str, Any]:
    """Train once into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "tickover", "train", *logs, "--out", f"{folder}/run", *options]
        subprocess.run(command, check=True)
        wall = time.perf_counter() - began
        metrics = json.loads(Path(folder, "run", "metrics.json").read_text())
    ticks = sum(trip["ticks"] for trip in metrics["unseen"])
    epochs = sum(len(fold["losses"]) for fold in metrics["folds"])
    share = 1.0 - 1.0 / max(len(metrics["folds"]), 2)
    return {
        "wall_s": round(wall, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "epochs": epochs,
        "us_per_tick": round(wall * 1e6 / max(ticks * share * epochs, 1), 2),
        "held_out_loss": metrics["folds"][0]["losses"][metrics["folds"][0]["best_epoch"] - 1][1],
        "false_per_hour": metrics["budget"]["realised"],
        "horizon_ticks": metrics["horizon"]["memory"]["lag"],
    }


if __name__ == "__main__":
    main()

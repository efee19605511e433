"""Training on recorded trips as a user runs it: wall time, peak memory, and what came out.

    python tests/bench/bench_train.py LOG... [--config FILE] [--times N] [--json FILE]

Run it under ``taskset -c 0,1`` for two cores. ``us_per_tick`` is wall time over (training ticks x epochs x folds).
``--times 10`` trains on ten copies of the logs, too, each another vehicle's, and says how much more memory that takes.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

LOOK_S: Final = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", nargs="+")
    parser.add_argument("--config")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    options = ["--config", arguments.config] if arguments.config else []
    found = measure(arguments.logs, options)
    if arguments.times > 1:
        with tempfile.TemporaryDirectory() as folder:
            copy(arguments.logs, Path(folder), arguments.times)
            more = measure([folder], options)
        found |= {f"{name}_x{arguments.times}": value for name, value in more.items()}
        found["memory_ratio"] = round(more["peak_mib"] / found["peak_mib"], 3)
    for name, value in found.items():
        print(f"{name:16} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=2))


def copy(logs: list[str], folder: Path, times: int) -> None:
    """The logs, each ``times`` times under another name."""
    found = [log for path in map(Path, logs) for log in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    for number in range(times):
        own = folder / f"vehicle={number}"
        own.mkdir()
        for log in found:
            if log.is_file():
                shutil.copy(log, own / f"{log.stem}-{number}{log.suffix}")


def peak_mib(command: list[str]) -> int:
    """The peak of a command's memory, looked at ten times a second; CalledProcessError when it fails."""
    peak = 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = max([peak, *(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:"))])
            time.sleep(LOOK_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak


def measure(logs: list[str], options: list[str]) -> dict[str, Any]:
    """Train once into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "tickover", "train", *logs, "--out", f"{folder}/run", *options]
        peak = peak_mib(command)
        wall = time.perf_counter() - began
        metrics = json.loads(Path(folder, "run", "metrics.json").read_text())
    ticks = sum(trip["ticks"] for trip in metrics["unseen"])
    epochs = sum(len(fold["losses"]) for fold in metrics["folds"])
    share = 1.0 - 1.0 / max(len(metrics["folds"]), 2)
    return {
        "wall_s": round(wall, 1),
        "peak_mib": peak,
        "epochs": epochs,
        "us_per_tick": round(wall * 1e6 / max(ticks * share * epochs, 1), 2),
        "held_out_loss": metrics["folds"][0]["losses"][metrics["folds"][0]["best_epoch"] - 1][1],
        "false_per_hour": metrics["budget"]["realised"],
        "horizon_ticks": metrics["horizon"]["memory"]["lag"],
    }


if __name__ == "__main__":
    main()

"""False alarms of a model in a winter made of summer trips: air that is colder than any in its training.

    python tests/bench/bench_cold.py RUN… [--colder 0 10 20] [--signals iat aat]

Each RUN is a folder of ``tickover train`` on trips of ``kit-obd/1hz``. The trips that its network has not seen (its
first fold's) are run as one vehicle's, with the signals lowered by so many units: false episodes an hour, and the share
of the time in alarm. No trip of a real winter plays a part, so remedies may be chosen by these figures.
"""

import argparse
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tickover.core.values import FloatArray
from tickover.logs.mapping import mapping_of
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_export.run import read_run
from tickover_train.calibration.rates import poisson_rate
from tickover_train.data import load_trips
from tickover_train.evaluation.metrics import MERGE_S, onsets
from tickover_train.evaluation.scorers import ModelScorer
from tickover_train.run_folder import METRICS_FILE


def detector_of(folder: Path) -> Detector:
    """The run's model, parity not proven anew."""
    run = read_run(folder)
    file, limits = run.file, run.file.limit_array
    manifest = manifest_of(file.spec, limits, budget=file.budget, episodes=file.policy)
    return Detector(open_bytes(package(build(run.weights, file.spec, limits), manifest)))


def unseen_trips(folder: Path, data: Path, detector: Detector) -> list[FloatArray]:
    """The trips that the run's network was not trained on."""
    names = json.loads((folder / METRICS_FILE).read_bytes())["folds"][0]["unseen"]
    logs = [data / "kit-obd" / "1hz" / f"{name}.csv" for name in names]
    return [trip.values for trip in load_trips(logs, mapping_of(detector.manifest), Counter(), print)]


def judged(detector: Detector, trips: Sequence[FloatArray], columns: Sequence[int], colder: float) -> str:
    """False episodes an hour and time in alarm on the colder trips."""
    moved = [trip.copy() for trip in trips]
    for trip in moved:
        trip[:, columns] -= colder
    tracks = ModelScorer(detector).clean(moved, [[] for _ in moved])
    merge = round(MERGE_S / detector.manifest.tick_period_s)
    hours = sum(map(len, trips)) * detector.manifest.tick_period_s / 3600.0
    rate = poisson_rate(sum(len(onsets(track.open, merge)) for track in tracks), hours)
    in_alarm = float(np.concatenate([track.open for track in tracks]).mean())
    interval = f"{rate.per_hour:.2f} [{rate.low:.2f}, {rate.high:.2f}]"
    return f"{interval} false episodes/h in {hours:.1f} h, {in_alarm:.2f} of it in alarm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("TICKOVER_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds kit-obd/")
    parser.add_argument("--colder", type=float, nargs="+", default=[0.0, 10.0, 20.0])
    parser.add_argument("--signals", nargs="+", default=["iat", "aat"])
    args = parser.parse_args()
    for folder in args.runs:
        detector = detector_of(folder)
        trips = unseen_trips(folder, args.data, detector)
        columns = [detector.manifest.names.index(name) for name in args.signals]
        for colder in args.colder:
            print(f"{folder}: {colder:g} colder: {judged(detector, trips, columns, colder)}", flush=True)


if __name__ == "__main__":
    main()

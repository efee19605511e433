"""SKAB: the configuration, chosen without SKAB's labels, on known faults in the machine's anomaly-free run.

    python tests/bench/skab_choice.py [--seeds 0 1] [--json FILE] [--processes 2]

The anomaly-free run (9,405 rows, no labels) is cut into development runs of 400 training and 750 further rows, one
beginning every 500 rows. The judge's own plan puts one fault at a time into the last 450 rows of a run: its twelve
kinds, and four in which three signals change at once, as they do when something is wrong with the machine and not with
a sensor.
Everything is scored as SKAB's files are: row by row, causally, with the finished model file.

The rule, fixed before the first run: of the candidates with FAR <= 30 % the one with the highest mean of F1 and VUS-PR
over all cases and seeds; within ``TIE`` of it the one that stands first in ``CANDIDATES``.
"""

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from msgspec import structs
from skab import CONFIG, detector_of, job_of

from tickover.detector import Detector
from tickover.manifest import Signal
from tickover_export.spec import ChartBank
from tickover_train.config import DEFAULT_BANKS, TrainConfig
from tickover_train.judge import skab
from tickover_train.judge.faults import KINDS, Case, habits_of, inject, kind, plan
from tickover_train.workshop import Fold, fit_folds

RUN_ROWS = 1150
EVERY = 500
FAULTY_ROWS = 450
"""Faults lie in this many last rows of a run."""
SEVERAL = 3
"""Signals that change at once in the faults of the machine."""
RAMP_S, PULSE_S = 20.0, 10.0
FAR_MOST = 0.30
TIE = 0.005
MOVED = 2.0

PROCESS = ("throttled", "pulsing", "rough", "restless")


def together(case: Case) -> Iterator[tuple[int, float]]:
    """Three signals and by how much each changes, up or down."""
    for signal in case.rng.choice(np.flatnonzero(case.spread > 0), size=SEVERAL, replace=False):
        yield int(signal), case.magnitude * float(case.spread[signal]) * float(case.rng.choice((-1.0, 1.0)))


@kind("throttled")
def throttled(case: Case) -> None:
    """Several signals go to another level, within 20 s, and stay there."""
    share = np.minimum(1.0, np.arange(1, len(case.values) + 1) * case.period_s / RAMP_S)
    for signal, amount in together(case):
        case.values[:, signal] += amount * share


@kind("pulsing")
def pulsing(case: Case) -> None:
    """Several signals swing together."""
    wave = np.sin(2.0 * np.pi * np.arange(len(case.values)) * case.period_s / PULSE_S)
    for signal, amount in together(case):
        case.values[:, signal] += amount * wave


@kind("rough")
def rough(case: Case) -> None:
    """Several signals become noisy."""
    for signal, amount in together(case):
        case.values[:, signal] += amount * case.rng.standard_normal(len(case.values))


@kind("restless")
def restless(case: Case) -> None:
    """Several signals move about their usual value more than they do."""
    for signal, _ in together(case):
        center = case.habits.median[signal]
        case.values[:, signal] += case.magnitude * (case.values[:, signal] - center)


def energy(span_s: float) -> ChartBank:
    return ChartBank(name="energy", kind="energy", span_s=span_s)


def variant(
    moved: float = MOVED, banks: tuple[ChartBank, ...] = (energy(30.0),), budget: str = "1/400s", **fit: float
) -> TrainConfig:
    """One candidate; what is not named is as in ``skab.CONFIG``."""
    config: TrainConfig = structs.replace(
        CONFIG,
        corruption=structs.replace(CONFIG.corruption, moved=moved),
        fit=structs.replace(CONFIG.fit, **fit),
        charts=structs.replace(CONFIG.charts, banks=banks),
        calibration=structs.replace(CONFIG.calibration, false_alarms=budget),
    )
    return config


CANDIDATES = {
    "last value alone": variant(learning_rate=1e-9, epochs=1),
    "levels seen as they are": variant(moved=0.0),
    "levels moved": variant(),
    "… chunks of 25 rows": variant(chunk=25),
    "… energy over 15 s": variant(banks=(energy(15.0),)),
    "… energy over 60 s": variant(banks=(energy(60.0),)),
    "… energy over 120 s": variant(banks=(energy(120.0),)),
    "… energy and ewma over 30 s": variant(banks=(energy(30.0), ChartBank(name="slow", kind="ewma", span_s=30.0))),
    "… the default banks": variant(banks=DEFAULT_BANKS),
    "… budget 2 in 400 s": variant(budget="2/400s"),
    "… budget 1 in 1 h": variant(budget="1/1h"),
    "… energy over 60 s, budget 1 in 1 h": variant(banks=(energy(60.0),), budget="1/1h"),
}


def development_runs(folder: Path) -> list[np.ndarray]:
    """``[RUN_ROWS, 8]`` each."""
    normal = skab.read_normal(folder)
    return [normal[first : first + RUN_ROWS] for first in range(0, len(normal) - RUN_ROWS + 1, EVERY)]


def cases_of(rows: np.ndarray, names: list[str], seed: int) -> list[tuple[str, skab.SkabFile]]:
    """Every kind and magnitude in a copy of one run."""
    clean = rows[-FAULTY_ROWS:]
    habits, signals = habits_of([rows[: skab.TRAIN_ROWS]]), [Signal(name=name) for name in names]
    cases = []
    for injection in plan([len(clean)], habits, 1.0, seed, KINDS, Counter()):
        faulty = inject(injection, clean, signals, habits, 1.0)
        if faulty is not None:
            first = len(rows) - FAULTY_ROWS + injection.onset
            values, anomaly = rows.copy(), np.zeros(len(rows), dtype=bool)
            values[first : first + len(faulty)], anomaly[first : first + len(faulty)] = faulty, True
            changes = np.array([first, first + len(faulty)])
            cases.append((injection.kind, skab.SkabFile(injection.kind, values, anomaly, changes)))
    return cases


def judged(detector: Detector, file: skab.SkabFile) -> skab.Judged:
    detector.reset(trip_only=False)
    score = detector.run(file.values).score
    return skab.tested(file, score, score >= 1.0)


def one_run(task: tuple[Path, int, int]) -> dict[str, list[tuple[str, skab.Judged]]]:
    """Every candidate on every case of one run; candidates that differ only in charts share their networks."""
    torch.set_num_threads(1)
    folder, number, seed = task
    names, rows = skab.signal_names(folder), development_runs(folder)[number]
    cases = cases_of(rows, names, number)
    fitted: dict[str, list[Fold]] = {}
    result = {}
    for name, config in CANDIDATES.items():
        job = job_of(rows[: skab.TRAIN_ROWS], names, structs.replace(config, seed=seed))
        if job.identity not in fitted:
            fitted[job.identity] = fit_folds(job)
        detector = detector_of(job, fitted[job.identity])
        result[name] = [(kind_, judged(detector, case)) for kind_, case in cases]
    return result


def figures_of(cases: list[tuple[str, skab.Judged]]) -> dict[str, float]:
    """F1, FAR, MAR and VUS-PR over all cases, and apart for faults of a sensor and of the machine."""
    every = skab.figures([one for _, one in cases])
    machine = skab.figures([one for name, one in cases if name in PROCESS])
    sensor = skab.figures([one for name, one in cases if name not in PROCESS])
    return {
        "f1": every.f1,
        "far": every.far,
        "mar": every.mar,
        "vus_pr": every.vus_pr,
        "rank": (every.f1 + every.vus_pr) / 2.0,
        "sensor_f1": sensor.f1,
        "sensor_vus_pr": sensor.vus_pr,
        "machine_f1": machine.f1,
        "machine_vus_pr": machine.vus_pr,
    }


def chosen(results: dict[str, dict[str, float]]) -> str:
    """The rule of this script."""
    allowed = {name: one["rank"] for name, one in results.items() if one["far"] <= FAR_MOST}
    best = max(allowed.values())
    return next(name for name, rank in allowed.items() if rank >= best - TIE)


def show(results: dict[str, dict[str, float]]) -> None:
    columns = list(next(iter(results.values())))
    print(f"{'':<38}" + "".join(f"{name:>16}" for name in columns))
    for name, one in results.items():
        print(f"{name:<38}" + "".join(f"{one[column]:>16.3f}" for column in columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("TICKOVER_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds skab/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    folder = args.data / "skab"
    tasks = [(folder, number, seed) for seed in args.seeds for number in range(len(development_runs(folder)))]
    with ProcessPoolExecutor(args.processes) as pool:
        runs = list(pool.map(one_run, tasks))
    results = {name: figures_of([case for run in runs for case in run[name]]) for name in CANDIDATES}
    print(f"{len(tasks)} development runs, {len(runs[0]['levels moved'])} cases in the first")
    show(results)
    print(f"chosen: {chosen(results)}")
    if args.json:
        args.json.write_text(json.dumps({"chosen": chosen(results)} | results, indent=1))


if __name__ == "__main__":
    main()

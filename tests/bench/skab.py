"""SKAB: one configuration for all 34 files, trained on each file's first 400 rows, judged causally on the rest.

    python tests/bench/skab.py [--seeds 0 1 2] [--json FILE] [--processes 2]

How the configuration was chosen: a forecaster with one smoothed squared error per signal, because DESIGN's trials had
found that form; the budget is tickover's default. In 400 rows some signals wander and others do not. So that the
network learns to follow those that wander, and the limits learn to bear it, each quarter of the training rows is also
shown in copies that are moved and tilted, each signal by as much as its own quarters' means differ.
"""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from msgspec import structs

from tickover.detector import Detector
from tickover.mapping import Mapping, SignalColumn, TickRule
from tickover.model import open_bytes
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_export.spec import ChartBank
from tickover_train.config import ChartsConfig, CorruptionConfig, FitConfig, NetworkConfig, TrainConfig
from tickover_train.data import Trip, fit_scaler
from tickover_train.judge import skab
from tickover_train.judge.baselines import PcaScorer
from tickover_train.network import prepare
from tickover_train.workshop import Job, finish, fit_folds

QUARTERS = 4
COPIES = 8
WANDER = 4.0
"""Copies are moved by a normal number of this many spreads of the quarters' means: the test part is far longer."""
TILT = 1.5
CONFIG = TrainConfig(
    name="skab",
    network=NetworkConfig(cell="gru", arch="forecaster", hidden=16),
    fit=FitConfig(epochs=30, lanes=16, chunk=50, learning_rate=5e-3, patience=8, threads=1, device="cpu"),
    corruption=CorruptionConfig(missing=0.03, foreign=0.0, shifted=0.0),
    charts=ChartsConfig(banks=(ChartBank(name="energy", kind="energy", span_s=30.0),), warm_up_s=20.0),
)


def copies(quarters: list[np.ndarray], rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Each quarter's moved and tilted copies."""
    wander = WANDER * np.std([quarter.mean(0) for quarter in quarters], axis=0, ddof=1)
    time_ = np.linspace(-0.5, 0.5, len(quarters[0]))[:, None]

    def moved(quarter: np.ndarray) -> np.ndarray:
        shift, tilt = rng.standard_normal((2, 1, quarter.shape[1]))
        return (quarter + wander * (shift + TILT * tilt * time_)).astype(np.float32)

    return [[moved(quarter) for _ in range(COPIES)] for quarter in quarters]


def train(rows: np.ndarray, names: list[str], seed: int) -> Detector:
    """A finished model file for one run's training rows, opened."""
    quarters = [np.asarray(q, np.float32) for q in np.split(rows, QUARTERS)]
    groups = [[q, *more] for q, more in zip(quarters, copies(quarters, np.random.default_rng(seed)), strict=True)]
    trips = [Trip(f"quarter {n}", values) for n, group in enumerate(groups) for values in group]
    size = COPIES + 1
    held_out = [list(range(n * size, (n + 1) * size)) for n in range(QUARTERS)]
    config = structs.replace(CONFIG, seed=seed, calibration=structs.replace(CONFIG.calibration, folds=QUARTERS))
    mapping = Mapping(signals={name: SignalColumn() for name in names}, ticks=TickRule(period_s=1.0))
    scaler = fit_scaler([Trip("all", rows)])
    normalised = [prepare(t.values, scaler.center, scaler.scale, config.charts.input_clip) for t in trips]
    job = Job(config, mapping, trips, scaler, normalised, held_out, torch.device("cpu"))
    product = finish(job, fit_folds(job))
    limits = product.limits
    manifest = manifest_of(product.spec, limits.limits, budget=limits.budget, episodes=config.episodes)
    return Detector(open_bytes(package(build(product.weights, product.spec, limits.limits), manifest)))


def one_file(task: tuple[Path, int, int]) -> list[skab.Judged]:
    """The model, and the PCA baseline, on one file as it is and with normal rows in front."""
    folder, number, seed = task
    torch.set_num_threads(1)
    file = skab.read_files(folder)[number]
    detector = train(file.values[: skab.TRAIN_ROWS], skab.signal_names(folder), seed)
    judged = []
    for one in (file, skab.with_front(file, skab.read_normal(folder), seed * 1000 + number)):
        detector.reset(trip_only=False)
        score = detector.run(one.values).score
        judged.append(skab.tested(one, score, score >= 1.0))
    return judged


def pca(file: skab.SkabFile) -> skab.Judged:
    """The PCA residual, its limit the highest training score."""
    train_rows = file.values[: skab.TRAIN_ROWS]
    scorer = PcaScorer(1.0, lambda scores: float(np.concatenate(scores).max()))
    scorer.clean([train_rows, train_rows], [[], []])
    score = scorer.score(0, file.values)
    return skab.tested(file, score, score >= 1.0)


def run(folder: Path, seed: int, processes: int) -> dict[str, object]:
    """All figures of one seed."""
    files = skab.read_files(folder)
    normal = skab.read_normal(folder)
    began = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        model = list(pool.map(one_file, [(folder, number, seed) for number in range(len(files))]))
    seconds = time.monotonic() - began
    fronted = [skab.with_front(file, normal, seed * 1000 + number) for number, file in enumerate(files)]
    named = {
        "tickover": [one[0] for one in model],
        "tickover, 600 normal rows in front": [one[1] for one in model],
        "pca residual": [pca(file) for file in files],
        "pca residual, 600 in front": [pca(file) for file in fronted],
        "clock": [skab.clock(file) for file in files],
        "clock, 600 in front": [skab.clock(file) for file in fronted],
    }
    return {"seed": seed, "seconds": seconds} | {name: asdict(skab.figures(judged)) for name, judged in named.items()}


def show(result: dict[str, object]) -> None:
    print(f"\nseed {result['seed']}, {result['seconds']:.0f} s of training and running")
    head = f"{'':<36}{'F1':>7}{'FAR %':>8}{'MAR %':>8}{'NAB':>7}{'events':>9}{'delay':>7}{'onsets/h':>10}"
    print(f"{head}{'VUS-PR':>8}{'pooled':>8}")
    for name, one in result.items():
        if isinstance(one, dict):
            delay = "-" if one["delay_s"] is None else f"{one['delay_s']:.0f} s"
            print(
                f"{name:<36}{one['f1']:>7.3f}{100 * one['far']:>8.1f}{100 * one['mar']:>8.1f}{one['nab']:>7.1f}"
                f"{one['caught']:>5}/{one['events']:<3}{delay:>7}{one['false_onsets']['per_hour']:>10.2f}"
                f"{one['vus_pr']:>8.3f}{one['vus_pr_pooled']:>8.3f}"
            )
    print("published (not causal):")
    for name, (f1, far, mar) in skab.LEADERBOARD.items():
        print(f"{name:<36}{f1:>7.2f}{far:>8.1f}{mar:>8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("TICKOVER_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds skab/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = [run(args.data / "skab", seed, args.processes) for seed in args.seeds]
    for result in results:
        show(result)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

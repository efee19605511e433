"""SKAB: a configuration for all 34 files, trained on each file's first 400 rows, judged causally on the rest.

    python tests/bench/skab.py [--seeds 0 1 2] [--json FILE] [--processes 2]

A configuration is a tuple of models that run side by side, chosen without SKAB's labels (``skab_choice.py``,
``short_history.py``). The autoencoder's limits allow for drift: between training rows and test part a signal may move
on, by so many times what its mean moved within the training rows.

What was seen of the labels before: docs/evaluation.md.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import skab_benchmark as skab
import torch
from msgspec import structs

from tickover.core.values import FloatArray
from tickover.logs.mapping import Mapping, SignalColumn, TickRule
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.charts.change import Change
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.ewms import Ewms
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_train.config import (
    CalibrationConfig,
    ChartsConfig,
    CorruptionConfig,
    FitConfig,
    NetworkConfig,
    TrainConfig,
)
from tickover_train.data import fit_scaler
from tickover_train.evaluation.baselines import PcaScorer
from tickover_train.evaluation.metrics import Floats
from tickover_train.evaluation.scorers import ModelScorer
from tickover_train.fitting.network import prepare
from tickover_train.pipeline import (
    Fold,
    Job,
    Product,
    finish,
    fit_folds,
)
from tickover_train.trips import Trip

QUARTERS = 4
HALVES = ((0, 1), (2, 3))
"""The quarters that each of two folds does not see."""
REACH = 5.75
"""Quarters from the middle of the training rows to the middle of the test part, which has about 750 rows."""
OWN, MOVED, LEARNT = (f", 600 {kind} rows in front" for kind in ("own", "moved", "learnt"))


@dataclass(frozen=True, slots=True)
class Member:
    """One model: its settings, the quarters of the training rows that each fold does not see, how far drift may reach.

    ``ranges``: as far as so many times the range of the quarters' means, in the place of ``reach``.
    ``episodes``: its alarm is an open episode, as on the device; otherwise a score at or over the limit.
    """

    config: TrainConfig
    held_out: tuple[tuple[int, ...], ...]
    reach: float
    episodes: bool
    ranges: float = 0.0


EWMS = Ewms(name="ewms", span_s=30.0)
EWMA = Ewma(name="ewma", span_s=30.0)
AUTOENCODER = Member(
    TrainConfig(
        name="skab",
        network=NetworkConfig(cell="gru", arch="autoencoder", hidden=16, bottleneck=2),
        fit=FitConfig(epochs=60, batch_rows=4, chunk=50, patience=10, device="cpu"),
        charts=ChartsConfig(banks=(EWMS, EWMA), baseline_span_s=0.0),
        calibration=CalibrationConfig(folds=len(HALVES), false_alarms=f"2/{skab.TRAIN_ROWS}s"),
    ),
    held_out=HALVES,
    reach=REACH,
    episodes=False,
)
FORECASTER = Member(
    structs.replace(
        AUTOENCODER.config,
        network=structs.replace(AUTOENCODER.config.network, arch="forecaster"),
        corruption=CorruptionConfig(missing=0.03, foreign=0.0, shifted=0.0),
        charts=structs.replace(AUTOENCODER.config.charts, banks=(EWMS,), baseline_span_s=1800.0),
        calibration=CalibrationConfig(folds=QUARTERS, false_alarms=f"1/{skab.TRAIN_ROWS}s"),
    ),
    held_out=tuple((n,) for n in range(QUARTERS)),
    reach=0.0,
    episodes=False,
)
"""Its inputs are not shifted: a forecaster takes its last input for the level."""
ALONE = replace(
    AUTOENCODER,
    config=structs.replace(
        AUTOENCODER.config,
        charts=structs.replace(
            AUTOENCODER.config.charts,
            banks=(
                Ewms(name="ewms", span_s=15.0),
                Ewma(name="ewma", span_s=15.0),
                Change(name="change", span_s=30.0, share=0.02),
            ),
        ),
        calibration=structs.replace(AUTOENCODER.config.calibration, false_alarms=f"3/{skab.TRAIN_ROWS}s"),
    ),
)
STEADY = replace(
    ALONE,
    config=structs.replace(
        ALONE.config,
        charts=structs.replace(ALONE.config.charts, baseline_span_s=900.0),
        episodes=structs.replace(ALONE.config.episodes, follow_back=7.5),
    ),
    reach=0.0,
    ranges=3.0,
)
"""Round 10's choice on other machines (``short_history.py``): a baseline, drift by the range of the quarters' means,
and slow means that follow within 120 s (900 / 7.5) what has come back."""
CONFIGURATIONS = {"one model": (STEADY,)}
"""Round 7's choice was ``ALONE``; round 6's pair, ``(AUTOENCODER, FORECASTER)``, had 28 % of normal rows in alarm."""


def job_of(rows: FloatArray, names: list[str], member: Member, seed: int) -> Job:
    """One run's training rows as four trips, each held out once."""
    config = structs.replace(member.config, seed=seed)
    trips = [Trip(f"quarter {n}", values) for n, values in enumerate(np.split(rows, QUARTERS))]
    mapping = Mapping(signals={name: SignalColumn() for name in names}, ticks=TickRule(period_s=1.0))
    scaler = fit_scaler([Trip("all", rows)])
    normalised = [prepare(t.values, scaler.center, scaler.scale, config.charts.input_clip) for t in trips]
    return Job(config, mapping, trips, scaler, normalised, member.held_out, torch.device("cpu"))


def detector_of(job: Job, fitted: Sequence[Fold], member: Member) -> Detector:
    """The finished model file, opened."""
    product = finish(job, fitted)
    limits = np.hypot(product.limits.limits, drift_of(job, product, member)).astype(np.float32)
    manifest = manifest_of(product.spec, limits, budget=product.limits.budget, episodes=job.config.episodes)
    return Detector(open_bytes(package(build(product.weights, product.spec, limits), manifest)))


def drift_of(job: Job, product: Product, member: Member) -> Floats:
    """How far each level chart's signal is allowed to have gone since it was learnt, ``[C]``.

    ``member.ranges`` times the range of the quarters' means, or as far as it goes in ``member.reach`` quarters at the
    fastest that it went between two. In units of the residual's spread, as charts are. A chart of changes does not see
    it: 0.
    """
    means = np.stack([trip.mean(axis=0) for trip in job.normalised]) / product.weights["residual.scale"]
    fastest = np.abs(np.diff(means, axis=0)).max(axis=0)
    drift = member.ranges * np.ptp(means, axis=0) if member.ranges else member.reach * fastest
    return np.concatenate([drift if bank.LEVEL else 0.0 * drift for bank in job.config.charts.banks])


def versions(folder: Path, number: int, seed: int) -> dict[str, skab.SkabFile]:
    """One file as it is, and with normal rows in front."""
    file, normal = skab.read_files(folder)[number], skab.read_normal(folder)
    moved = skab.moved_front(file, normal, seed * 1000 + number)
    return {
        "": file,
        OWN: skab.with_front(file, skab.own_front(file)),
        MOVED: skab.with_front(file, moved),
        LEARNT: skab.with_front(file, skab.learnt_front(file)),
    }


def one_file(task: tuple[Path, int, int]) -> dict[str, skab.Judged]:
    """The models, trained once, on every version of one file, and the floors beside them."""
    torch.set_num_threads(1)
    files = versions(*task)
    folder, _, seed = task
    rows, names = files[""].values[: skab.TRAIN_ROWS], skab.signal_names(folder)
    judged = {}
    for name, members in CONFIGURATIONS.items():
        jobs = [job_of(rows, names, member, seed) for member in members]
        detectors = [detector_of(job, fit_folds(job), m) for job, m in zip(jobs, members, strict=True)]
        for version, file in files.items():
            judged[f"tickover, {name}{version}"] = judge(members, detectors, file)
    for version, file in files.items():
        judged["pca residual" + version] = pca(file)
        judged["clock" + version] = skab.clock(file)
    return judged | floors(files[""], np.random.default_rng(task[1:]))


def judge(members: Sequence[Member], detectors: Sequence[Detector], file: skab.SkabFile) -> skab.Judged:
    """The model files side by side on one file, a new vehicle: alarm when any is in alarm, the score is the largest."""
    tracks = [ModelScorer(detector).clean([file.values], [[]])[0] for detector in detectors]
    alarms = [t.open if m.episodes else t.score >= 1.0 for m, t in zip(members, tracks, strict=True)]
    score = np.max([track.score for track in tracks], axis=0)
    return skab.tested(file, score.astype(np.float32), np.any(alarms, axis=0))


def floors(file: skab.SkabFile, random: np.random.Generator) -> dict[str, skab.Judged]:
    """What knows nothing of the rows."""
    noise, ones = random.random(len(file.values), np.float32), np.ones(len(file.values), np.float32)
    return {"always on": skab.tested(file, ones, ones > 0), "random": skab.tested(file, noise, noise > 0.5)}


def pca(file: skab.SkabFile) -> skab.Judged:
    """The PCA residual, its limit the highest training score."""
    train_rows = file.values[: skab.TRAIN_ROWS]
    scorer = PcaScorer(1.0, lambda scores: float(np.concatenate(scores).max()))
    scorer.clean([train_rows, train_rows], [[], []])
    score = scorer.score(0, file.values)
    return skab.tested(file, score.astype(np.float32), score >= 1.0)


def run(folder: Path, seed: int, processes: int) -> dict[str, object]:
    """All figures of one seed."""
    tasks = [(folder, number, seed) for number in range(len(skab.read_files(folder)))]
    began = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        judged = list(pool.map(one_file, tasks))
    named = {name: asdict(skab.figures([one[name] for one in judged])) for name in sorted(judged[0])}
    return {"seed": seed, "seconds": time.monotonic() - began, **named}


def show(result: dict[str, object]) -> None:
    print(f"\nseed {result['seed']}, {result['seconds']:.0f} s of training and running")
    head = f"{'':<46}{'F1':>7}{'FAR %':>8}{'MAR %':>8}{'NAB':>7}{'events':>9}{'delay':>7}{'onsets/h':>10}"
    print(f"{head}{'VUS-PR':>8}{'pooled':>8}")
    for name, one in result.items():
        if isinstance(one, dict):
            delay = "-" if one["delay_s"] is None else f"{one['delay_s']:.0f} s"
            print(
                f"{name:<46}{one['f1']:>7.3f}{100 * one['far']:>8.1f}{100 * one['mar']:>8.1f}{one['nab']:>7.1f}"
                f"{one['detected']:>5}/{one['events']:<3}{delay:>7}{one['false_onsets']['per_hour']:>10.2f}"
                f"{one['vus_pr']:>8.3f}{one['vus_pr_pooled']:>8.3f}"
            )
    print("published (not causal):")
    for name, (f1, far, mar) in skab.LEADERBOARD.items():
        print(f"{name:<46}{f1:>7.2f}{far:>8.1f}{mar:>8.1f}")


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

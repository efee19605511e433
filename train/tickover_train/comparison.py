"""Cells and architectures side by side: each trained briefly on the same trips and judged on others."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from msgspec import structs

from tickover.core.budget import budget_words
from tickover.core.manifest import Architecture, Cell
from tickover.core.values import FloatArray
from tickover.logs.mapping import Mapping
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_train.calibration.ladder import FIRST
from tickover_train.calibration.rates import Rate
from tickover_train.config import TrainConfig
from tickover_train.evaluation.baselines import beside
from tickover_train.evaluation.bench import Bench, bench_of
from tickover_train.evaluation.faults import KINDS
from tickover_train.evaluation.habits import habits_of
from tickover_train.evaluation.judge import Verdict, judge
from tickover_train.evaluation.scorers import ModelScorer
from tickover_train.fitting.horizon import horizons
from tickover_train.pipeline import (
    Job,
    Product,
    finish,
    fit_folds,
    new_job,
)
from tickover_train.trips import Trip

TEST_EVERY: Final = 4
"""Every fourth trip is held out for judging."""
TIMED_TICKS: Final = 2000
"""Single ticks that are timed on the trained model file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell in one architecture, judged on the test trips; ``tick_us`` is one tick on one core."""

    cell: str
    arch: str
    parameters: int
    train_s: float
    loss: float
    recall_at_limit: float
    recall_at_rate: float
    false_alarms: Rate
    in_alarm: float
    vus_pr: float
    horizon_s: float
    tick_us: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The entries in the order in which they ran; ``beside``: the baseline and the floors on the same test trips,
    which hold ``hours``.
    """

    entries: list[Entry]
    beside: list[Verdict]
    hours: float


def split(trips: Sequence[Trip]) -> tuple[list[Trip], list[Trip]]:
    """Trips to train on, and trips to judge on: every ``TEST_EVERY``-th, or else the last; a lone trip is both."""
    held_out = range(TEST_EVERY - 1, len(trips), TEST_EVERY) or range(len(trips) - 1, len(trips))
    training = [trip for number, trip in enumerate(trips) if number not in held_out]
    return training or list(trips), [trips[number] for number in held_out]


def compare(
    config: TrainConfig,
    mapping: Mapping,
    trips: Sequence[Trip],
    pairs: Iterable[tuple[Cell, Architecture]],
    tell: Callable[[str], None],
) -> Comparison:
    """Train and judge each pair with one configuration and one seed, all for one budget."""
    asked = config.budget or FIRST
    limited = structs.replace(config.calibration, false_alarms=budget_words(asked))
    config = structs.replace(config, calibration=limited)
    torch.set_num_threads(config.fit.threads)
    training, test = split(trips)
    bench = _bench(mapping, test, config.seed)
    entries = []
    for cell, arch in pairs:
        tell(f"{cell} {arch}: training")
        settings = structs.replace(config, network=structs.replace(config.network, cell=cell, arch=arch))
        began = time.monotonic()
        job = new_job(settings, mapping, training)
        product = finish(job, fit_folds(job))
        entry = _judged(job, product, bench, time.monotonic() - began)
        tell(f"{cell} {arch}: recall {100 * entry.recall_at_rate:.0f} % at the budgeted rate, {entry.train_s:.0f} s")
        entries.append(entry)
    budget = asked.per_hour
    return Comparison(entries, [judge(one, bench, budget) for one in beside(bench, budget, config.seed)], bench.hours)


def _bench(mapping: Mapping, test: Sequence[Trip], seed: int) -> Bench:
    """The test trips with their faults, the same for all."""
    values, period = [trip.values for trip in test], mapping.ticks.period_s
    habits = habits_of(values)
    return bench_of(values, mapping.manifest_signals(), habits, period, seed, list(KINDS), Counter())


def _judged(job: Job, product: Product, bench: Bench, seconds: float) -> Entry:
    data = _model(product, job.config)
    detector = Detector(open_bytes(data))
    manifest = detector.manifest
    verdict = judge(ModelScorer(detector), bench, manifest.false_alarms.per_hour)
    memory = horizons(product.network, job.normalised, job.config.seed)
    return Entry(
        cell=manifest.network.cell,
        arch=manifest.network.arch,
        parameters=manifest.network.parameters,
        train_s=seconds,
        loss=product.folds[0].fitted.best_loss,
        recall_at_limit=verdict.recall_at_limit,
        recall_at_rate=verdict.recall_at_rate,
        false_alarms=verdict.false_alarms,
        in_alarm=verdict.in_alarm,
        vus_pr=verdict.vus_pr,
        horizon_s=memory.memory.lag * manifest.tick_period_s,
        tick_us=_tick_us(detector, np.concatenate(bench.trips)[:TIMED_TICKS]),
        bytes=len(data),
    )


def _model(product: Product, config: TrainConfig) -> bytes:
    limits = product.limits
    manifest = manifest_of(product.spec, limits.limits, budget=limits.budget, episodes=config.episodes)
    return package(build(product.weights, product.spec, limits.limits), manifest)


def _tick_us(detector: Detector, ticks: FloatArray) -> float:
    """Median microseconds of one ``Detector.step``."""
    spent = []
    for row in ticks:
        began = time.perf_counter_ns()
        detector.step(row)
        spent.append(time.perf_counter_ns() - began)
    return float(np.median(spent)) / 1000.0

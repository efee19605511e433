"""From trips to a finished run: fit the folds, standardise the residuals, set the limits, prove what was made.

Each fold's network is blind to some trips, so that residuals and charts of every trip come from a network that has not
seen it: limits rest on all the trips, not on the few that were held out. The product's network is then fitted on all
the trips, for as long as the folds' were, from fold 0's first weights.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import tee
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import torch
from msgspec import structs

from tickover.core.manifest import Network, Rung
from tickover.core.sensor_habits import with_habits
from tickover.core.values import SECOND, FloatArray
from tickover.logs.mapping import Mapping
from tickover_export.run import limits_tuple
from tickover_export.spec import GraphSpec
from tickover_train.calibration.bus import resolve
from tickover_train.calibration.input_drift import drift_by_trip, usual_ranges
from tickover_train.calibration.ladder import Climb, climb
from tickover_train.calibration.legs import legs_of
from tickover_train.calibration.limits import Limits
from tickover_train.calibration.residuals import cold_starts, least_scales, standard
from tickover_train.calibration.scored import ScoredTrip
from tickover_train.calibration.scoring import chart_trips, open_unlimited
from tickover_train.calibration.wander import wandering
from tickover_train.cleaning.clean import Finding, clean
from tickover_train.config import FitConfig, TrainConfig
from tickover_train.data import Scaler, digest, fit_scaler, folds
from tickover_train.evaluation.rungs import recalls
from tickover_train.fitting import checkpoint
from tickover_train.fitting.fit import Checkpoint, Task, choose_device, fit
from tickover_train.fitting.network import (
    Recurrent,
    build,
    load_weights,
    parameters,
    prepare,
    weights_of,
)
from tickover_train.fitting.reference import expect
from tickover_train.fitting.side_by_side import FoldJob, News, fit_side_by_side
from tickover_train.stored.arrays import Arrays, Joined, chosen
from tickover_train.stored.room import Memory, Room
from tickover_train.trips import Trip, new_trips, some_of, sources_of, values_of

FIRST_KEYS: Final = {new: old for old, new in FitConfig.OLD_KEYS.items()}
"""A job is known by its keys' first names, so that a checkpoint of tickover 0.1 is resumed."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be trained: a configuration, normalised trips, and what to tell while at it.

    ``left_out``: what was wrong with the recordings, and is no part of the trips. ``room``: where trips and all that is
    made of them are kept. ``data_sha256``: of the trips.
    """

    config: TrainConfig
    mapping: Mapping
    trips: Sequence[Trip]
    scaler: Scaler
    normalised: Sequence[FloatArray]
    held_out: Sequence[Sequence[int]]
    device: torch.device
    checkpoints: Path | None = None
    tell: Callable[[float, str], None] = lambda done, text: None
    stopped: Callable[[], bool] = lambda: False
    tick: Callable[[float, str], None] = lambda done, text: None
    left_out: Sequence[Finding] = ()
    room: Room = field(default_factory=Memory)
    data_sha256: str = ""

    @property
    def period_s(self) -> float:
        """Seconds per tick."""
        return self.mapping.ticks.period_s

    @property
    def fits(self) -> int:
        """How many networks are fitted: one for each fold, and the one on all trips."""
        return len(self.held_out) + self.config.fit.all_trips

    @property
    def identity(self) -> str:
        """A hash of configuration and data: a checkpoint of another job is not resumed."""
        settings = structs.asdict(self.config.fit)
        del settings["all_trips"]  # says which networks are fitted, not how
        fit = {FIRST_KEYS.get(key, key): value for key, value in settings.items()}
        text = msgspec.json.encode((self.config.network, fit, self.config.corruption, self.config.seed))
        return hashlib.sha256(text + self.data_sha256.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Fold:
    """A fitted network, the trips that it has not seen, and how the fit went.

    ``memory``: the peak of the process that fitted it, bytes; None: it was this one.
    """

    network: Recurrent
    unseen: Sequence[int]
    fitted: Checkpoint
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """All that a run folder says: the network, its weights with scaler and residuals, spec, limits, and evidence.

    ``climb``: the limits of every budget; ``limits`` are those in use. ``sources``: the trips of ``charts``. ``whole``:
    how the fit on all trips went; None: the network is the first fold's.
    """

    network: Recurrent
    spec: GraphSpec
    weights: dict[str, FloatArray]
    climb: Climb
    folds: Sequence[Fold]
    charts: Sequence[ScoredTrip]
    sources: Sequence[str]
    residuals: Sequence[FloatArray] = field(default_factory=tuple)
    whole: Checkpoint | None = None

    @property
    def limits(self) -> Limits:
        """Of the budget in use."""
        return self.climb.limits

    @property
    def fit_words(self) -> str:
        """How its network was fitted, and how well the folds' were."""
        losses = ", ".join(f"{fold.fitted.best_loss:.2f}" for fold in self.folds)
        fit = "of fold 1 alone" if self.whole is None else f"fitted on all trips for {self.whole.epoch} epochs"
        return f"{fit}; held-out loss of the folds {losses}"


def new_job(
    config: TrainConfig,
    mapping: Mapping,
    trips: Sequence[Trip],
    checkpoints: Path | None = None,
    tell: Callable[[float, str], None] = lambda done, text: None,
    stopped: Callable[[], bool] = lambda: False,
    tick: Callable[[float, str], None] = lambda done, text: None,
    room: Room | None = None,
) -> Job:
    """Leave out what recorders did wrong, scale the trips and choose who is held out; ``room``: where what is made of
    the trips is kept.
    """
    room = room or Memory()
    cleaned = clean(trips, list(mapping.signals), mapping.ticks.period_s, new_trips(room))
    trips = cleaned.trips
    scaler = fit_scaler(trips)
    normalised = room.arrays()
    for values in values_of(trips):
        normalised.append(prepare(values, scaler.center, scaler.scale, config.charts.input_clip))
    held_out = folds(trips, config.calibration.folds, config.fit.held_out, config.seed)
    device = choose_device(config.fit.device)
    return Job(
        config,
        mapping,
        trips,
        scaler,
        normalised,
        held_out,
        device,
        checkpoints,
        tell,
        stopped,
        tick,
        cleaned.findings,
        room,
        digest(trips),
    )


def network_of(config: TrainConfig, period_s: float) -> Network:
    """The manifest's description of the network, parameters not yet counted."""
    settings = config.network
    window = max(2, round(settings.window_s / period_s)) if settings.arch == "seq2seq" else None
    return Network(
        cell=settings.cell, arch=settings.arch, hidden=settings.hidden, bottleneck=settings.bottleneck, window=window
    )


def fit_fold(job: Job, number: int) -> Fold:
    """Fit one fold, resuming its checkpoint when there is one."""
    unseen = job.held_out[number]
    trips, check = chosen(job.normalised, _seen(job, number)), chosen(job.normalised, unseen)
    return _fold(job, number, _fit(job, number, f"fold {number + 1}", trips, check, fold=number))


def _fit(
    job: Job,
    number: int,
    name: str,
    training: Sequence[FloatArray],
    held_out: Sequence[FloatArray],
    fold: int,
    epochs: int | None = None,
) -> Checkpoint:
    """One of the job's fits by its ``number`` and the ``name`` that people see; see `Task`."""
    task = Task(
        spec=network_of(job.config, job.period_s),
        config=job.config,
        period_s=job.period_s,
        fold=fold,
        training=training,
        held_out=held_out,
        device=job.device,
        tell=lambda done, text: job.tell((number + done) / job.fits, f"{name}, {text}"),
        save=lambda state: _save(job, number, state),
        tick=lambda done, text: job.tick((number + done) / job.fits, f"{name}, {text}"),
        stopped=job.stopped,
        room=job.room,
        epochs=epochs,
    )
    return fit(task, checkpoint.read(job.checkpoints, number, job.identity) if job.checkpoints else None)


def _save(job: Job, number: int, state: Checkpoint) -> None:
    if job.checkpoints:
        checkpoint.write(job.checkpoints, number, job.identity, state)


def fit_folds(job: Job, workers: int = 1) -> list[Fold]:
    """Every fold, or those that were begun when someone stopped it; always the first.

    With several ``workers``, folds are fitted side by side, to the same weights.
    """
    if workers > 1 and len(job.held_out) > 1:
        return _fit_side_by_side(job, workers)
    fitted: list[Fold] = []
    for number in range(len(job.held_out)):
        if fitted and job.stopped():
            break
        fitted.append(fit_fold(job, number))
    return fitted


def _fit_side_by_side(job: Job, workers: int) -> list[Fold]:
    spec = network_of(job.config, job.period_s)
    rest = (spec, job.config, job.period_s, str(job.device), job.checkpoints, job.identity)
    jobs = [FoldJob(number, _seen(job, number), list(unseen), *rest) for number, unseen in enumerate(job.held_out)]
    shares = [0.0] * len(jobs)

    def tell(news: News) -> None:
        shares[news.number] = news.done
        (job.tell if news.lasting else job.tick)(sum(shares) / job.fits, f"fold {news.number + 1}, {news.text}")

    found = fit_side_by_side(jobs, job.normalised, job.room, workers, tell, job.stopped)
    if found[0].checkpoint is None:
        raise KeyboardInterrupt
    return [
        _fold(job, number, one.checkpoint, one.memory) for number, one in enumerate(found) if one.checkpoint is not None
    ]


def fit_whole(job: Job, fitted: Sequence[Fold]) -> Checkpoint | None:
    """The product's network, fitted on all trips; None when that is off, or someone stopped it or a fold before it.

    It takes as many epochs as the folds' best weights did in the mean: there is no trip left to stop by.
    """
    if (
        not job.config.fit.all_trips
        or len(fitted) < len(job.held_out)
        or not all(fold.fitted.finished for fold in fitted)
        or job.stopped()
    ):
        return None
    epochs = max(1, round(float(np.mean([fold.fitted.best_epoch for fold in fitted]))))
    whole = _fit(job, len(job.held_out), "all trips", job.normalised, (), fold=0, epochs=epochs)
    return whole if whole.finished else None


def _seen(job: Job, number: int) -> list[int]:
    """The trips that a fold learns from."""
    unseen = job.held_out[number]
    return [i for i in range(len(job.trips)) if i not in unseen] or list(unseen)


def _fold(job: Job, number: int, fitted: Checkpoint, memory: int | None = None) -> Fold:
    return Fold(_network(job, fitted), job.held_out[number], fitted, memory)


def _network(job: Job, fitted: Checkpoint) -> Recurrent:
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and torch's generator is left as it was
        network = build(network_of(job.config, job.period_s), job.normalised[0].shape[1]).to(job.device)
    load_weights(network, fitted.best)
    return network.eval()


def finish(job: Job, fitted: Sequence[Fold], whole: Checkpoint | None = None) -> Product:
    """Standardise the residuals, run the exported graphs over unseen trips, set the limits.

    ``whole``: what `fit_whole` gave; None: the product's network is the first fold's.
    """
    spec = spec_of(job, fitted[0].network)
    residuals, legs = unseen_residuals(job, fitted, spec)
    cold = cold_starts(residuals, legs, spec.warm_up_ticks, job.period_s)
    spec = structs.replace(spec, cold=cold)
    least = least_scales(job.trips, job.scaler)
    residual = standard(residuals, spec.warm_up_ticks, cold, job.period_s, least)
    wander = wandering(residuals, residual, spec.warm_up_ticks, job.period_s)
    names = tuple(signal.name for signal, moves in zip(spec.signals, wander, strict=True) if moves)
    spec = structs.replace(spec, wandering=names)
    weights = [scaled_weights(job, fold.network, residual) for fold in fitted]
    charts = Joined(
        [
            chart_trips(open_unlimited(one, spec), some_of(job.trips, fold.unseen), room=job.room)
            for fold, one in zip(fitted, weights, strict=True)
        ]
    )
    config = job.config
    floor = config.calibration.floor
    climbed = climb(
        charts, config.budget, config.episodes, bounds(spec), job.period_s, floor, spec.shares, room=job.room
    )
    sources = sources_of(some_of(job.trips, [i for fold in fitted for i in fold.unseen]))
    network = fitted[0].network if whole is None else _network(job, whole)
    own = scaled_weights(job, network, residual)
    return Product(network, spec, own, climbed, fitted, charts, sources, residuals, whole)


def ladder_of(job: Job, product: Product, stopped: Callable[[], bool] = lambda: False) -> tuple[Rung, ...]:
    """The ladder for the manifest: each budget's limits, and what they detect on trips that their network has not
    seen; once ``stopped()`` is true that is not measured.
    """
    residual = Scaler(product.weights["residual.center"], product.weights["residual.scale"])
    judged = [
        (
            open_unlimited(scaled_weights(job, fold.network, residual), product.spec),
            values_of(some_of(job.trips, fold.unseen)),
        )
        for fold in product.folds
    ]
    rungs = product.climb.rungs
    detected = recalls(judged, [rung.limits for rung in rungs], stopped)
    return tuple(
        Rung(budget=rung.budget, limits=limits_tuple(rung.limits), recall=recall)
        for rung, recall in zip(rungs, detected, strict=True)
    )


def scaled_weights(job: Job, network: Recurrent, residual: Scaler) -> dict[str, FloatArray]:
    """A network's weights with the scaling that all of the job's share."""
    return weights_of(network) | scaling(job.scaler, residual)


def unseen_residuals(job: Job, fitted: Sequence[Fold], spec: GraphSpec) -> tuple[Arrays, Arrays]:
    """What each fold's network leaves of the trips that it has not seen, whole and in legs: normalised, ``[T, F]``."""
    residuals, legs = job.room.arrays(), job.room.arrays()
    for fold in fitted:
        trips = chosen(job.normalised, fold.unseen)
        taken = drift_by_trip(trips, spec.input_drift, job.period_s)
        unseen = map(np.subtract, trips, taken)
        kept, cut = tee(unseen)
        for trip, parts in zip(kept, legs_of(cut, len(trips), job.period_s, job.config.seed), strict=True):
            residuals.append(trip - expect(fold.network, trip))
            for leg in parts:
                legs.append(leg - expect(fold.network, leg))
    return residuals, legs


def spec_of(job: Job, network: Recurrent) -> GraphSpec:
    """What the graph builder needs besides weights and limits."""
    charts, ticks = job.config.charts, job.mapping.ticks
    period = round(ticks.period_s * SECOND)
    return GraphSpec(
        name=job.config.name,
        signals=with_habits(job.mapping.manifest_signals(), period, (trip.block_as_read(period) for trip in job.trips)),
        network=structs.replace(network_of(job.config, job.period_s), parameters=parameters(network)),
        tick_period_s=ticks.period_s,
        gap_limit_s=ticks.gap_limit_s,
        lateness_s=ticks.lateness_s,
        warm_up_ticks=round(charts.warm_up_s / ticks.period_s),
        banks=resolve(charts.banks, values_of(job.trips), list(job.mapping.signals)),
        clip=charts.clip,
        input_clip=charts.input_clip,
        baseline_span_s=charts.baseline_span_s or None,
        input_drift=usual_ranges(job.normalised, span_s) if (span_s := charts.input_drift_span_s) else None,
    )


def bounds(spec: GraphSpec) -> FloatArray:
    """What each chart can reach, ``[C]``."""
    return np.array([chart.bank.bound(spec.clip) for chart in spec.charts], np.float32)


def scaling(scaler: Scaler, residual: Scaler) -> dict[str, FloatArray]:
    """The four arrays that go with the network's weights."""
    return {
        "scaler.center": scaler.center,
        "scaler.scale": scaler.scale,
        "residual.center": residual.center,
        "residual.scale": residual.scale,
    }

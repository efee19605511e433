"""The steps of ``quality.py``: each measures one thing and gives rows, plain and small enough for JSON.

Networks are trained once for a split and a seed and stay in their checkpoint: when charts, limits or the judge change,
a step costs seconds to minutes.
"""

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from msgspec import structs
from window_autoencoder import WindowScorer

sys.path.insert(0, str(Path(__file__).parent.parent))

from small_models import many_signals, model_bytes, random_weights, small_spec, ticks_of
from tickover.core.budget import budget_words, is_same, parse_budget
from tickover.core.manifest import Rung
from tickover.errors import RunError
from tickover.logs.inspection import propose_mapping
from tickover.logs.mapping import Mapping
from tickover.model.detector import Detector
from tickover.model.session import open_bytes
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.ewms import Ewms
from tickover_export.charts.registry import Bank
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_export.retune import Retuned
from tickover_export.run import limits_array
from tickover_export.spec import InputDrift
from tickover_train.calibration.legs import cut_legs
from tickover_train.calibration.limits import calibrate
from tickover_train.calibration.scoring import chart_trips
from tickover_train.calibration.trained_limits import limits_at
from tickover_train.cleaning.clean import clean, find_defects, natural_ticks
from tickover_train.config import DEFAULT_BANKS, CalibrationConfig, TrainConfig
from tickover_train.data import Scaler, load_trips
from tickover_train.evaluation.baselines import FLOORS, FloorScorer, MahalanobisScorer, PcaScorer
from tickover_train.evaluation.bench import Bench, bench_of
from tickover_train.evaluation.faults import KINDS
from tickover_train.evaluation.habits import habits_of
from tickover_train.evaluation.judge import judge
from tickover_train.evaluation.scorers import ModelScorer, Scorer, Span, Track
from tickover_train.evaluation.sweep import Sweep
from tickover_train.fitting import checkpoint
from tickover_train.pipeline import Fold, Job, Product, finish, fit_folds, fit_whole, ladder_of, new_job, scaled_weights
from tickover_train.trips import Trip

Row = dict[str, Any]
LEFT_OUT: Final = "Messfehler"
"""The trip with a known measuring fault."""
HOURLY: Final = "1/h"
FIFTH: Final = "1/5h"
RARE: Final = "1/10h"
FAULTS_SEED: Final = 0
"""Every model meets the same faults: the spread over seeds is the training's."""
RETUNED_ON: Final = 6
"""Consecutive trips of a new season."""
COST_TICKS: Final = 2000
COST_ROUNDS: Final = 15


@dataclass
class Work:
    """One split with one seed; ``folder`` holds its checkpoint and its model."""

    split: str
    seed: int
    data: Path
    folder: Path

    @cached_property
    def logs(self) -> tuple[list[Path], list[Path]]:
        """Logs to train on, logs to judge on."""
        logs = sorted(path for path in (self.data / "kit-obd" / "1hz").glob("*.csv") if LEFT_OUT not in path.name)
        if not logs:
            raise SystemExit(f"{self.data}: expected kit-obd/1hz/*.csv in it; set TICKOVER_DATA or --data")
        if self.split == "season":
            return [path for path in logs if path.name < "2018"], [path for path in logs if path.name >= "2018"]
        return logs[::2], logs[1::2]

    @cached_property
    def mapping(self) -> Mapping:
        """As inspect proposes for the training logs."""
        return propose_mapping(self.logs[0], Mapping())[0]

    @cached_property
    def learnt(self) -> list[Trip]:
        return load_trips(self.logs[0], self.mapping, Counter(), print)

    @cached_property
    def judged(self) -> list[Trip]:
        return load_trips(self.logs[1], self.mapping, Counter(), print)

    def trained(self, banks: Sequence[Bank] = DEFAULT_BANKS) -> tuple[Job, list[Fold]]:
        """The job and its networks, from the checkpoint where that is of this job."""
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        defaults = TrainConfig(seed=self.seed, calibration=CalibrationConfig(false_alarms=HOURLY))
        config = structs.replace(defaults, charts=structs.replace(defaults.charts, banks=tuple(banks)))
        folder = self.folder / "checkpoint"
        folder.mkdir(parents=True, exist_ok=True)
        job = new_job(config, self.mapping, self.learnt, folder, lambda done, text: print(f"{done:.2f} {text}"))
        try:
            return job, fit_folds(job)
        except RunError:
            checkpoint.clear(folder)
            return job, fit_folds(job)

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"

    def detector(self, budget: str = HOURLY) -> Detector:
        """The model with the limits of one of its budgets."""
        data = self.model.read_bytes()
        asked = parse_budget(budget)
        rung = next(rung for rung in open_bytes(data).manifest.ladder if is_same(rung.budget, asked))
        return Detector(open_bytes(Retuned(data).finish(limits_array(rung.limits), rung.budget)))

    def bench(self, trips: Sequence[Trip], *, legs: bool = False) -> Bench:
        """Clean trips and the faults in them, whole or in legs."""
        period = self.mapping.ticks.period_s
        values = [trip.values for trip in trips]
        habits = habits_of(values)
        natural = natural_ticks(find_defects(trips, period), [len(one) for one in values], period)
        outside = [np.full_like(t.values, np.nan) if t.outside is None else t.outside for t in trips]
        if legs:
            values, natural, outside = (
                [leg for cut in cut_legs(whole, period, FAULTS_SEED) for leg in cut]
                for whole in (values, natural, outside)
            )
        signals = open_bytes(self.model.read_bytes()).manifest.signals
        return bench_of(values, signals, habits, period, FAULTS_SEED, list(KINDS), Counter(), natural, outside)


def verdict(scorer: Scorer, bench: Bench, budget: str = HOURLY) -> Row:
    """One scorer judged."""
    found: Row = msgspec.to_builtins(judge(scorer, bench, parse_budget(budget).per_hour))
    return found


def train(work: Work) -> list[Row]:
    """Fit or take up the networks, set the limits of the ladder, write the model; the ladder's rows."""
    job, fitted = work.trained()
    product = finish(job, fitted, fit_whole(job, fitted))
    ladder = ladder_of(job, product)
    work.model.write_bytes(model_of(job, product, ladder))
    return [
        msgspec.to_builtins(rung) | {"words": budget_words(rung.budget), "supported": rung.budget.is_supported}
        for rung in ladder
    ]


def model_of(job: Job, product: Product, ladder: tuple[Rung, ...]) -> bytes:
    limits = product.limits
    manifest = manifest_of(
        product.spec, limits.limits, budget=limits.budget, episodes=job.config.episodes, ladder=ladder
    )
    return package(build(product.weights, product.spec, limits.limits), manifest)


def whole(work: Work) -> list[Row]:
    """Unseen whole trips at the limits for 1/h and 1/10h, as one vehicle's; for 1/h as fresh vehicles', too."""
    bench, hourly = work.bench(work.judged), work.detector()
    return [
        verdict(ModelScorer(hourly), bench) | {"what": HOURLY},
        verdict(ModelScorer(work.detector(RARE)), bench, RARE) | {"what": RARE},
        verdict(ModelScorer(hourly, fresh=True), bench) | {"what": "1/h, vehicles fresh"},
    ]


def between(work: Work) -> list[Row]:
    """The same at the limits for 1/5h."""
    return [verdict(ModelScorer(work.detector(FIFTH)), work.bench(work.judged), FIFTH) | {"what": FIFTH}]


def legs(work: Work) -> list[Row]:
    """The same trips in legs, at the limits for 1/h; the peers beside them."""
    bench = work.bench(work.judged, legs=True)
    return [verdict(one, bench) | {"what": "legs"} for one in (ModelScorer(work.detector()), *peers(work, bench))]


def beside(work: Work) -> list[Row]:
    """Peers and floors on whole trips."""
    bench = work.bench(work.judged)
    floors = [FloorScorer(name, bench.period_s, FAULTS_SEED, parse_budget(HOURLY).per_hour) for name in FLOORS]
    window = WindowScorer(bench.period_s, limit_rule(bench), learnt_values(work))
    return [verdict(one, bench) | {"what": "whole"} for one in (*peers(work, bench), window, *floors)]


def peers(work: Work, bench: Bench) -> list[Scorer]:
    """Simple models of the very trips that the network has learnt, cleaned alike."""
    kinds = (MahalanobisScorer, PcaScorer)
    return [kind(bench.period_s, limit_rule(bench), learnt_values(work)) for kind in kinds]


def learnt_values(work: Work) -> list[np.ndarray]:
    cleaned = clean(work.learnt, list(work.mapping.signals), work.mapping.ticks.period_s)
    return [trip.values for trip in cleaned.trips]


def limit_rule(bench: Bench) -> Callable[[Sequence[np.ndarray]], float]:
    """The level that keeps 1/h on a peer's own training trips."""
    return lambda scores: Sweep(scores, bench.merge, sum(map(len, scores)) * bench.period_s / 3600.0).level(1.0)


def retunes(work: Work) -> list[Row]:
    """``retune --false-alarms 1/h`` on every set of six consecutive trips, judged on the others."""
    rows, data, trips = [], work.model.read_bytes(), work.judged
    for first in range(len(trips) - RETUNED_ON + 1):
        chosen = list(range(first, first + RETUNED_ON))
        rest = [trip for number, trip in enumerate(trips) if number not in chosen]
        model = Retuned(data)
        manifest = model.manifest
        own = clean([trips[n] for n in chosen], manifest.names, manifest.tick_period_s).trips
        charts = chart_trips(Detector(open_bytes(model.unlimited())), own, settled=True)
        floor = CalibrationConfig().floor
        parts = np.array([chart.share for chart in manifest.charts], np.float32)
        budget, period = parse_budget(HOURLY), manifest.tick_period_s
        trained = limits_at(manifest, budget)
        limits = calibrate(charts, budget, manifest.episodes, model.bounds, period, floor, parts, trained)
        retuned = Detector(open_bytes(model.finish(limits.limits, limits.budget)))
        found = verdict(ModelScorer(retuned), work.bench(rest))
        off = int(np.isinf(limits.limits).sum())
        rows.append(found | {"what": trips[first].source, "off": off})
        print(f"{first}: recall {found['recall_at_limit']:.3f}, {found['false_alarms']['per_hour']:.2f}/h", flush=True)
    return rows


class FoldsScorer:
    """Every fold's model on the trips that its network has not seen: the training trips judged out of sample."""

    name = "folds"

    def __init__(self, scorers: Sequence[ModelScorer], sizes: Sequence[int]) -> None:
        self._scorers = scorers
        self._edges = np.cumsum([0, *sizes])

    def clean(
        self, trips: Sequence[np.ndarray], marks: Sequence[Sequence[int]], outside: Sequence[Any] | None = None
    ) -> list[Track]:
        parts = [slice(a, b) for a, b in zip(self._edges, self._edges[1:], strict=False)]
        return [
            track
            for scorer, part in zip(self._scorers, parts, strict=True)
            for track in scorer.clean(trips[part], marks[part], outside[part] if outside else None)
        ]

    def spans(self, spans: Sequence[Span]) -> list[Track]:
        found: list[Track | None] = [None] * len(spans)
        for number, scorer in enumerate(self._scorers):
            first, last = self._edges[number], self._edges[number + 1]
            own = [place for place, span in enumerate(spans) if first <= span.trip < last]
            moved = [counted_from(spans[place], int(first)) for place in own]
            for place, track in zip(own, scorer.spans(moved) if moved else [], strict=True):
                found[place] = track
        return [track for track in found if track is not None]


def counted_from(span: Span, first: int) -> Span:
    """The span with its trip counted from ``first``."""
    return Span(span.trip - first, span.start, span.values, span.outside)


def ideas(work: Work) -> list[Row]:
    """The level chart, with each of the other default banks alone, and with all: on the training trips, each
    judged by the network that has not seen it.
    """
    first, *others = DEFAULT_BANKS
    choices = {first.name: (first,)} | {f"{first.name} + {one.name}": (first, one) for one in others}
    choices["all"] = DEFAULT_BANKS
    rows = []
    for name, banks in choices.items():
        job, fitted = work.trained(banks)
        product = finish(job, fitted)
        trips = [job.trips[i] for fold in fitted for i in fold.unseen]
        scorers = [ModelScorer(fold_detector(job, product, fold)) for fold in fitted]
        scorer = FoldsScorer(scorers, [len(fold.unseen) for fold in fitted])
        rows.append(verdict(scorer, work.bench(trips)) | {"what": name})
        print(name, rows[-1]["recall_at_rate"], flush=True)
    return rows


def fold_detector(job: Job, product: Product, fold: Fold) -> Detector:
    """A fold's network with the product's limits."""
    residual = Scaler(product.weights["residual.center"], product.weights["residual.scale"])
    weights = scaled_weights(job, fold.network, residual)
    manifest = manifest_of(
        product.spec, product.limits.limits, budget=product.limits.budget, episodes=job.config.episodes
    )
    return Detector(open_bytes(package(build(weights, product.spec, product.limits.limits), manifest)))


OLD_BANKS: Final[tuple[Bank, ...]] = (
    Ewma(name="fast", span_s=10.0),
    Ewma(name="slow", span_s=120.0),
    Ewms(name="energy", span_s=30.0),
)
"""The default charts of commit a19afef."""


def cost(work: Work) -> list[Row]:
    """A tick, a chunk of ticks and the state of 16 signals with today's charts, over those with the charts of a19afef;
    in turns, median of the rounds.
    """
    detectors = {}
    for name, banks in (("old", OLD_BANKS), ("now", DEFAULT_BANKS)):
        drift = InputDrift(low=(-2.0,) * 16, high=(2.0,) * 16, span_s=1800.0)
        spec = small_spec(
            signals=many_signals(16), hidden=64, banks=resolved(banks), baseline_span_s=1800.0, input_drift=drift
        )
        weights = random_weights(spec)
        detectors[name] = Detector(open_bytes(model_bytes(spec, weights))), ticks_of(spec, weights, COST_TICKS)[0]
    spent: dict[tuple[str, str], list[float]] = {}
    for _ in range(COST_ROUNDS):
        for name, (detector, ticks) in detectors.items():
            began = time.perf_counter()
            for row in ticks[: COST_TICKS // 4]:
                detector.step(row)
            middle = time.perf_counter()
            detector.run(ticks)
            spent.setdefault((name, "tick"), []).append(middle - began)
            spent.setdefault((name, "chunk"), []).append(time.perf_counter() - middle)
    state = {name: sum(one.size for one in d.manifest.states) for name, (d, _) in detectors.items()}
    ratios = {what: float(np.median(spent["now", what]) / np.median(spent["old", what])) for what in ("tick", "chunk")}
    return [ratios | {"state": state["now"] / state["old"], "state_bytes": 4 * state["now"]}]


def resolved(banks: Sequence[Bank]) -> tuple[Bank, ...]:
    """Banks over the whole bus look at all of the signals here."""
    names = tuple(signal.name for signal in many_signals(16))
    return tuple(
        structs.replace(bank, signals=names) if hasattr(bank, "signals") and not bank.signals else bank
        for bank in banks
    )


def skab(work: Work) -> list[Row]:
    """``skab.py`` with one seed: all figures."""
    out = work.folder / "skab.json"
    script = Path(__file__).with_name("skab.py")
    subprocess.run(
        [sys.executable, str(script), "--seeds", str(work.seed), "--json", str(out), "--processes", "1"],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TICKOVER_DATA": str(work.data)},
    )
    rows: list[Row] = msgspec.json.decode(out.read_bytes())
    return rows


def alternator(work: Work) -> list[Row]:
    """Trained on the clean logs of the shared alternator cases: when the faulty ones raise a first alert, and whether
    an episode is open at the end. The faults begin at 900 s.
    """
    cases = Path(os.environ.get("TICKOVER_CASES", Path(__file__).resolve().parents[3] / "shared" / "cases")) / "logs"
    run, model = work.folder / "run", work.folder / "alternator.onnx"
    tickover("train", *sorted(cases.glob("alternator_clean*.csv")), "--seed", work.seed, "--out", run, "--fresh")
    tickover("export", run, "--out", model)
    rows = []
    for log in sorted(cases.glob("alternator_fault_*.csv")):
        scores = work.folder / f"{log.stem}.csv"
        tickover("replay", model, log, "--scores", scores)
        with scores.open(newline="") as file:
            table = list(csv.DictReader(file))
        over = [
            number for number, row in enumerate(table) if number >= FAULT_TICK and row["open"] in ("1", "true", "True")
        ]
        rows.append(
            {"what": log.stem, "delay_s": over[0] - FAULT_TICK if over else None, "open": over[-1:] == [len(table) - 1]}
        )
    return rows


FAULT_TICK: Final = 900


def tickover(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "tickover", *map(str, words)], check=True, stdout=subprocess.DEVNULL)

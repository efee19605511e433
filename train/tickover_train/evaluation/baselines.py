"""The baseline and the floors that stand beside every result, because one that does not beat them says nothing."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from tickover.core.values import FloatArray
from tickover_train.evaluation.bench import Bench
from tickover_train.evaluation.metrics import Floats
from tickover_train.evaluation.scorers import Scorer, Span, Track
from tickover_train.evaluation.sweep import Sweep

PCA_KEPT: Final = 0.9
"""Share of the variance that the PCA's components explain."""
SMOOTH_S: Final = 30.0
"""Span of the EWMA over a baseline's distance; without it the baseline is far weaker."""
RIDGE: Final = 1e-3
"""Added to the diagonal of a correlation matrix."""
CLOCK_S: Final = 600.0
"""The clock alarms from this long after a trip's start, whatever the data are."""
FLOORS: Final = ("random", "always on", "clock")

LimitRule = Callable[[Sequence[Floats]], float]
"""From clean scores to the level that keeps the budget."""


def beside(bench: Bench, budget: float, seed: int, learnt: Sequence[FloatArray] = ()) -> list[Scorer]:
    """The baselines and the floors for ``budget`` false alarms an hour.

    The baselines are fitted to ``learnt``, or else to the trips that are judged (see ``HalvesScorer``).
    """

    def limit(scores: Sequence[Floats]) -> float:
        hours = sum(map(len, scores)) * bench.period_s / 3600.0
        return Sweep(scores, bench.merge, hours).level(budget)

    floors = [FloorScorer(name, bench.period_s, seed, budget) for name in FLOORS]
    peers = [peer(bench.period_s, limit, learnt) for peer in (PcaScorer, MahalanobisScorer)]
    return [*peers, *floors]


class Fit(Protocol):
    """A simple model of some trips ``[T, F]``."""

    def residual(self, values: FloatArray) -> Floats:
        """How far each tick is from it, ``[T]``."""


class HalvesScorer:
    """A simple model, smoothed. Subclasses say which.

    It is fitted to half of the clean trips and judges the other half, and the other way round (even and odd numbers),
    because the model's training trips are not in the model file. Its limit is what ``limit_of`` says of the half to
    which it was fitted. So it has seen trips of the same season as those it judges, which the model need not have.
    With ``learnt`` it is fitted to those trips instead, and has seen no more than a model of the same trips.
    """

    name: str
    fit: Callable[[Sequence[FloatArray]], Fit]
    reach = 1
    """Ticks before a tick that its residual may look at."""

    def __init__(self, period_s: float, limit_of: LimitRule, learnt: Sequence[FloatArray] = ()) -> None:
        self._learnt = list(learnt)
        self._alpha = 2.0 / (SMOOTH_S / period_s + 1.0)
        self._limit_of = limit_of
        self._fits: list[Fit] = []
        self._trips: Sequence[FloatArray] = ()
        self._limits: list[float] = []
        self._raw: list[Floats] = []
        self._smooth: list[Floats] = []

    def clean(
        self,
        trips: Sequence[FloatArray],
        marks: Sequence[Sequence[int]],
        outside: Sequence[FloatArray | None] | None = None,
    ) -> list[Track]:
        """Fit both halves, then score every trip by the other half's fit."""
        self._trips = trips
        halves = [
            self._learnt or [trip for n, trip in enumerate(trips) if n % 2 == half] or list(trips) for half in (0, 1)
        ]
        first = type(self).fit(halves[0])
        self._fits = [first, first if self._learnt else type(self).fit(halves[1])]
        own = [
            [self._filter(fit.residual(trip)) for trip in half] for fit, half in zip(self._fits, halves, strict=True)
        ]
        self._limits = [self._limit_of(scores) for scores in own]
        self._raw = [self._fit(n).residual(trip) for n, trip in enumerate(trips)]
        self._smooth = [self._filter(raw) for raw in self._raw]
        return [self._track(n, score) for n, score in enumerate(self._smooth)]

    def spans(self, spans: Sequence[Span]) -> list[Track]:
        """Score spans, the filter carried on from the clean past."""
        tracks = []
        for span in spans:
            past = float(self._smooth[span.trip][span.start - 1]) if span.start else None
            # The ticks before belong to the first ones: a change needs one, a window more.
            lead = self._trips[span.trip][max(span.start - self.reach, 0) : span.start]
            raw = self._fit(span.trip).residual(np.concatenate((lead, span.values)))[len(lead) :]
            tracks.append(self._track(span.trip, self._filter(raw, past)))
        return tracks

    def score(self, trip: int, values: FloatArray) -> Floats:
        """Scores of other ticks ``[T, F]`` by the fit and limit that judge trip number ``trip``; 1.0 is the limit."""
        return self._track(trip, self._filter(self._fit(trip).residual(values))).score

    def _fit(self, trip: int) -> Fit:
        return self._fits[(trip + 1) % 2]

    def _track(self, trip: int, smooth: Floats) -> Track:
        score = np.asarray(smooth / self._limits[(trip + 1) % 2], dtype=np.float64)
        return Track(score, score >= 1.0)

    def _filter(self, raw: Floats, past: float | None = None) -> Floats:
        # The filter begins settled at the first value, or carries on from the clean tick before a span.
        start = (1.0 - self._alpha) * (raw[0] if past is None else past)
        smooth, _ = lfilter([self._alpha], [1.0, self._alpha - 1.0], raw, zi=[start])
        return np.asarray(smooth, dtype=np.float64)


class _Pca:
    """Centre, scale and components of some trips; a missing value counts as usual."""

    def __init__(self, trips: Sequence[FloatArray]) -> None:
        pooled = np.concatenate(trips).astype(np.float64)
        self.center, self.scale = _center_and_scale(pooled)
        normal = self._normal(pooled)
        # The components of the standardised ticks; eigh gives them from the smallest variance to the largest.
        variance, vectors = np.linalg.eigh(normal.T @ normal)
        share = np.cumsum(variance[::-1]) / max(float(variance.sum()), 1e-12)
        self.components = vectors[:, ::-1][:, : int(np.searchsorted(share, PCA_KEPT)) + 1]

    def _normal(self, values: npt.NDArray[np.floating]) -> Floats:
        normal: Floats = np.nan_to_num((values - self.center) / self.scale, nan=0.0)
        return normal

    def residual(self, values: FloatArray) -> Floats:
        """Squared distance from the components' plane, ``[T]``."""
        normal = self._normal(values)
        rest = normal - normal @ self.components @ self.components.T
        distance: Floats = (rest**2).sum(1)
        return distance


class _Mahalanobis:
    """Centre and inverse covariance of levels and changes of some trips; a missing value counts as usual."""

    def __init__(self, trips: Sequence[FloatArray]) -> None:
        pooled = np.concatenate([_levels_and_changes(trip) for trip in trips])
        self.center, self.scale = _center_and_scale(pooled)
        normal = np.nan_to_num((pooled - self.center) / self.scale, nan=0.0)
        # A ridge: a signal that never changes, or that another one repeats, leaves the covariance without an inverse.
        self.inverse = np.linalg.inv(normal.T @ normal / len(normal) + RIDGE * np.eye(normal.shape[1]))

    def residual(self, values: FloatArray) -> Floats:
        """Squared distance from the centre, ``[T]``."""
        normal = np.nan_to_num((_levels_and_changes(values) - self.center) / self.scale, nan=0.0)
        distance: Floats = np.einsum("tf,fg,tg->t", normal, self.inverse, normal)
        return distance


def _levels_and_changes(values: FloatArray) -> Floats:
    """``[T, 2F]``: the values and how far each is from the tick before; a first tick has no change."""
    levels = values.astype(np.float64)
    return np.concatenate((levels, np.diff(levels, axis=0, prepend=np.full((1, levels.shape[1]), np.nan))), axis=1)


def _center_and_scale(pooled: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation ``[N]`` of what is there; a scale of 1 where nothing spreads."""
    seen = np.isfinite(pooled)
    count = np.maximum(seen.sum(0), 1)
    center = np.where(seen, pooled, 0.0).sum(0) / count
    spread = np.sqrt((np.where(seen, pooled - center, 0.0) ** 2).sum(0) / count)
    return center, np.where(spread > 0, spread, 1.0)


class PcaScorer(HalvesScorer):
    """The residual of a principal component model (Q statistic, Jackson and Mudholkar 1979)."""

    name = "pca residual"
    fit = _Pca


class MahalanobisScorer(HalvesScorer):
    """The Mahalanobis distance of levels and changes (Hotelling 1947): the strongest simple peer."""

    name = "mahalanobis"
    fit = _Mahalanobis


PEERS: Final = (PcaScorer.name, MahalanobisScorer.name)
"""Simple models that stand beside a detector."""


class FloorScorer:
    """A floor: a score that does not look at the data, so that faults change nothing."""

    def __init__(self, name: str, period_s: float, seed: int, budget_per_hour: float) -> None:
        self.name = name
        self._period = period_s
        self._seed = seed
        self._chance = budget_per_hour * period_s / 3600.0
        self._tracks: list[Track] = []

    def clean(
        self,
        trips: Sequence[FloatArray],
        marks: Sequence[Sequence[int]],
        outside: Sequence[FloatArray | None] | None = None,
    ) -> list[Track]:
        """The floor's scores for trips of these lengths."""
        rng = np.random.default_rng([self._seed, len(trips)])
        self._tracks = [self._make(len(trip), rng) for trip in trips]
        return self._tracks

    def spans(self, spans: Sequence[Span]) -> list[Track]:
        """The same scores as without a fault."""
        tracks = []
        for span in spans:
            track, part = self._tracks[span.trip], slice(span.start, span.start + len(span.values))
            tracks.append(Track(track.score[part], track.open[part]))
        return tracks

    def _make(self, length: int, rng: np.random.Generator) -> Track:
        if self.name == "random":
            score = rng.random(length)
            return Track(score, score >= 1.0 - self._chance)
        if self.name == "always on":
            return Track(np.ones(length), np.ones(length, dtype=bool))
        seconds = np.arange(length, dtype=np.float64) * self._period
        return Track(seconds, seconds >= CLOCK_S)

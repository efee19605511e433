"""Scorers, which can be judged: what one must do, and the model file as one.

A scorer runs over clean trips once, and then over *spans*: faulty ticks in the place of clean ones, from a fault's
onset to the end of its grace. The past of a span is the clean trip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import structs

from tickover.core.values import (
    Alert,
    FloatArray,
    Phase,
    TickBlock,
)
from tickover.core.watch import Watch
from tickover.model.detector import Detector
from tickover_train.evaluation.held import HeldRun, Piece, Saved
from tickover_train.evaluation.metrics import Bools, Floats
from tickover_train.evaluation.own_evidence import Left, OwnEvidence

Times = npt.NDArray[np.int64]

BATCH: Final = 256
"""Spans run side by side."""
VEHICLE: Final = "judged"
NEVER_S: Final = 1e9


@dataclass(frozen=True, slots=True)
class Span:
    """``values`` float32 ``[N, F]`` stand in for the ticks of trip number ``trip`` from tick ``start`` on.

    ``outside``: as in a ``TickBlock``.
    """

    trip: int
    start: int
    values: FloatArray
    outside: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """What a scorer says of consecutive ticks: ``score`` ``[T]``, and ``open`` bool ``[T]``, its alarm's state."""

    score: Floats
    open: Bools


class Scorer(Protocol):
    """Something to judge."""

    name: str

    def clean(
        self,
        trips: Sequence[FloatArray],
        marks: Sequence[Sequence[int]],
        outside: Sequence[FloatArray | None] | None = None,
    ) -> list[Track]:
        """Run over clean trips ``[T, F]``; ``marks`` are, per trip, the ticks at which spans start later, ``outside``
        the readings out of range, as in a ``TickBlock``.
        """

    def spans(self, spans: Sequence[Span]) -> list[Track]:
        """Run each span from the clean past of its trip."""


@dataclass(frozen=True, slots=True)
class _Past:
    """Where the model stood before one tick: the graph's state and that of everything that watches it."""

    state: FloatArray
    watch: Saved
    left: Left


class ModelScorer:
    """The model file with its own limits, episodes and sensors, as on the device: slow means hold while an episode is
    open, a sensor that is called faulty is an alarm, and a chart that a trip begins with over its limit counts for
    nothing until it shows something new.

    The trips are one vehicle's, one after the other: what belongs to the vehicle is carried from trip to trip. With
    ``fresh`` each trip is that of a vehicle that was never seen.
    """

    def __init__(self, detector: Detector, *, fresh: bool = False) -> None:
        self.name = "model, vehicles fresh" if fresh else "model"
        self.detector = detector
        self.manifest = detector.manifest
        self.alerts: list[list[Alert]] = []
        self.expected: list[FloatArray] = []
        self.tracks: list[Track] = []
        self._fresh = fresh
        # Freeze-frames and updates are kept small: they play no part in opening or closing.
        self._policy = structs.replace(self.manifest.episodes, update_every_s=NEVER_S)
        self._sensors = structs.replace(self.manifest.sensors, update_every_s=NEVER_S)
        self._held = HeldRun(detector, self._policy)
        self._times: list[Times] = []
        self._past: dict[tuple[int, int], _Past] = {}

    def clean(
        self,
        trips: Sequence[FloatArray],
        marks: Sequence[Sequence[int]],
        outside: Sequence[FloatArray | None] | None = None,
    ) -> list[Track]:
        """Run all trips in order, keeping the past at the marks (exactly what a span then starts from)."""
        self._times = self._clock(trips)
        self.alerts, self.expected, self.tracks, self._past = [], [], [], {}
        state, watch, own = self.detector.new_state(), self._watch(), OwnEvidence(self.manifest)
        for number, trip in enumerate(trips):
            if self._fresh:
                state, watch, own = self.detector.new_state(), self._watch(), OwnEvidence(self.manifest)
            if number and not self._fresh:
                watch.begin_trip(int(self._times[number][0]), state)
            state = self.detector.reset_trip(state)
            ticks = self._block(number, 0, trip, outside[number] if outside else None)
            pieces, score = [], []
            for first, last in pairwise(sorted({0, *marks[number], len(trip)})):
                self._past[number, first] = _Past(state.copy(), watch.state(), own.state())
                piece = Piece(watch, state, ticks.part(slice(first, last)))
                self._held.run([piece])
                state = piece.state
                pieces.append(piece)
                after_another = first == 0 and number > 0 and not self._fresh
                score.append(own.score(trip[first:last], piece.scores, first, after_another=after_another))
            self._keep(pieces, np.concatenate(score))
        return self.tracks

    def spans(self, spans: Sequence[Span]) -> list[Track]:
        """Run spans in batches, each from its past."""
        tracks: list[Track] = [Track(np.empty(0), np.empty(0, dtype=bool))] * len(spans)
        # By length, so that a batch holds little filling.
        order = sorted(range(len(spans)), key=lambda place: len(spans[place].values))
        own = OwnEvidence(self.manifest)
        for begin in range(0, len(order), BATCH):
            chosen = order[begin : begin + BATCH]
            pieces = [self._piece(spans[place]) for place in chosen]
            self._held.run(pieces)
            for place, piece in zip(chosen, pieces, strict=True):
                span = spans[place]
                own.restore(self._past[span.trip, span.start].left)
                score = own.score(span.values, piece.scores, span.start, after_another=False)
                tracks[place] = Track(score, piece.open)
        return tracks

    def starts(self, number: int) -> list[tuple[int, Alert]]:
        """The clean trip's episode openings: (tick, alert)."""
        first, period = int(self._times[number][0]), self.manifest.period
        return [((a.time - first) // period, a) for a in self.alerts[number] if a.phase is Phase.START]

    def _piece(self, span: Span) -> Piece:
        past, watch = self._past[span.trip, span.start], self._watch()
        watch.restore(*past.watch)
        return Piece(watch, past.state, self._block(span.trip, span.start, span.values, span.outside), last=True)

    def _keep(self, pieces: Sequence[Piece], score: Floats) -> None:
        """What came of one clean trip."""
        self.alerts.append([alert for piece in pieces for alert in piece.alerts])
        self.expected.append(np.concatenate([piece.scores.expected for piece in pieces]))
        self.tracks.append(Track(score, np.concatenate([piece.open for piece in pieces])))

    def _watch(self) -> Watch:
        return Watch(self.manifest, self.detector.digest, VEHICLE, policy=self._policy, sensors=self._sensors)

    def _block(self, number: int, first: int, values: FloatArray, outside: FloatArray | None) -> TickBlock:
        time = self._times[number][first : first + len(values)]
        return TickBlock(VEHICLE, time, np.full(len(values), number, dtype=np.int64), values, outside)

    def _clock(self, trips: Sequence[FloatArray]) -> list[Times]:
        """Times for the trips, one after the other, further apart than the gap limit and than an episode lasts without
        evidence: trips are hours apart, and none goes on in the next one.
        """
        period = self.manifest.period
        gap = int(max(self.manifest.gap_limit_s, self._policy.no_data_s) * 1e6 // period) + 1
        times, tick = [], 0
        for trip in trips:
            times.append((tick + np.arange(len(trip), dtype=np.int64)) * period)
            tick += len(trip) + gap
        return times

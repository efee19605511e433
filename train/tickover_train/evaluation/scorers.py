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

from tickover.core.episodes import Episodes
from tickover.core.values import (
    Alert,
    FloatArray,
    Phase,
    TickBlock,
)
from tickover.model.detector import Detector
from tickover_train.evaluation.metrics import Bools, Floats

Times = npt.NDArray[np.int64]

BATCH: Final = 256
"""Spans run side by side."""
VEHICLE: Final = "judged"
NEVER_S: Final = 1e9


@dataclass(frozen=True, slots=True)
class Span:
    """``values`` float32 ``[N, F]`` stand in for the ticks of trip number ``trip`` from tick ``start`` on."""

    trip: int
    start: int
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Track:
    """What a scorer says of consecutive ticks: ``score`` ``[T]``, and ``open`` bool ``[T]``, its alarm's state."""

    score: Floats
    open: Bools


class Scorer(Protocol):
    """Something to judge."""

    name: str

    def clean(self, trips: Sequence[FloatArray], marks: Sequence[Sequence[int]]) -> list[Track]:
        """Run over clean trips ``[T, F]``; ``marks`` are, per trip, the ticks at which spans start later."""

    def spans(self, spans: Sequence[Span]) -> list[Track]:
        """Run each span from the clean past of its trip."""


@dataclass(frozen=True, slots=True)
class _Past:
    """Where the model stood before one tick: the graph's state and the episode logic's."""

    state: FloatArray
    episodes: bytes


class ModelScorer:
    """The model file with its own limits and its own episodes, as on the device.

    The trips are one vehicle's, one after the other: what belongs to the vehicle is carried from trip to trip.
    """

    name = "model"

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.manifest = detector.manifest
        self.alerts: list[list[Alert]] = []
        self.expected: list[FloatArray] = []
        self.tracks: list[Track] = []
        self._times: list[Times] = []
        self._past: dict[tuple[int, int], _Past] = {}

    def clean(self, trips: Sequence[FloatArray], marks: Sequence[Sequence[int]]) -> list[Track]:
        """Run all trips in order, keeping the past at the marks (exactly what a span then starts from)."""
        self._times = self._clock(trips)
        self.alerts, self.expected, self._past = [], [], {}
        state = self.detector.new_state()
        episodes = self._episodes()
        tracks = []
        for number, trip in enumerate(trips):
            state = self.detector.reset_trip(state)
            self.alerts.append([])
            self.expected.append(np.empty_like(trip))
            track = Track(np.empty(len(trip)), np.empty(len(trip), dtype=bool))
            cuts = sorted({0, *marks[number], len(trip)})
            for first, last in pairwise(cuts):
                # Exactly what a span that starts here begins from: the graph's state and the episode logic's.
                self._past[number, first] = _Past(state.copy(), episodes.state())
                states, scores = self.detector.run_batch(state[None], trip[first:last, None])
                state = states[0]
                one = scores.at(np.s_[: last - first, 0])
                track.score[first:last], self.expected[number][first:last] = one.score, one.expected
                track.open[first:last], alerts = episodes.feed(self._block(number, first, trip[first:last]), one)
                self.alerts[number] += alerts
            tracks.append(track)
        self.tracks = tracks
        return tracks

    def spans(self, spans: Sequence[Span]) -> list[Track]:
        """Run spans in batches; shorter ones are filled up with missing ticks, whose scores are left out."""
        tracks: list[Track] = [Track(np.empty(0), np.empty(0, dtype=bool))] * len(spans)
        # By length, so that a batch holds little filling.
        order = sorted(range(len(spans)), key=lambda place: len(spans[place].values))
        episodes = self._episodes()
        for begin in range(0, len(order), BATCH):
            chosen = order[begin : begin + BATCH]
            batch = [spans[place] for place in chosen]
            x = np.full(
                (max(len(span.values) for span in batch), len(batch), batch[0].values.shape[1]), np.nan, np.float32
            )
            for place, span in enumerate(batch):
                x[: len(span.values), place] = span.values
            past = [self._past[span.trip, span.start] for span in batch]
            _, scores = self.detector.run_batch(np.stack([one.state for one in past]), x)
            for place, span in enumerate(batch):
                episodes.restore(past[place].episodes)
                one = scores.at(np.s_[: len(span.values), place])
                opened, _ = episodes.feed(self._block(span.trip, span.start, span.values), one)
                tracks[chosen[place]] = Track(one.score.astype(np.float64), opened)
        return tracks

    def starts(self, number: int) -> list[tuple[int, Alert]]:
        """The clean trip's episode openings: (tick, alert)."""
        first, period = int(self._times[number][0]), self.manifest.period
        return [((a.time - first) // period, a) for a in self.alerts[number] if a.phase is Phase.START]

    def _episodes(self) -> Episodes:
        """The device's episodes. Freeze-frames and updates are kept small: they play no part in opening or closing."""
        policy = structs.replace(self.manifest.episodes, freeze_frame_ticks=1, update_every_s=NEVER_S)
        return Episodes(self.manifest, self.detector.digest, VEHICLE, policy=policy)

    def _block(self, number: int, first: int, values: FloatArray) -> TickBlock:
        time = self._times[number][first : first + len(values)]
        return TickBlock(VEHICLE, time, np.full(len(values), number, dtype=np.int64), values)

    def _clock(self, trips: Sequence[FloatArray]) -> list[Times]:
        """Times for the trips, one after the other, further apart than the gap limit."""
        period = self.manifest.period
        gap = int(self.manifest.gap_limit_s * 1e6 // period) + 1
        times, tick = [], 0
        for trip in trips:
            times.append((tick + np.arange(len(trip), dtype=np.int64)) * period)
            tick += len(trip) + gap
        return times

"""The detector: one model file and one vehicle's recurrent state; ticks in, scores out, in constant memory."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tickover.core import state_codec
from tickover.core.manifest import Manifest
from tickover.core.values import FloatArray, Scores
from tickover.model.binding import call_size
from tickover.model.session import Model, open_model
from tickover.model.state_batch import BatchRows, Room


class Detector:
    """Scores one vehicle's ticks with a model file.

    ``step`` advances one tick, ``run`` many, with bit-equal results on one machine and one onnxruntime version.
    ``run_batch`` serves many vehicles whose states the caller holds. Not for use by two threads at once.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.manifest: Manifest = model.manifest
        self.digest: str = model.digest
        """Hex digits of the model file's seal."""
        self._initial = model.initial
        self._call_size = call_size(model.manifest)
        self._by_trip = _trip_places(model)
        self._signals, self._charts = len(self.manifest.signals), len(self.manifest.charts)
        self._columns = {name: place for place, name in enumerate(self.manifest.names)}
        self._own = BatchRows(model, 1)
        self._batch: BatchRows | None = None
        self._single: BatchRows | None = None

    @classmethod
    def load(cls, path: str | Path) -> "Detector":
        """Open a model file; ModelError says why it is refused."""
        return cls(open_model(path))

    def step(self, x: npt.ArrayLike) -> Scores:
        """Advance one tick: ``x`` ``[F]`` in engineering units and the manifest's order, NaN = missing. T = 1."""
        row = np.asarray(x)
        if row.shape != (self._signals,):
            raise ValueError(f"x: expected {self._signals} values in the order of the manifest, got shape {row.shape}")
        answer, charts = self._own.advance(_numbers("x", row)[None, None]).flat.copy(), 1 + self._charts
        return Scores(answer[:1], answer[None, 1:charts], answer[None, charts:])

    def run(self, X: npt.ArrayLike, trip_start: npt.ArrayLike | None = None) -> Scores:
        """Advance many ticks: ``X`` ``[T, F]``; where ``trip_start`` ``[T]`` is true, a new trip starts first."""
        x = _numbers("X", np.asarray(X))
        if x.ndim != 2 or x.shape[1] != self._signals:
            raise ValueError(f"X: expected shape [T, {self._signals}], got {list(x.shape)}")
        starts = _flags(trip_start, len(x))
        scores = self._empty(len(x))
        for start, end in _cuts(starts, self._call_size):
            if starts[start]:
                self.reset()
            _keep(self._own.advance(x[start:end, None]), scores, np.s_[start:end, None])
        return scores

    def reset(self, trip_only: bool = True) -> None:
        """A new trip: the network starts anew. With ``trip_only=False`` charts and baselines do as well."""
        self._state[:] = self.reset_trip(self._state) if trip_only else self._initial

    def score_one(self, x: Mapping[str, float]) -> float:
        """Advance one tick and return its score (river's convention); missing keys are NaN, unknown ones refused."""
        unknown = sorted(x.keys() - self._columns.keys())
        if unknown:
            raise ValueError(f"expected signals of {list(self._columns)}, got unknown ones: {unknown}")
        row = np.full(self._signals, np.nan, np.float32)
        for name, value in x.items():
            row[self._columns[name]] = value
        return float(self.step(row).score[0])

    def learn_one(self, *_: Any, **__: Any) -> "Detector":
        """Learn nothing, and return self: the model file is trained elsewhere (river's convention)."""
        return self

    def state(self) -> bytes:
        """All recurrent state, for ``restore`` in a detector of the same model file."""
        return state_codec.encode(self._state, self.digest)

    def restore(self, data: bytes) -> None:
        """Take up a state_codec state; StateError when it is damaged or of another model, and then nothing changes."""
        self._state[:] = state_codec.decode(data, self.digest, len(self._initial))

    def new_state(self) -> FloatArray:
        """The flat state ``float32[S]`` of a vehicle that was never seen, for ``run_batch``."""
        return self._initial.copy()

    def reset_trip(self, state: FloatArray) -> FloatArray:
        """The state ``[..., S]`` at the start of a new trip."""
        return np.where(self._by_trip, self._initial, state)

    def run_batch(self, states: FloatArray, X: npt.ArrayLike) -> tuple[FloatArray, Scores]:
        """T ticks of B vehicles: ``states`` ``[B, S]``, ``X`` ``[T, B, F]``; next states and scores ``[T, B, ...]``.

        The detector's own state is untouched, and so is ``states``.
        """
        x = _numbers("X", np.asarray(X))
        expected = (len(states), self._signals)
        if x.ndim != 3 or x.shape[1:] != expected or states.shape[1:] != self._initial.shape:
            size = len(self._initial)
            raise ValueError(
                f"expected states [B, {size}] and X [T, B, {self._signals}], "
                f"got {list(states.shape)} and {list(x.shape)}"
            )
        if len(x) == len(states) == 1:
            return self._run_one(states, x)
        scores = self._empty(*x.shape[:2])
        after = np.array(states, np.float32)
        for first in range(0, len(after), self._call_size):
            self._advance_rows(after, x, scores, slice(first, min(first + self._call_size, len(after))))
        return after, scores

    def _run_one(self, states: FloatArray, x: FloatArray) -> tuple[FloatArray, Scores]:
        """`run_batch` of one tick of one vehicle, whose state lies in the buffer as it lies in ``states``."""
        rows = self._rows(1)
        rows.flat[:] = states[0]
        answer, charts = rows.advance(x).flat.copy(), 1 + self._charts
        scores = Scores(answer[:1, None], answer[None, None, 1:charts], answer[None, None, charts:])
        return rows.flat[None].copy(), scores

    def _rows(self, width: int) -> BatchRows:
        """Buffers of that width; those of the last call are kept, and those of one vehicle always."""
        if width == 1:
            self._single = self._single or BatchRows(self.model, 1)
            return self._single
        if self._batch is None or self._batch.width != width:
            self._batch = BatchRows(self.model, width)
        return self._batch

    def _advance_rows(self, states: FloatArray, x: FloatArray, scores: Scores, rows: slice) -> None:
        """Advance some rows of a batch; writes their states and scores."""
        width = rows.stop - rows.start
        batch = self._rows(width)
        batch.load(states[rows])
        ticks = max(1, self._call_size // width)
        for start in range(0, len(x), ticks):
            tick = slice(start, start + ticks)
            _keep(batch.advance(x[tick, rows]), scores, (tick, rows))
        states[rows] = batch.states()

    @property
    def _state(self) -> FloatArray:
        """The detector's own state ``float32[S]``, to be read or written in place."""
        return self._own.flat

    def _empty(self, *shape: int) -> Scores:
        return Scores(*(np.empty((*shape, *last), np.float32) for last in ((), (self._charts,), (self._signals,))))


def _trip_places(model: Model) -> npt.NDArray[np.bool_]:
    """Which numbers of the flat state start anew at a trip, bool ``[S]``."""
    return np.repeat(
        [state.reset == "trip" for state in model.manifest.states], [s.size for s in model.manifest.states]
    )


def _keep(room: Room, scores: Scores, place: Any) -> None:
    """Copy a call's answers ``[T, B, ...]`` to their place among the others."""
    scores.score[place] = room.scores.score
    scores.chart[place] = room.scores.chart
    scores.expected[place] = room.scores.expected


def _cuts(starts: npt.NDArray[np.bool_], most: int) -> Iterator[tuple[int, int]]:
    """Cut ticks at every trip's start and after ``most`` ticks."""
    edges = [0, *(np.flatnonzero(starts[1:]) + 1).tolist(), len(starts)]
    for start, end in pairwise(edges):
        for first in range(start, end, most):
            yield first, min(first + most, end)


def _numbers(what: str, x: npt.NDArray[Any]) -> FloatArray:
    """As float32; what float32 cannot hold becomes inf, which the graph takes as missing."""
    if x.dtype == np.float32:
        return x
    if x.dtype.kind not in "fiu":
        raise ValueError(f"{what}: expected numbers, got {x.dtype}")
    with np.errstate(over="ignore"):
        return x.astype(np.float32)


def _flags(trip_start: npt.ArrayLike | None, ticks: int) -> npt.NDArray[np.bool_]:
    starts = np.zeros(ticks, np.bool_) if trip_start is None else np.asarray(trip_start)
    if starts.shape != (ticks,) or starts.dtype != np.bool_:
        raise ValueError(f"trip_start: expected bool [{ticks}], got {starts.dtype} {list(starts.shape)}")
    return starts

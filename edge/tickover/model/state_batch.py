"""The recurrent state of vehicles side by side, and the graph bound to it in both directions."""

import math

import numpy as np

from tickover.core.manifest import (
    CHART,
    EXPECTED,
    INPUT,
    NEXT_PREFIX,
    SCORE,
)
from tickover.core.values import FloatArray, Scores
from tickover.model.binding import Bound
from tickover.model.session import Model


class Room:
    """Memory of T ticks of B vehicles: ``x`` ``[T, B, F]``, and their answers ``[T, B, ...]``, all in ``flat``."""

    def __init__(self, model: Model, ticks: int, width: int) -> None:
        signals, charts = len(model.manifest.signals), len(model.manifest.charts)
        self.x = np.empty((ticks, width, signals), np.float32)
        shapes = ((ticks, width), (ticks, width, charts), (ticks, width, signals))
        ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()
        self.flat = np.empty(ends[-1], np.float32)
        parts = np.split(self.flat, ends[:-1])
        self.scores = Scores(*(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))

    def bind(self, bound: Bound) -> None:
        """Let a call of the graph read and write here."""
        answers = {SCORE: self.scores.score, CHART: self.scores.chart, EXPECTED: self.scores.expected}
        bound.rebind({INPUT: self.x}, answers)


class BatchRows:
    """Two buffers of B vehicles' states: each call reads one and writes the other, then they change places."""

    def __init__(self, model: Model, width: int) -> None:
        self.width = width
        self._model = model
        self._spans = model.spans
        self._buffers = [np.tile(model.initial[:, None], width).ravel() for _ in range(2)]
        self._tensors = [self._views(buffer) for buffer in self._buffers]
        self._turn = 0
        self._calls = [self._bind(turn) for turn in range(2)]
        self._room = Room(model, 1, width)
        self._rooms: list[Room | None] = [None, None]

    @property
    def flat(self) -> FloatArray:
        """The buffer that holds the state now, tensor by tensor; for one row its state ``float32[S]``."""
        return self._buffers[self._turn]

    def load(self, states: FloatArray) -> None:
        """Take up states ``[B, S]``."""
        for name, tensor in self._tensors[self._turn].items():
            tensor[0] = states[:, self._spans[name]]

    def states(self) -> FloatArray:
        """The states ``[B, S]``, a copy."""
        tensors = self._tensors[self._turn].values()
        return np.concatenate([tensor[0] for tensor in tensors], axis=1)

    def advance(self, x: FloatArray) -> Room:
        """Advance over ``x`` ``[T, B, F]``; the answers are overwritten by the next call.

        Binding costs as much as a small network: calls of equal length, as a truck's ticks are, bind once.
        """
        turn, room = self._turn, self._fitting(len(x))
        if self._rooms[turn] is not room:
            room.bind(self._calls[turn])
            self._rooms[turn] = room
        room.x[:] = x
        self._calls[turn]()
        self._turn = 1 - turn
        return room

    def _fitting(self, ticks: int) -> Room:
        if len(self._room.x) != ticks:
            self._room = Room(self._model, ticks, self.width)
        return self._room

    def _bind(self, turn: int) -> Bound:
        after = {NEXT_PREFIX + name: tensor for name, tensor in self._tensors[1 - turn].items()}
        return Bound(self._model.session, self._tensors[turn], after)

    def _views(self, buffer: FloatArray) -> dict[str, FloatArray]:
        """Each state tensor ``[1, B, size]`` inside a buffer."""
        return {
            name: buffer[span.start * self.width : span.stop * self.width].reshape(1, self.width, -1)
            for name, span in self._spans.items()
        }

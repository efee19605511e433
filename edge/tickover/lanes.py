"""The recurrent state of vehicles side by side, and the graph bound to it in both directions."""

import numpy as np

from tickover.bound import Bound
from tickover.manifest import CHART, EXPECTED, INPUT, NEXT_PREFIX, SCORE
from tickover.model import Model
from tickover.records import FloatArray, Scores

Turns = tuple[Bound, Bound]
"""A call that reads the first buffer and writes the second, and one the other way round."""


class Lanes:
    """Two buffers of B vehicles' states: each call reads one and writes the other, then they change places."""

    def __init__(self, model: Model, width: int) -> None:
        self.width = width
        self._model = model
        self._spans = model.spans
        self._buffers = [np.tile(model.initial[:, None], width).ravel() for _ in range(2)]
        self._tensors = [self._views(buffer) for buffer in self._buffers]
        self._turn = 0
        self._chunks: Turns = (self._bind_states(0), self._bind_states(1))

    @property
    def flat(self) -> FloatArray:
        """The buffer that holds the state now, tensor by tensor; for one lane its state ``float32[S]``."""
        return self._buffers[self._turn]

    def load(self, states: FloatArray) -> None:
        """Take up states ``[B, S]``."""
        for name, tensor in self._tensors[self._turn].items():
            tensor[0] = states[:, self._spans[name]]

    def states(self) -> FloatArray:
        """The states ``[B, S]``, a copy."""
        tensors = self._tensors[self._turn].values()
        return np.concatenate([tensor[0] for tensor in tensors], axis=1)

    def bind(self, x: FloatArray, into: Scores) -> Turns:
        """Bind ``x`` ``[T, B, F]`` and where its answers go, for many calls; the caller keeps these arrays alive."""
        first, second = self._bind_states(0), self._bind_states(1)
        for bound in (first, second):
            bound.rebind({INPUT: x}, answers(into))
        return first, second

    def call(self, turns: Turns) -> None:
        """Advance over what was bound."""
        turns[self._turn]()
        self._turn = 1 - self._turn

    def advance(self, x: FloatArray, into: Scores) -> None:
        """Advance over ``x`` ``[T, B, F]`` and write its answers in place; all arrays C-contiguous."""
        self._chunks[self._turn].rebind({INPUT: x}, answers(into))
        self.call(self._chunks)

    def _bind_states(self, turn: int) -> Bound:
        after = {NEXT_PREFIX + name: tensor for name, tensor in self._tensors[1 - turn].items()}
        return Bound(self._model.session, self._tensors[turn], after)

    def _views(self, buffer: FloatArray) -> dict[str, FloatArray]:
        """Each state tensor ``[1, B, size]`` inside a buffer."""
        return {
            name: buffer[span.start * self.width : span.stop * self.width].reshape(1, self.width, -1)
            for name, span in self._spans.items()
        }


def answers(into: Scores) -> dict[str, FloatArray]:
    """The graph's three answers by name."""
    return {SCORE: into.score, CHART: into.chart, EXPECTED: into.expected}

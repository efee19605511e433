"""Vehicles side by side in one process: one works while the others wait, and their ticks go through the graph together.

The graph takes a quarter less time for each tick of several vehicles than for those of one. So some vehicles are run in
threads that take turns: a vehicle that has ticks to run waits until all of them have, and then one call runs as many
ticks of each as the shortest has. Only one thread works at any time, so a process uses one processor. What comes out is
the same: the graph gives the same numbers for a vehicle in any company.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.manifest import Manifest
from tickover.core.values import FloatArray, Scores
from tickover.model.detector import Detector

FEWEST_TICKS: Final = 64
"""Fewer ticks are run at once: while a vehicle is run tick by tick, the others wait with their many."""
_mine = threading.local()


class _Ask:
    """Ticks of one vehicle that wait to be run: the state ``[1, S]``, ``x`` ``[T, 1, F]``, ``done`` ticks of it."""

    def __init__(self, states: FloatArray, x: FloatArray) -> None:
        self.states, self.x, self.done = states, x, 0
        self.scores: Scores | None = None

    @property
    def left(self) -> int:
        """Ticks that are still to be run."""
        return len(self.x) - self.done

    def take(self, after: FloatArray, scores: Scores, row: int, ticks: int) -> None:
        """The state after the next ``ticks``, and their scores: those of one row of a batch."""
        if self.scores is None:
            shapes = ((), scores.chart.shape[2:], scores.expected.shape[2:])
            self.scores = Scores(*(np.empty((len(self.x), 1, *shape), np.float32) for shape in shapes))
        part = slice(self.done, self.done + ticks)
        self.scores.score[part, 0] = scores.score[:, row]
        self.scores.chart[part, 0] = scores.chart[:, row]
        self.scores.expected[part, 0] = scores.expected[:, row]
        self.states, self.done = after[row : row + 1], self.done + ticks


class Company:
    """The threads that share a detector."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._door = threading.Lock()
        self._coming = self._seats = 0
        self._waiting: list[_Ask] = []
        self._detectors: dict[str, Detector] = {}

    @contextlib.contextmanager
    def seat(self) -> Iterator[None]:
        """Work in this thread as one of the company: from here on it has its turns, and the others theirs."""
        with self._door:
            self._coming += 1
        with self._turn:
            with self._door:
                self._coming -= 1
            self._seats += 1
            _mine.company = self
            try:
                yield
            finally:
                _mine.company = None
                self._seats -= 1
                self._turn.notify_all()

    def detector(self, digest: str, load: Callable[[], Detector]) -> "SharedDetector":
        """The model of that digest, opened once."""
        if digest not in self._detectors:
            self._detectors[digest] = load()
        return SharedDetector(self._detectors[digest], self)

    def run(self, detector: Detector, states: FloatArray, x: FloatArray) -> tuple[FloatArray, Scores]:
        """`Detector.run_batch`, with the ticks of the others."""
        if x.shape[1] != 1 or len(x) < FEWEST_TICKS:
            return detector.run_batch(states, x)
        ask = _Ask(states, x)
        self._waiting.append(ask)
        try:
            while ask.left:
                # One that comes in has no turn yet, and may bring ticks.
                if len(self._waiting) == self._seats and not self._coming:
                    self._advance(detector)
                    self._turn.notify_all()
                else:
                    self._turn.wait()
        finally:
            if ask.left:
                self._waiting.remove(ask)  # what failed may be another's: they find out by themselves
        assert ask.scores is not None
        return ask.states, ask.scores

    def _advance(self, detector: Detector) -> None:
        """Run as many ticks of all as the shortest has; those of it alone when they are few."""
        least = min(self._waiting, key=lambda ask: ask.left)
        asks, ticks = ([least] if least.left < FEWEST_TICKS else self._waiting), least.left
        states = np.concatenate([ask.states for ask in asks])
        x = np.concatenate([ask.x[ask.done : ask.done + ticks] for ask in asks], axis=1)
        after, scores = detector.run_batch(states, x)
        for row, ask in enumerate(asks):
            ask.take(after, scores, row, ticks)
        self._waiting = [ask for ask in self._waiting if ask.left]


class SharedDetector:
    """A detector as `core.pipeline` needs one, shared by the vehicles of a company."""

    def __init__(self, detector: Detector, company: Company) -> None:
        self._detector, self._company = detector, company
        self.manifest: Manifest = detector.manifest
        self.digest = detector.digest
        self.new_state = detector.new_state
        self.reset_trip = detector.reset_trip

    def run_batch(self, states: FloatArray, X: npt.ArrayLike) -> tuple[FloatArray, Scores]:
        """See `Detector.run_batch`."""
        return self._company.run(self._detector, states, np.asarray(X, np.float32))


def company_here() -> Company | None:
    """The company that this thread has a seat in."""
    company: Company | None = getattr(_mine, "company", None)
    return company

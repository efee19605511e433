"""A model run as the device runs it, over many pieces of trips at once: slow means hold while an episode is open.

The device puts slow states back after each tick at whose beginning an episode was open (``core.slow_states``), so that
what a tick says hangs on the ticks before it, one by one. Here that costs little: pieces with an open episode advance
side by side, ``SPAN`` ticks between two looks at their episodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.manifest import EpisodePolicy
from tickover.core.slow_states import SlowStates
from tickover.core.values import Alert, FloatArray, Scores, TickBlock
from tickover.core.watch import Watch, Watched
from tickover.model.detector import Detector

SPAN: Final = 32
"""Ticks that pieces with an open episode advance between two looks."""
LONGEST: Final = 512
"""Ticks that a piece without one advances at once: what is run and not used stays small."""

Saved = tuple[bytes, bytes, bytes]
"""What ``Watch.state`` gives."""


@dataclass(slots=True)
class Piece:
    """Consecutive ticks of one trip of one vehicle: before they are run, ``state`` and ``watch`` are those before them,
    afterwards those behind (the state of a ``last`` piece is left anywhere). ``done`` ticks have been run;
    ``parts`` are what came of them.
    """

    watch: Watch
    state: FloatArray
    ticks: TickBlock
    last: bool = False
    done: int = 0
    parts: list[Watched] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Ticks to be run."""
        return len(self.ticks.time) - self.done

    @property
    def scores(self) -> Scores:
        """What the model says of the ticks; of no ticks, there must be one at least."""
        said = [part.scores for part in self.parts]
        return Scores(
            *(np.concatenate([getattr(one, name) for one in said]) for name in ("score", "chart", "expected"))
        )

    @property
    def open(self) -> BoolArray:
        """Whether an episode is open after each tick, bool ``[T]``."""
        return np.concatenate([part.open for part in self.parts])

    @property
    def alerts(self) -> list[Alert]:
        """What was told."""
        return [alert for part in self.parts for alert in part.alerts]

    def take(self, number: int, scores: Scores, state: FloatArray) -> None:
        """Judge the next ``number`` ticks by their scores; ``state`` is the one behind them."""
        self.parts.append(self.watch.feed(self.ticks.part(slice(self.done, self.done + number)), scores))
        self.done += number
        self.state = state


class HeldRun:
    """Runs pieces with one model under one policy."""

    def __init__(self, detector: Detector, policy: EpisodePolicy) -> None:
        self._detector = detector
        self._slow = SlowStates(detector.manifest, policy)

    def run(self, pieces: Sequence[Piece]) -> None:
        """Run all pieces to their ends."""
        going = [piece for piece in pieces if piece.left]
        while going:
            near = [piece for piece in going if self._slow.any and piece.watch.is_near]
            # All told apart before any of them moves on.
            free = [piece for piece in going if not (self._slow.any and piece.watch.is_near)]
            waiting = [piece for piece in near if not piece.watch.holds]
            holding = [piece for piece in near if piece.watch.holds]
            for chosen, advance in ((free, self._go), (waiting, self._wait), (holding, self._hold)):
                if chosen:
                    advance(chosen)
            going = [piece for piece in going if piece.left]

    def _go(self, pieces: Sequence[Piece]) -> None:
        """The next ticks of pieces without an episode, up to the first that may open one."""
        rows = [piece.ticks.values[piece.done : piece.done + LONGEST] for piece in pieces]
        states, scores = self._detector.run_batch(np.stack([piece.state for piece in pieces]), side_by_side(rows))
        for place, (piece, row) in enumerate(zip(pieces, rows, strict=True)):
            own = scores.at(np.s_[: len(row), place])
            over = piece.watch.first_over(own) if self._slow.any else None
            number = len(row) if over is None else over + 1
            if number == len(scores.score):
                piece.take(number, own, states[place].copy())
            elif piece.last and number == piece.left:
                # The state has run on over the filling, and nobody asks for it.
                piece.take(number, own, piece.state)
            else:
                after, _ = self._detector.run_batch(piece.state[None], row[:number, None])
                piece.take(number, own.at(np.s_[:number]), after[0])

    def _wait(self, pieces: Sequence[Piece]) -> None:
        """The next tick of pieces whose episode waits to open: slow means go on until it does."""
        x = np.stack([piece.ticks.values[piece.done] for piece in pieces])[None]
        states, scores = self._detector.run_batch(np.stack([piece.state for piece in pieces]), x)
        for place, piece in enumerate(pieces):
            piece.take(1, scores.at(np.s_[:, place]), states[place].copy())

    def _hold(self, pieces: Sequence[Piece]) -> None:
        """The next ticks of pieces with an open episode; slow states stay as they are until it ends."""
        # Which signals follow may change and change back within a span: then it is looked at after each tick.
        span = 1 if self._slow.follow else SPAN
        rows = [piece.ticks.values[piece.done : piece.done + span] for piece in pieces]
        x = side_by_side(rows)
        states = [np.stack([piece.state for piece in pieces])]
        about = np.stack([piece.watch.held_signals for piece in pieces])
        back = np.stack([piece.watch.following_signals for piece in pieces])
        said = []
        for tick in x:
            after, scores = self._detector.run_batch(states[-1], tick[None])
            states.append(self._slow.held(states[-1], after, about, back))
            said.append(scores)
        joined = Scores(
            *(np.concatenate([getattr(one, name) for one in said]) for name in ("score", "chart", "expected"))
        )
        for place, (piece, row) in enumerate(zip(pieces, rows, strict=True)):
            own = [state[place] for state in states[: len(row) + 1]]
            self._judge(piece, joined.at(np.s_[: len(row), place]), own, about[place])

    def _judge(self, piece: Piece, scores: Scores, states: Sequence[FloatArray], about: BoolArray) -> None:
        """Keep what ``_hold`` ran as far as the episode went and was about the same signals; ``states``: before each
        tick, and behind the last.
        """
        number, saved = len(scores.score), piece.watch.state()
        watched = piece.watch.feed(piece.ticks.part(slice(piece.done, piece.done + number)), scores)
        if piece.watch.holds and not _ended(watched) and np.array_equal(piece.watch.held_signals, about):
            piece.parts.append(watched)
            piece.done += number
            piece.state = states[-1].copy()
            return
        piece.watch.restore(*saved)
        for tick in range(number):
            if not (piece.watch.holds and np.array_equal(piece.watch.held_signals, about)):
                return
            piece.take(1, scores.at(np.s_[tick : tick + 1]), states[tick + 1].copy())


def _ended(watched: Watched) -> bool:
    """Whether an episode of any detector ended."""
    return any(alert.end is not None for alert in watched.alerts)


def side_by_side(rows: Sequence[FloatArray]) -> FloatArray:
    """Ticks ``[N, F]`` of several vehicles as one array ``[T, B, F]``; shorter ones are filled with missing values."""
    x = np.full((max(map(len, rows)), len(rows), rows[0].shape[1]), np.nan, np.float32)
    for place, row in enumerate(rows):
        x[: len(row), place] = row
    return x

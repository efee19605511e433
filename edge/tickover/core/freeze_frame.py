"""The ticks just before a moment: a bounded ring that lives in arrays and looks back over a block as well."""

from typing import NamedTuple

import msgspec
import numpy as np

from tickover.core.decimals import plain_rows
from tickover.core.once import once
from tickover.core.values import (
    DoubleArray,
    FloatArray,
    FreezeFrame,
    Scores,
    TickBlock,
    TimeArray,
)
from tickover.errors import StateError


class _State(msgspec.Struct, frozen=True, array_like=True):
    """The ring, as little-endian bytes."""

    time: bytes
    score: bytes
    observed: bytes
    expected: bytes


class Rows(NamedTuple):
    """Consecutive ticks: time and score [n], observed and expected [n, F]."""

    time: TimeArray
    score: FloatArray
    observed: FloatArray
    expected: FloatArray

    def part(self, start: int, end: int) -> "Rows":
        """Ticks ``start`` to ``end``, as views."""
        return Rows(*(array[start:end] for array in self))  # type: ignore[arg-type]

    def then(self, later: "Rows") -> "Rows":
        """These ticks and later ones, copied."""
        return Rows(*(np.concatenate(pair) for pair in zip(self, later, strict=True)))  # type: ignore[arg-type]


class Ring:
    """The newest ``size`` ticks of one vehicle, then the ticks of the block at hand.

    ``rows(upto)`` looks back from tick ``upto`` (exclusive) of the block that :meth:`show` was given; :meth:`keep`
    ends that block.
    """

    __slots__ = ("_block", "_empty", "_kept", "_signals", "size")

    def __init__(self, size: int, signals: tuple[str, ...]) -> None:
        self.size, self._signals = size, signals
        self._empty = once(_no_rows, signals)
        self._kept = self._block = self._empty

    def show(self, ticks: TickBlock, scores: Scores) -> None:
        """Look back from the ticks of this block from now on. A reading out of range is shown as it was observed."""
        observed = ticks.values
        if ticks.outside is not None:
            observed = np.where(np.isnan(ticks.outside), observed, ticks.outside)
        self._block = Rows(ticks.time, scores.score, observed, scores.expected)

    def hold(self, rows: Rows) -> None:
        """Replace the newest ticks, between two blocks."""
        self._kept = rows

    def drop(self) -> None:
        """Forget the ticks: somebody else has them, until `hold`."""
        self._kept = self._block = self._empty

    def keep(self) -> None:
        """The block is over: remember its newest ticks."""
        self._kept = self._empty.then(self.rows(len(self._block.time)))
        self._block = self._empty

    def rows(self, upto: int) -> Rows:
        """The newest ticks before tick ``upto`` of the block; 0: before the block."""
        if upto >= self.size:
            return self._block.part(upto - self.size, upto)
        older = len(self._kept.time)
        needed = min(older, self.size - upto)
        return self._kept.part(older - needed, older).then(self._block.part(0, upto))

    def frame(self, upto: int) -> FreezeFrame:
        """The same as plain values; None = missing."""
        rows, signals = self.rows(upto), len(self._signals)
        plain = plain_rows(np.column_stack((rows.score, rows.observed, rows.expected)))
        return FreezeFrame(
            signals=self._signals,
            time=tuple(rows.time.tolist()),
            score=tuple(row[0] for row in plain),
            observed=tuple(row[1 : 1 + signals] for row in plain),
            expected=tuple(row[1 + signals :] for row in plain),
        )

    def deviation(self, upto: int) -> tuple[DoubleArray, DoubleArray]:
        """Mean of observed - expected over those ticks, and of its absolute value, [F]; NaN where none has both."""
        rows = self.rows(upto)
        difference = rows.observed.astype(np.float64) - rows.expected
        known = np.isfinite(difference)
        difference[~known] = 0.0
        count = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
        return difference.sum(axis=0) / count, np.abs(difference).sum(axis=0) / count

    def state(self) -> bytes:
        """The ring between two blocks."""
        return msgspec.msgpack.encode(
            _State(
                self._kept.time.astype("<i8").tobytes(),
                self._kept.score.astype("<f4").tobytes(),
                self._kept.observed.astype("<f4").tobytes(),
                self._kept.expected.astype("<f4").tobytes(),
            )
        )

    def restore(self, state: bytes) -> None:
        """Continue from :meth:`state`; StateError when damaged. A ring of another size is cut or fills up."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
            time = np.frombuffer(saved.time, "<i8").astype(np.int64)
            shape = (len(time), len(self._signals))
            score = np.frombuffer(saved.score, "<f4").astype(np.float32).reshape(len(time))
            observed = np.frombuffer(saved.observed, "<f4").astype(np.float32).reshape(shape)
            expected = np.frombuffer(saved.expected, "<f4").astype(np.float32).reshape(shape)
        except (msgspec.MsgspecError, ValueError) as error:
            raise StateError(f"state of the freeze-frame: damaged: {error}") from error
        self._kept = Rows(time, score, observed, expected).part(max(0, len(time) - self.size), len(time))
        self._block = self._empty


def _no_rows(signals: tuple[str, ...]) -> Rows:
    nothing = np.empty((0, len(signals)), np.float32)
    return Rows(np.empty(0, np.int64), np.empty(0, np.float32), nothing, nothing)

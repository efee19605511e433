"""Trips laid side by side for truncated back-propagation through time: rows of whole trips, cut into chunks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tickover.core.values import FloatArray
from tickover_train.stored.room import Room, Sheet

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where trips lie: ``row`` and first ``chunk`` of each, how many chunks each has (``lasts``), how many each row is
    ``filled`` with.
    """

    row: Ints
    chunk: Ints
    lasts: Ints
    filled: Ints

    @property
    def chunks(self) -> int:
        """Of the fullest row."""
        return int(self.filled.max())


def deal(ticks: Sequence[int], rows: int, chunk: int) -> Layout:
    """Deal trips of so many ``ticks``, longest first, to the row with the fewest chunks."""
    lasts = np.array([-(-number // chunk) for number in ticks])
    filled = np.zeros(min(rows, len(ticks)), np.int64)
    places = np.zeros((2, len(ticks)), np.int64)
    for trip in np.argsort(-lasts, kind="stable"):
        row = int(np.argmin(filled))
        places[:, trip] = row, filled[row]
        filled[row] += lasts[trip]
    return Layout(places[0], places[1], lasts, filled)


class BatchRows:
    """Inputs and targets of trips as laid out, read a chunk at a time; each trip is padded to whole chunks.

    ``reset`` bool ``[N, rows]`` says which rows begin a trip with chunk n; the others carry their state over.
    """

    def __init__(self, layout: Layout, chunk: int, width: int, room: Room) -> None:
        self._layout, self._chunk, self._width = layout, chunk, width
        self._sheets = [room.sheet(len(layout.filled), layout.chunks * chunk, width) for _ in range(2)]
        self._turns = np.zeros(len(layout.filled), np.int64)
        self.reset = np.ones((layout.chunks, len(layout.filled)), dtype=np.bool_)
        for row, first, number in zip(layout.row, layout.chunk, layout.lasts, strict=True):
            self.reset[first + 1 : first + number, row] = False

    def __len__(self) -> int:
        return len(self.reset)

    def write(self, trip: int, inputs: FloatArray, targets: FloatArray) -> None:
        """Lay one trip ``[T, F]`` at its place."""
        padding = np.full((-len(inputs) % self._chunk, self._width), np.nan, np.float32)
        row, first = int(self._layout.row[trip]), int(self._layout.chunk[trip]) * self._chunk
        for sheet, values in zip(self._sheets, (inputs, targets), strict=True):
            sheet.write(row, first, np.concatenate((values, padding)))

    def turn(self, random: np.random.Generator) -> None:
        """Turn each row by a random number of chunks, so that the starts of trips, cold engines all, do not stand side
        by side; the trip that is cut by it begins midway.
        """
        self._turns = random.integers(len(self), size=len(self._turns))
        for row, turn in enumerate(self._turns):
            self.reset[:, row] = np.roll(self.reset[:, row], turn)
        self.reset[0] = True

    def chunk(self, number: int) -> tuple[FloatArray, FloatArray]:
        """Inputs and targets float32 ``[chunk, rows, F]``, NaN = missing or padding."""
        inputs, targets = (self._read(sheet, number) for sheet in self._sheets)
        return inputs, targets

    def _read(self, sheet: Sheet, number: int) -> FloatArray:
        found = np.full((len(self._turns), self._chunk, self._width), np.nan, np.float32)
        for row, place in enumerate((number - self._turns) % len(self)):
            if place < self._layout.filled[row]:
                sheet.read(row, int(place) * self._chunk, found[row])
        return np.ascontiguousarray(found.transpose(1, 0, 2))

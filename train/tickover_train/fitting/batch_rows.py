"""Trips laid side by side for truncated back-propagation through time: rows of whole trips, cut into chunks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tickover.core.values import FloatArray


@dataclass(frozen=True, slots=True)
class BatchRows:
    """``inputs`` and ``targets`` float32 ``[N, chunk, rows, F]``, NaN = missing or padding; ``reset`` bool
    ``[N, rows]`` says which rows begin a trip with chunk n; the others carry their state over.
    """

    inputs: FloatArray
    targets: FloatArray
    reset: npt.NDArray[np.bool_]


def lay(
    inputs: Sequence[FloatArray],
    targets: Sequence[FloatArray],
    rows: int,
    chunk: int,
    random: np.random.Generator | None = None,
) -> BatchRows:
    """Deal trips, longest first, to the row with the fewest chunks; each trip is padded to whole chunks.

    With ``random`` each row is turned by a random number of chunks, so that the starts of trips, cold engines all, do
    not stand side by side; the trip that is cut by it begins midway.
    """
    rows = min(rows, len(inputs))
    chunks = [-(-len(trip) // chunk) for trip in inputs]
    filled = [0] * rows
    places: list[tuple[int, int]] = [(0, 0)] * len(inputs)
    for trip in np.argsort([-number for number in chunks], kind="stable"):
        row = filled.index(min(filled))
        places[trip] = (row, filled[row])
        filled[row] += chunks[trip]
    shape = (max(filled) * chunk, rows, inputs[0].shape[1])
    laid = [np.full(shape, np.nan, dtype=np.float32) for _ in range(2)]
    reset = np.ones((max(filled), rows), dtype=np.bool_)
    for (row, first), number, source, target in zip(places, chunks, inputs, targets, strict=True):
        start = first * chunk
        laid[0][start : start + len(source), row] = source
        laid[1][start : start + len(target), row] = target
        reset[first + 1 : first + number, row] = False
    if random is not None:
        for row, turn in enumerate(random.integers(max(filled), size=rows)):
            for array in laid:
                array[:, row] = np.roll(array[:, row], turn * chunk, axis=0)
            reset[:, row] = np.roll(reset[:, row], turn)
        reset[0] = True
    cut = [array.reshape(-1, chunk, *shape[1:]) for array in laid]
    return BatchRows(cut[0], cut[1], reset)

"""Trips laid side by side for truncated back-propagation through time: lanes of whole trips, cut into chunks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tickover.core.values import FloatArray


@dataclass(frozen=True, slots=True)
class Lanes:
    """``inputs`` and ``targets`` float32 ``[N, chunk, lanes, F]``, NaN = missing or padding; ``reset`` bool
    ``[N, lanes]`` says which lanes begin a trip with chunk n; the others carry their state over.
    """

    inputs: FloatArray
    targets: FloatArray
    reset: npt.NDArray[np.bool_]


def lay(
    inputs: Sequence[FloatArray],
    targets: Sequence[FloatArray],
    lanes: int,
    chunk: int,
    random: np.random.Generator | None = None,
) -> Lanes:
    """Deal trips, longest first, to the lane with the fewest chunks; each trip is padded to whole chunks.

    With ``random`` each lane is turned by a random number of chunks, so that the starts of trips, cold engines all, do
    not stand side by side; the trip that is cut by it begins midway.
    """
    lanes = min(lanes, len(inputs))
    chunks = [-(-len(trip) // chunk) for trip in inputs]
    filled = [0] * lanes
    places: list[tuple[int, int]] = [(0, 0)] * len(inputs)
    for trip in np.argsort([-number for number in chunks], kind="stable"):
        lane = filled.index(min(filled))
        places[trip] = (lane, filled[lane])
        filled[lane] += chunks[trip]
    shape = (max(filled) * chunk, lanes, inputs[0].shape[1])
    laid = [np.full(shape, np.nan, dtype=np.float32) for _ in range(2)]
    reset = np.ones((max(filled), lanes), dtype=np.bool_)
    for (lane, first), number, source, target in zip(places, chunks, inputs, targets, strict=True):
        start = first * chunk
        laid[0][start : start + len(source), lane] = source
        laid[1][start : start + len(target), lane] = target
        reset[first + 1 : first + number, lane] = False
    if random is not None:
        for lane, turn in enumerate(random.integers(max(filled), size=lanes)):
            for array in laid:
                array[:, lane] = np.roll(array[:, lane], turn * chunk, axis=0)
            reset[:, lane] = np.roll(reset[:, lane], turn)
        reset[0] = True
    cut = [array.reshape(-1, chunk, *shape[1:]) for array in laid]
    return Lanes(cut[0], cut[1], reset)

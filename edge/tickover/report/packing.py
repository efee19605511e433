"""Numbers as short text for the page's script: base64 of little-endian arrays, values on a 16-bit grid."""

import base64
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt

STEPS: Final = 65_534
"""Steps of the grid between the smallest and the largest value."""
MISSING: Final = 65_535
"""The code of a missing value."""


class Packed(TypedDict):
    """One signal's values: ``low + step * code``; ``codes`` holds a string per array."""

    low: float
    step: float
    codes: list[str]


def pack_values(*arrays: npt.NDArray[np.floating]) -> Packed:
    """Several arrays of one signal on one grid, so that they can be compared; infinite counts as missing."""
    together = np.concatenate([array[np.isfinite(array)] for array in arrays]).astype(np.float64)
    low = float(together.min()) if together.size else 0.0
    step = (float(together.max()) - low) / STEPS if together.size else 0.0
    return Packed(low=low, step=step, codes=[_codes(array, low, step) for array in arrays])


def pack_doubles(values: npt.NDArray[np.floating]) -> str:
    """An array of float64."""
    return _text(values.astype("<f8"))


def _codes(array: npt.NDArray[np.floating], low: float, step: float) -> str:
    finite = np.isfinite(array)
    scaled = (np.where(finite, array, low).astype(np.float64) - low) / (step or 1.0)
    return _text(np.where(finite, np.rint(scaled), MISSING).astype("<u2"))


def _text(array: npt.NDArray[np.generic]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")

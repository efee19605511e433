"""float32 as the shortest decimals that mean them: 19.2, not 19.200000762939453."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import DoubleArray, FloatArray

SMALLEST: Final = 1e-4
LARGEST: Final = 1e7
"""Between them numpy writes no exponent, half of float32's step is at most 0.5, and few places are needed."""
POWERS: Final = 10.0 ** np.arange(14)
"""Of ten, by places: nine digits tell every float32 apart, and the first of 1e-4 is the fourth."""
HALF: Final = 0.5
"""The mantissa of a power of two."""
IntArray = npt.NDArray[np.int64]


def number(value: np.float32) -> float | None:
    """A float32 as its shortest decimal; None when not finite."""
    return float(str(value)) if np.isfinite(value) else None


def plain_rows(rows: FloatArray) -> tuple[tuple[float | None, ...], ...]:
    """Each value of each row ``[T, F]`` as :func:`number`."""
    found = shortest(rows.ravel()).reshape(rows.shape)
    plain: Any = found.tolist()
    for row, column in np.argwhere(~np.isfinite(found)).tolist():
        plain[row][column] = None
    return tuple(tuple(row) for row in plain)


def shortest(values: FloatArray) -> DoubleArray:
    """`number` of each of ``[N]``; what is not finite stays as it is.

    A decimal of k places is the nearest one to the value when it is rounded there; the first k at which that is still
    the same float32 gives the shortest decimal there is. More places come nearer, so that k is found by halving. Digits
    that numpy writes one by one are so found for all values at once: the alerts' freeze-frames are most of what an
    alert costs.
    """
    size = np.abs(values)
    easy = (size >= SMALLEST) & (size < LARGEST)
    # Below a power of two float32 is twice as fine as above it: the nearest decimal may fall out where a farther does
    # not. Rare, and left to numpy.
    easy &= np.frexp(size)[0] != HALF
    exact = np.where(easy, values, 0.0).astype(np.float64)
    most, least = np.full(len(values), len(POWERS) - 1), np.zeros(len(values), np.int64)
    for _ in range(len(POWERS).bit_length()):
        middle = (least + most) >> 1
        meant = _rounded(exact, middle).astype(np.float32) == exact
        most, least = np.where(meant, middle, most), np.where(meant, least, np.minimum(middle + 1, most))
    found: DoubleArray = np.where(easy, _rounded(exact, most), values)
    hard = np.isfinite(size) & (size != 0.0)
    hard &= ~easy | (found.astype(np.float32) != values)
    for place in np.flatnonzero(hard).tolist():
        found[place] = float(str(values[place]))
    return found


def _rounded(exact: DoubleArray, places: IntArray) -> DoubleArray:
    """The nearest decimals of so many places.

    Whole numbers up to 2**53 and powers of ten up to 10**22 are exact in a double: one rounding, as in `float`.
    """
    scale = POWERS[places]
    rounded: DoubleArray = np.rint(exact * scale) / scale
    return rounded

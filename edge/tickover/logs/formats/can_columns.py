"""Lines of one shape to arrays: where their columns lie is found once, on the first line, and checked on all.

Recorders write fixed columns, so that most lines of a block differ only in digits. Lines of one length are compared
with the first of them that the format's pattern matches: outside of its fields every byte must be the same, inside of
them every byte must be a digit. What fits is read as arrays; what does not becomes the next shape, or is left over.
"""

import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import TimeArray
from tickover.payloads.can.frames import CLASSIC_BYTES, ByteArray

MAX_SHAPES: Final = 48
"""Shapes tried in one block; the lines of further ones are read one by one."""
MICRO_DIGITS: Final = 6

_NEWLINE, _POINT = 10, 46
_BAD: Final = 255
_HEX: Final = np.full(256, _BAD, np.uint8)
for _digit in b"0123456789abcdefABCDEF":
    _HEX[_digit] = int(chr(_digit), 16)
_DECIMAL: Final = np.full(256, _BAD, np.uint8)
_DECIMAL[48:58] = np.arange(10)


@dataclass
class Columns:
    """What was read of a block's N lines. ``is_read`` bool ``[N]``; of the other lines the arrays hold zeros.

    ``stamp`` int64 ``[N]``: the time in millionths of its unit; ``number`` uint32 ``[N]``: the identifier, and ``text``
    the number of the shape it was written in; ``length`` int64, ``data`` uint8 ``[N, 8]``. ``shapes``: of each shape,
    the bytes of identifier and bus in its first line.
    """

    is_read: npt.NDArray[np.bool_]
    stamp: TimeArray
    number: npt.NDArray[np.uint32]
    length: npt.NDArray[np.int64]
    data: ByteArray
    shape: npt.NDArray[np.int64]
    shapes: list[tuple[bytes, bytes]] = field(default_factory=list)


def read(block: bytes, pattern: "re.Pattern[bytes]") -> Columns:
    """The lines of a block, each with its end.

    ``pattern`` has the groups ``time``, ``id``, ``data``, perhaps ``bus`` (the same in all lines of a shape), perhaps
    ``number`` and ``rest``, which may hold anything, and perhaps ``size``: how many bytes ``data`` must have.
    """
    array = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(array == _NEWLINE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    widths = ends - starts
    lines = len(ends)
    found = Columns(
        np.zeros(lines, bool),
        np.zeros(lines, np.int64),
        np.zeros(lines, np.uint32),
        np.zeros(lines, np.int64),
        np.zeros((lines, CLASSIC_BYTES), np.uint8),
        np.zeros(lines, np.int64),
    )
    budget = MAX_SHAPES
    for width in np.unique(widths).tolist():
        left = np.flatnonzero(widths == width)
        while len(left) and budget and width:
            budget -= 1
            first = int(starts[left[0]])
            match = pattern.fullmatch(block, first, first + width)
            if match is None or not _is_whole(match):
                left = left[1:]
                continue
            rows = np.lib.stride_tricks.sliding_window_view(array, width)[starts[left]]
            good = _Shape(match, first).read(rows, left, found)
            left = left[~good]
    return found


def _is_whole(match: "re.Match[bytes]") -> bool:
    """Whether a line that says how many bytes it has, in the group ``size``, has so many."""
    size = match.groupdict().get("size")
    if size is None:
        return True
    data: bytes = match["data"] or b""
    return int(size) == len(data.replace(b" ", b"")) // 2


class _Shape:
    """Where the fields lie in lines like one that matches."""

    def __init__(self, match: "re.Match[bytes]", first: int) -> None:
        line = match[0]
        groups = match.re.groupindex
        self._spans = {name: slice(*(at - first for at in match.span(name))) for name in groups if match[name]}
        loose = np.zeros(len(line), bool)
        for name in ("time", "id", "data", "number", "rest"):
            if name in self._spans:
                loose[self._spans[name]] = True
        # Inside a field only digits may differ: the point of a time, the spaces between bytes, an x behind an
        # identifier are where they are in the first line.
        byte = np.frombuffer(line, np.uint8)
        for name, table in (("time", _DECIMAL), ("id", _HEX), ("data", _HEX)):
            if name in self._spans:
                span = self._spans[name]
                loose[span] = table[byte[span]] != _BAD
        self._fixed = np.flatnonzero(~loose)
        self._fixed_bytes = byte[self._fixed]
        self._byte = byte
        self.identifier = match["id"]
        self.bus = match["bus"] if "bus" in groups and match["bus"] else b""

    def read(self, rows: ByteArray, at: npt.NDArray[np.intp], found: Columns) -> npt.NDArray[np.bool_]:
        """Put what fits of rows ``[N, width]`` into ``found`` at the lines ``at``; which fit."""
        time, time_good = self._digits(rows, "time", _DECIMAL)
        number, number_good = self._digits(rows, "id", _HEX)
        data, data_good = self._digits(rows, "data", _HEX)
        same: npt.NDArray[np.bool_] = (rows[:, self._fixed] == self._fixed_bytes).all(axis=1)
        good: npt.NDArray[np.bool_] = same & time_good & number_good & data_good
        to = at[good]
        found.is_read[to] = True
        found.stamp[to] = self._stamp(time[good])
        powers = (16 ** np.arange(number.shape[1])[::-1]).astype(np.uint32)
        found.number[to] = number[good].astype(np.uint32) @ powers
        size = data.shape[1] // 2
        found.length[to] = size
        pairs = data[good].reshape(len(to), size, 2)
        found.data[to, :size] = pairs[:, :, 0] << 4 | pairs[:, :, 1]
        found.shape[to] = len(found.shapes)
        found.shapes.append((self.identifier, self.bus))
        return good

    def _digits(
        self, rows: ByteArray, name: str, table: npt.NDArray[np.uint8]
    ) -> tuple[ByteArray, npt.NDArray[np.bool_]]:
        """The digits of a field, ``[N, D]``, and which rows have digits only."""
        span = self._spans.get(name)
        if span is None:
            return np.empty((len(rows), 0), np.uint8), np.ones(len(rows), bool)
        places = span.start + np.flatnonzero(table[self._byte[span]] != _BAD)
        digits = table[rows[:, places]]
        good: npt.NDArray[np.bool_] = (digits != _BAD).all(axis=1)
        return digits, good

    def _stamp(self, digits: ByteArray) -> TimeArray:
        """Times in millionths from their digits; what is finer is rounded."""
        span = self._spans["time"]
        point = np.flatnonzero(self._byte[span] == _POINT)
        decimals = digits.shape[1] - int(point[0]) if len(point) else 0
        powers = 10 ** np.arange(digits.shape[1], dtype=np.int64)[::-1]
        value = digits.astype(np.int64) @ powers
        if decimals <= MICRO_DIGITS:
            scaled: TimeArray = value * 10 ** (MICRO_DIGITS - decimals)
            return scaled
        finer = 10 ** (decimals - MICRO_DIGITS)
        rounded: TimeArray = (value + finer // 2) // finer
        return rounded

"""Columns of pyarrow out of plain lists, by their memory.

Where pandas is installed, ``pyarrow.array`` imports it to ask whether a list is one of its own: that takes longer than
to write the alerts of a month.
"""

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
import pyarrow as arrow


def texts(values: Sequence[str | None]) -> Any:
    """Strings, or None."""
    parts = [b"" if value is None else value.encode() for value in values]
    buffers = [_there(values), _buffer(_ends(parts)), arrow.py_buffer(b"".join(parts))]
    return arrow.Array.from_buffers(arrow.string(), len(parts), buffers)


def lists(values: Sequence[Sequence[str]]) -> Any:
    """Lists of strings."""
    inner = texts(list(chain.from_iterable(values)))
    kind = arrow.list_(arrow.string())
    return arrow.Array.from_buffers(kind, len(values), [None, _buffer(_ends(values))], children=[inner])


def numbers(values: Sequence[float | None], kind: Any, stored: str) -> Any:
    """Numbers, or None, of a type of pyarrow; ``stored``: as numpy calls it."""
    plain = np.array([0 if value is None else value for value in values], stored)
    return arrow.Array.from_buffers(kind, len(plain), [_there(values), _buffer(plain)])


def _ends(parts: Sequence[Sequence[Any]]) -> Any:
    return np.array([0, *accumulate(map(len, parts))], np.int32)


def _there(values: Sequence[object]) -> Any:
    """A bit for each value that is there; None when all are."""
    there = np.array([value is not None for value in values], np.bool_)
    return None if there.all() else _buffer(np.packbits(there, bitorder="little"))


def _buffer(values: Any) -> Any:
    return arrow.py_buffer(values.tobytes())

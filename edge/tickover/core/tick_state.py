"""The saved state of one vehicle's open ticks: what `tickover.core.resample.Ticks` goes on from."""

from typing import Final

import msgspec
import numpy as np

from tickover.core.values import DoubleArray, TimeArray
from tickover.errors import StateError

NUMBER_BYTES: Final = 8
"""Of a time, and of a value."""


class TickState(msgspec.Struct, frozen=True, array_like=True):
    """All that the fate of a vehicle's next reading depends on; times in microseconds, arrays as little-endian bytes.

    ``held_time``, ``held_value`` ``[F]``: each signal's last plausible reading. ``open_time`` ``[N]``, ``open_values``
    ``[N, F]``: the rows of ticks that are not closed. ``outside_tick`` ``[M]`` with ``outside_low`` and
    ``outside_high`` ``[M, F]``: what is out of range in them. ``arrivals`` and the pages ``seen``: of
    `tickover.core.arrivals`, empty while nothing is held back.
    """

    signals: tuple[str, ...]
    period: int
    watermark: int | None
    closed: int
    restart: bool
    trip: int
    last_tick: int | None
    last_time: int
    held_time: bytes
    held_value: bytes
    open_time: bytes
    open_values: bytes
    outside_tick: bytes = b""
    outside_low: bytes = b""
    outside_high: bytes = b""
    arrivals: bytes = b""
    seen: dict[int, bytes] = {}


def encode(state: TickState) -> bytes:
    """As it is stored."""
    return msgspec.msgpack.encode(state)


def decode(state: bytes, signals: tuple[str, ...], period: int) -> TickState:
    """What `encode` made; StateError when it is damaged or of other signals or another period."""
    try:
        saved = msgspec.msgpack.decode(state, type=TickState)
    except msgspec.MsgspecError as error:
        raise _damaged(error) from error
    if (saved.signals, saved.period) != (signals, period):
        raise StateError(
            f"state of open ticks: expected signals {', '.join(signals)} each {period} us, "
            f"got {', '.join(saved.signals)} each {saved.period} us"
        )
    if not len(saved.held_time) == len(saved.held_value) == NUMBER_BYTES * len(signals):
        held = len(saved.held_value) // NUMBER_BYTES
        raise _damaged(f"expected {len(signals)} held values, got {held}")
    return saved


def of_times(array: TimeArray) -> bytes:
    """Times, or numbers of ticks."""
    return array.astype("<i8").tobytes()


def of_values(array: DoubleArray) -> bytes:
    """Values of signals."""
    return array.astype("<f8").tobytes()


def times(data: bytes) -> TimeArray:
    """What `of_times` made, ``[N]``; StateError when it is damaged."""
    try:
        return np.frombuffer(data, "<i8").astype(np.int64)
    except ValueError as error:
        raise _damaged(error) from error


def values(data: bytes, *shape: int) -> DoubleArray:
    """What `of_values` made of an array of this shape; StateError when it is damaged."""
    try:
        return np.frombuffer(data, "<f8").astype(np.float64).reshape(shape)
    except ValueError as error:
        raise _damaged(error) from error


def _damaged(error: object) -> StateError:
    return StateError(f"state of open ticks: damaged: {error}")

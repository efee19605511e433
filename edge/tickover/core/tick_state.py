"""The saved state of one vehicle's open ticks: what `tickover.core.resample.Ticks` goes on from."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from tickover.core.values import DoubleArray, TimeArray
from tickover.errors import StateError


class _Encoded(msgspec.Struct, frozen=True, array_like=True):
    """As it is stored; arrays as little-endian bytes."""

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


@dataclass(frozen=True, slots=True)
class TickState:
    """All that the fate of a vehicle's next reading depends on; times in microseconds.

    ``held_time``, ``held_value`` ``[F]``: each signal's last plausible reading. ``open_time`` ``[N]``, ``open_values``
    ``[N, F]``: the rows of ticks that are not closed. ``outside_tick`` ``[M]`` with ``outside_low`` and
    ``outside_high`` ``[M, F]``: what is out of range in them. ``arrivals`` and the pages ``seen``: of
    `tickover.core.arrivals`, empty while nothing is held back.
    """

    watermark: int | None
    closed: int
    restart: bool
    trip: int
    last_tick: int | None
    last_time: int
    held_time: TimeArray
    held_value: DoubleArray
    open_time: TimeArray
    open_values: DoubleArray
    outside_tick: TimeArray
    outside_low: DoubleArray
    outside_high: DoubleArray
    arrivals: bytes
    seen: Mapping[int, bytes]

    def encode(self, signals: tuple[str, ...], period: int) -> bytes:
        """As bytes that say which signals and which period they are of."""
        return msgspec.msgpack.encode(
            _Encoded(
                signals=signals,
                period=period,
                watermark=self.watermark,
                closed=self.closed,
                restart=self.restart,
                trip=self.trip,
                last_tick=self.last_tick,
                last_time=self.last_time,
                held_time=_times(self.held_time),
                held_value=_values(self.held_value),
                open_time=_times(self.open_time),
                open_values=_values(self.open_values),
                outside_tick=_times(self.outside_tick),
                outside_low=_values(self.outside_low),
                outside_high=_values(self.outside_high),
                arrivals=self.arrivals,
                seen=dict(self.seen),
            )
        )


def decode(state: bytes, signals: tuple[str, ...], period: int) -> TickState:
    """What `TickState.encode` made; StateError when it is damaged or of other signals or another period."""
    count = len(signals)
    try:
        saved = msgspec.msgpack.decode(state, type=_Encoded)
        open_time, outside_tick = _as_times(saved.open_time), _as_times(saved.outside_tick)
        read = TickState(
            saved.watermark,
            saved.closed,
            saved.restart,
            saved.trip,
            saved.last_tick,
            saved.last_time,
            _as_times(saved.held_time),
            _as_values(saved.held_value),
            open_time,
            _as_values(saved.open_values).reshape(len(open_time), count),
            outside_tick,
            _as_values(saved.outside_low).reshape(len(outside_tick), count),
            _as_values(saved.outside_high).reshape(len(outside_tick), count),
            saved.arrivals,
            saved.seen,
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise StateError(f"state of open ticks: damaged: {error}") from error
    if (saved.signals, saved.period) != (signals, period):
        raise StateError(
            f"state of open ticks: expected signals {', '.join(signals)} each {period} us, "
            f"got {', '.join(saved.signals)} each {saved.period} us"
        )
    if len(read.held_time) != count or len(read.held_value) != count:
        raise StateError(f"state of open ticks: damaged: expected {count} held values, got {len(read.held_value)}")
    return read


def _times(array: TimeArray) -> bytes:
    return array.astype("<i8").tobytes()


def _values(array: DoubleArray) -> bytes:
    return array.astype("<f8").tobytes()


def _as_times(data: bytes) -> TimeArray:
    return np.frombuffer(data, "<i8").astype(np.int64)


def _as_values(data: bytes) -> DoubleArray:
    return np.frombuffer(data, "<f8").astype(np.float64)

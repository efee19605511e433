"""What changes the fleet's state, and how it is journalled. Applying the same events in the same order gives the same
states and alerts; recovery depends on it."""

import zlib

import msgspec
import numpy as np

from tickover.core.ledger import Verdict
from tickover.core.values import DoubleArray, TimeArray

TIME_BYTES = VALUE_BYTES = 8
"""Of a time and of a value in `Rows`."""
COMPRESSION = 1
"""zlib level: the fastest; readings shrink to about half."""


class Rows(msgspec.Struct, frozen=True, array_like=True, tag="rows"):
    """Readings of one vehicle in order of arrival; arrays as little-endian bytes, see `rows_of`."""

    vehicle: str
    time: bytes
    values: bytes

    @property
    def size(self) -> int:
        """Of its times and values."""
        return len(self.time) + len(self.values)

    def arrays(self, width: int) -> tuple[TimeArray, DoubleArray]:
        """Time int64 ``[N]`` in microseconds and values float64 ``[N, width]``, NaN = no reading."""
        return np.frombuffer(self.time, "<i8"), np.frombuffer(self.values, "<f8").reshape(-1, width)


def joined(every: list[Rows]) -> Rows:
    """Rows of one vehicle, at least one, that came one after another."""
    return Rows(every[0].vehicle, b"".join([one.time for one in every]), b"".join([one.values for one in every]))


class Advance(msgspec.Struct, frozen=True, array_like=True, tag="advance"):
    """The vehicle's event time reached ``time`` without a reading."""

    vehicle: str
    time: int


class Reset(msgspec.Struct, frozen=True, array_like=True, tag="reset"):
    """All that is known of the vehicle is dropped, by command."""

    vehicle: str


class Judge(msgspec.Struct, frozen=True, array_like=True, tag="judge"):
    """A person's verdict on an episode, by its id."""

    vehicle: str
    episode: str
    verdict: Verdict


class GiveUp(msgspec.Struct, frozen=True, array_like=True, tag="give_up"):
    """The vehicle's held rows of before are let go: a fleet holds only so many."""

    vehicle: str


Event = Rows | Advance | Reset | Judge | GiveUp


def rows_of(vehicle: str, time: list[int], values: list[list[float]]) -> Rows:
    """One event from rows of readings."""
    return Rows(vehicle, np.array(time, "<i8").tobytes(), np.array(values, "<f8").tobytes())


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One journal entry: the events since the last commit, the names of the columns of their rows, and the messages
    they came in (`tickover.transports.base.Deduplication.new`)."""

    columns: tuple[str, ...]
    events: list[Event]
    deduplication: bytes = b""

    @property
    def row_bytes(self) -> int:
        """Bytes of the times and values of its rows."""
        return sum(event.size for event in self.events if isinstance(event, Rows))


def encode(entry: Entry) -> bytes:
    """An entry as the journal keeps it."""
    return zlib.compress(msgspec.msgpack.encode(entry), COMPRESSION)


def decode(body: bytes) -> Entry:
    """An entry of the journal."""
    return msgspec.msgpack.decode(zlib.decompress(body), type=Entry)

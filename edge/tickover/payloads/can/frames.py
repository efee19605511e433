"""A block of CAN frames as arrays, and how identifiers are told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import TimeArray

EXTENDED: Final = 0x8000_0000
"""Bit 31 of a key: the identifier has 29 bits, as in the kernel's ``CAN_EFF_FLAG``."""
STANDARD_MASK: Final = 0x7FF
EXTENDED_MASK: Final = 0x1FFF_FFFF
CLASSIC_BYTES: Final = 8
FD_BYTES: Final = 64
NO_NAMES: Final[Mapping[int, str]] = MappingProxyType({})
"""The names of buses that have numbers only."""

KeyArray = npt.NDArray[np.uint32]
ByteArray = npt.NDArray[np.uint8]
LengthArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frames:
    """N data frames in order of arrival.

    ``time`` int64 ``[N]``, microseconds; ``key`` uint32 ``[N]``: the identifier, with ``EXTENDED`` for 29 bits;
    ``length`` int64 ``[N]``: bytes of payload; ``data`` uint8 ``[N, W]``, 0 from ``length`` on; ``channel`` uint8
    ``[N]``: the bus, where a recording has several; ``buses``: the names of buses that have one.
    """

    time: TimeArray
    key: KeyArray
    length: LengthArray
    data: ByteArray
    channel: npt.NDArray[np.uint8]
    buses: Mapping[int, str] = field(default_factory=lambda: NO_NAMES)

    def __len__(self) -> int:
        return len(self.time)

    def part(self, rows: "slice | npt.NDArray[np.intp] | npt.NDArray[np.bool_]") -> "Frames":
        """Some of the frames."""
        return Frames(
            self.time[rows], self.key[rows], self.length[rows], self.data[rows], self.channel[rows], self.buses
        )

    def bus(self, channel: int) -> str:
        """The name of a bus: its own, or ``bus2``."""
        return self.buses.get(channel, f"bus{channel}")


def key_of(identifier: int, extended: bool) -> int:
    """The key of an identifier."""
    return identifier | EXTENDED if extended else identifier


def of_bytes(
    time: TimeArray,
    key: KeyArray,
    length: LengthArray,
    flat: ByteArray,
    channel: npt.NDArray[np.uint8] | None = None,
    buses: Mapping[int, str] = NO_NAMES,
) -> Frames:
    """Frames whose payloads lie one after another in ``flat``: each has ``length`` of its bytes."""
    width = max(CLASSIC_BYTES, int(length.max())) if len(length) else CLASSIC_BYTES
    if len(length) and int(length.min()) == width:
        data = flat.reshape(len(length), width)
    else:
        data = np.zeros((len(length), width), np.uint8)
        data[np.arange(width) < length[:, None]] = flat
    return Frames(time, key, length, data, np.zeros(len(time), np.uint8) if channel is None else channel, buses)


def of_payloads(
    time: Sequence[int],
    key: Sequence[int],
    payloads: Sequence[bytes],
    channel: Sequence[int] | None = None,
    buses: Mapping[int, str] = NO_NAMES,
) -> Frames:
    """Frames from their parts, for what is read one by one."""
    length = np.fromiter(map(len, payloads), np.int64, len(payloads))
    return of_bytes(
        np.array(time, np.int64),
        np.array(key, np.uint32),
        length,
        np.frombuffer(b"".join(payloads), np.uint8),
        None if channel is None else np.array(channel, np.uint8),
        buses,
    )


def joined(parts: Sequence[Frames]) -> Frames:
    """Frames after one another."""
    width = max((part.data.shape[1] for part in parts), default=CLASSIC_BYTES)
    data = [np.pad(part.data, ((0, 0), (0, width - part.data.shape[1]))) for part in parts]
    return Frames(
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.length for part in parts]),
        np.concatenate(data),
        np.concatenate([part.channel for part in parts]),
        parts[0].buses,
    )

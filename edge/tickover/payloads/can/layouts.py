"""Where a signal lies in a payload, and the numbers that lie there, for many payloads at once.

Bits are numbered as in a DBC: bit ``8 * byte + position in the byte``. An Intel signal starts at its lowest bit; a
Motorola signal starts at its highest and goes down, byte after byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import DoubleArray
from tickover.payloads.can.frames import ByteArray, LengthArray

WORD_BYTES: Final = 8
RawArray = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class SignalLayout:
    """One signal of a message: ``value = raw * scale + offset`` in ``unit``.

    ``pages``: the multiplexer's signal and the raw values at which this signal is there; None when it always is.
    ``choices``: the texts of a value table. ``status``: a state rather than a quantity. ``counter``: only ever grows.
    """

    name: str
    start: int
    length: int
    big_endian: bool = False
    signed: bool = False
    is_float: bool = False
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    spn: int | None = None
    vss: str | None = None
    low: float | None = None
    high: float | None = None
    choices: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    pages: tuple[str, frozenset[int]] | None = None
    status: bool = False
    counter: bool = False

    @property
    def first_byte(self) -> int:
        """The first byte that holds a part of it."""
        return self.start // 8

    @property
    def last_byte(self) -> int:
        """The last byte that holds a part of it."""
        if not self.big_endian:
            return (self.start + self.length - 1) // 8
        return self.start // 8 + (7 - self.start % 8 + self.length - 1) // 8

    def is_in(self, length: LengthArray) -> npt.NDArray[np.bool_]:
        """Whether payloads of these lengths hold it whole; bool ``[N]``."""
        return length > self.last_byte

    def raw(self, data: ByteArray) -> RawArray:
        """The bits as unsigned numbers, uint64 ``[N]``, from payloads ``[N, W]``; W must reach ``last_byte``."""
        # Eight bytes from the first on are one 64-bit word, so that a signal is a shift and a mask over all payloads.
        # A signal of up to 64 bits that is not aligned may reach into a ninth byte, which is added by itself.
        first, last = self.first_byte, self.last_byte
        window = _window(data, first)
        mask = np.uint64((1 << self.length) - 1)
        if not self.big_endian:
            shift = self.start % 8
            bits = window.view("<u8")[:, 0] >> np.uint64(shift)
            if last - first >= WORD_BYTES:
                bits = bits | data[:, last].astype(np.uint64) << np.uint64(64 - shift)
            return bits & mask
        below = 8 * (last - first + 1) - (7 - self.start % 8) - self.length
        word = window.view(">u8")[:, 0].astype(np.uint64)
        if last - first >= WORD_BYTES:
            return (word << np.uint64(8 - below) | data[:, last].astype(np.uint64) >> np.uint64(below)) & mask
        return word >> np.uint64(8 * (WORD_BYTES - 1 - (last - first)) + below) & mask

    def number(self, raw: RawArray) -> DoubleArray:
        """The values in ``unit``, float64 ``[N]``, of raw bits."""
        if self.is_float:
            plain = raw.astype(np.uint32).view(np.float32) if self.length == 32 else raw.view(np.float64)
            with np.errstate(invalid="ignore"):  # a signalling NaN is a value as any other
                values = plain.astype(np.float64)
        elif self.signed:
            # Shifted up to bit 63 and back as a signed number: the sign bit fills what is above it.
            up = np.uint64(64 - self.length)
            values = ((raw << up).view(np.int64) >> np.int64(64 - self.length)).astype(np.float64)
        else:
            values = raw.astype(np.float64)
        if self.scale == 1 and self.offset == 0:
            return values
        with np.errstate(invalid="ignore", over="ignore"):
            return values * self.scale + self.offset

    def renamed(
        self, name: str, vss: str | None = None, unit: str | None = None, factor: float = 1.0
    ) -> "SignalLayout":
        """The same under another name, in another unit: ``factor`` of it are one of the old."""
        return replace(
            self,
            name=name,
            vss=vss or self.vss,
            unit=self.unit if unit is None else unit,
            scale=self.scale * factor,
            offset=self.offset * factor,
            low=None if self.low is None else self.low * factor,
            high=None if self.high is None else self.high * factor,
        )


def _window(data: ByteArray, first: int) -> ByteArray:
    """Eight bytes from ``first`` on, filled up with zeros, in one piece of memory; ``[N, 8]``."""
    part = data[:, first : first + WORD_BYTES]
    if part.shape[1] < WORD_BYTES:
        whole = np.zeros((len(data), WORD_BYTES), np.uint8)
        whole[:, : part.shape[1]] = part
        return whole
    return np.ascontiguousarray(part)

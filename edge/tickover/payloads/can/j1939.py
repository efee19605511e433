"""J1939 identifiers, and the raw values that stand for no value.

SAE J1939-21: an identifier is priority, an 18-bit parameter group number (PGN) and the source address. With a PDU
format below 240 the PGN's low byte is the destination, and no part of the PGN.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickover.payloads.can.frames import EXTENDED
from tickover.payloads.can.layouts import RawArray, SignalLayout

PDU2_FROM: Final = 240
"""The first PDU format whose low PGN byte is no destination."""
NO_SOURCE: Final = 0xFE
"""The null address; a DBC writes it where any source is meant."""
EVERYBODY: Final = 0xFF
PRIORITY: Final = 6

CONNECTION: Final = 0xEC00
DATA_TRANSFER: Final = 0xEB00
DM1: Final = 0xFECA
DM2: Final = 0xFECB
VEHICLE_IDENTIFICATION: Final = 0xFEEC


class Parts(NamedTuple):
    """What an identifier says. ``destination`` is ``EVERYBODY`` where it names none."""

    priority: int
    pgn: int
    source: int
    destination: int


def parts(key: int) -> Parts:
    """The parts of a 29-bit identifier."""
    pgn, low = key >> 8 & 0x3FFFF, key >> 8 & 0xFF
    if pgn >> 8 & 0xFF < PDU2_FROM:
        return Parts(key >> 26 & 7, pgn & 0x3FF00, key & 0xFF, low)
    return Parts(key >> 26 & 7, pgn, key & 0xFF, EVERYBODY)


def key_of(pgn: int, source: int, destination: int = EVERYBODY) -> int:
    """The key of a message that came in several packets."""
    low = destination if pgn >> 8 & 0xFF < PDU2_FROM else 0
    return EXTENDED | PRIORITY << 26 | (pgn | low) << 8 | source


class Missing(IntEnum):
    """Why a raw value is no reading; 0: it is one."""

    NONE = 0
    RESERVED = 1
    ERROR = 2
    NOT_AVAILABLE = 3


WORDS: Final = {
    Missing.RESERVED: "reserved",
    Missing.ERROR: "error",
    Missing.NOT_AVAILABLE: "not available",
}

_WHOLE_BYTES: Final = (8, 16, 24, 32, 40, 48, 56, 64)
_RESERVED_FROM, _ERROR, _NOT_AVAILABLE = 0xFB, 0xFE, 0xFF
_TWO_BITS: Final = 2


def missing(signal: SignalLayout, raw: RawArray) -> npt.NDArray[np.uint8] | None:
    """Which raw values stand for none, and why: ``Missing`` as uint8 ``[N]``; None when all are values.

    SAE J1939-71, table 5: of whole bytes the highest decides (FB to FD reserved, FE error, FF not available); two bits
    are 10 error, 11 not available; other lengths know only not available, all bits set. A single bit and a
    floating-point number have no such value.
    """
    if signal.is_float or signal.length == 1:
        return None
    if signal.length in _WHOLE_BYTES:
        top = (raw >> np.uint64(signal.length - 8)).astype(np.uint8)
        if not len(top) or int(top.max()) < _RESERVED_FROM:
            return None
        why = (top >= _RESERVED_FROM).astype(np.uint8)
        why[top == _ERROR] = Missing.ERROR
        why[top == _NOT_AVAILABLE] = Missing.NOT_AVAILABLE
        return why
    full = np.uint64((1 << signal.length) - 1)
    why = np.zeros(len(raw), np.uint8)
    why[raw == full] = Missing.NOT_AVAILABLE
    if signal.length == _TWO_BITS:
        why[raw == 2] = Missing.ERROR
    return why if why.any() else None

"""Which frames are needed for some signals: identifiers and masks, as the kernel's filters take them."""

from collections.abc import Iterable
from typing import Final

from tickover.payloads.can import j1939
from tickover.payloads.can.catalogue import Catalogue, MessageLayout
from tickover.payloads.can.frames import CLASSIC_BYTES, EXTENDED, EXTENDED_MASK, STANDARD_MASK

_REMOTE: Final = 0x4000_0000
_FLAGS: Final = EXTENDED | _REMOTE
_PDU1_MASK, _PDU2_MASK = 0x03FF_0000, 0x03FF_FF00
_PACKETS: Final = (j1939.CONNECTION, j1939.DATA_TRANSFER)


def filters_of(catalogue: Catalogue, wanted: frozenset[str]) -> list[tuple[int, int]]:
    """Pairs of match and mask for the messages of these columns, each once, and for what they come in."""
    messages = [
        message
        for message in catalogue.messages
        if any(catalogue.column_of(message, signal) in wanted for signal in message.signals)
    ]
    return list(dict.fromkeys(pair for message in messages for pair in _pairs(message)))


def _pairs(message: MessageLayout) -> Iterable[tuple[int, int]]:
    if message.is_obd:
        yield 0x7E8, _FLAGS | 0x7F8
        yield EXTENDED | 0x18DA_F100, _FLAGS | 0x1FFF_FF00
    elif message.is_j1939:
        yield _of_pgn(message.pgn)
        if any(signal.last_byte >= CLASSIC_BYTES for signal in message.signals):
            yield from map(_of_pgn, _PACKETS)
    else:
        yield message.key, _FLAGS | (EXTENDED_MASK if message.key & EXTENDED else STANDARD_MASK)


def _of_pgn(pgn: int) -> tuple[int, int]:
    mask = _PDU1_MASK if pgn >> 8 & 0xFF < j1939.PDU2_FROM else _PDU2_MASK
    return EXTENDED | pgn << 8, _FLAGS | mask

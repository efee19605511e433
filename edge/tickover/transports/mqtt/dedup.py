"""Which messages were received before, by packet identifier (MQTT 5, 2.2.1).

After a lost connection or a kill, the broker repeats every message that it has no acknowledgement of, with the DUP flag
set, also those that are committed. A reading that is repeated long after its tick would look like a clock that was put
back, so repeats are recognised by packet identifier and content, and left out.

A broker gives a packet identifier to another message only after the acknowledgement of the one before. So one checksum
for each of the 65,535 identifiers covers all that can be repeated, in 256 KiB, whatever the receive maximum; Mosquitto
2.0.11, which sends more than the receive maximum allows (docs/durability.md), included.
"""

import zlib
from array import array
from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple

from tickover.transports.base import Received

IDS: Final = 65_536
PAGE: Final = 1024
"""Identifiers whose checksums are stored together: a checkpoint writes only pages that have changed, 4 KiB each."""
_KEY: Final = Struct("<HI")
"""Packet identifier, and CRC-32 of topic and payload."""
_IDS: Final = "H"
_CHECKSUMS: Final = "I"
"""Codes of `array`."""


class Delivery(NamedTuple):
    """The token of a received message: how the broker delivered it.

    ``connection``: the number of the connection, ``place``: the number of the message in it. ``dup``: the DUP flag, the
    broker has sent it before.
    """

    connection: int
    place: int
    packet_id: int
    qos: int
    dup: bool = False


class PacketIds:
    """The checksum of the newest message with each packet identifier (`tickover.transports.base.Deduplication`)."""

    def __init__(self) -> None:
        self._checksums = array(_CHECKSUMS, bytes(4 * IDS))
        self._changed = bytearray(IDS // PAGE)
        """Of each page, whether it is to be written."""
        self._new_ids, self._new_checksums = array(_IDS), array(_CHECKSUMS)

    def is_repeat(self, message: Received) -> bool:
        """Whether this message was noted before: the DUP flag, the packet identifier and the content say so."""
        delivery: Delivery = message.token  # type: ignore[assignment]
        return delivery.dup and self._checksums[delivery.packet_id] == _checksum(message)

    def note(self, message: Received) -> None:
        """The daemon uses this message."""
        delivery: Delivery = message.token  # type: ignore[assignment]
        packet_id, checksum = delivery.packet_id, _checksum(message)
        self._new_ids.append(packet_id)
        self._new_checksums.append(checksum)
        self._checksums[packet_id] = checksum
        self._changed[packet_id // PAGE] = True

    def new(self) -> bytes:
        """The messages noted since the last call: packet identifier and checksum of each, 6 bytes."""
        ids, checksums = self._new_ids, self._new_checksums
        self._new_ids, self._new_checksums = array(_IDS), array(_CHECKSUMS)
        return b"".join(map(_KEY.pack, ids, checksums))

    def pages(self, everything: bool) -> dict[str, bytes]:
        """Number to checksums of the pages that have changed since the last call, or of all that are in use."""
        if everything:
            self._mark_used()
        changed, self._changed = self._changed, bytearray(IDS // PAGE)
        return {
            str(page): self._checksums[page * PAGE : (page + 1) * PAGE].tobytes()
            for page in range(IDS // PAGE)
            if changed[page]
        }

    def restore(self, stored: Callable[[str], bytes | None], journalled: bytes) -> None:
        """Continue with the newest pages, by number, and all that `new` gave after them."""
        for page in range(IDS // PAGE):
            checksums = array(_CHECKSUMS, stored(str(page)) or b"")
            if len(checksums) == PAGE:
                self._checksums[page * PAGE : (page + 1) * PAGE] = checksums
        for packet_id, checksum in _KEY.iter_unpack(journalled):
            self._checksums[packet_id] = checksum
            self._changed[packet_id // PAGE] = True

    def forget(self) -> None:
        """The broker began a new session: it repeats nothing, and uses each packet identifier anew."""
        self._mark_used()
        self._checksums = array(_CHECKSUMS, bytes(4 * IDS))

    def _mark_used(self) -> None:
        for packet_id, checksum in enumerate(self._checksums):
            if checksum:
                self._changed[packet_id // PAGE] = True


def _checksum(message: Received) -> int:
    return zlib.crc32(message.payload, zlib.crc32(message.topic.encode()))

"""Which messages were taken already.

After a lost connection or a kill, the broker repeats every message that it has no acknowledgement of, also those that
are committed. A reading that comes again long after its tick would look like a clock that was put back, so repeats are
known by packet id and content, and left out.

A broker gives no packet id to another message before it has the acknowledgement of the one before. So one checksum for
each of the 65,535 ids knows all that can be repeated, in 256 KiB, whatever the receive maximum; Mosquitto 2.0.11, which
sends more than the receive maximum allows (docs/durability.md), included.
"""

import zlib
from array import array
from collections.abc import Callable
from struct import Struct
from typing import Final

from tickover.storage.salvage import TAKEN
from tickover.transports.mqtt.link import Incoming

IDS: Final = 65_536
PAGE: Final = 1024
"""Ids whose checksums are stored together: a checkpoint writes only pages that have changed, 4 KiB each."""
_KEY: Final = Struct("<HI")
"""Packet id, and CRC-32 of topic and payload."""
_CHECKSUMS: Final = "I"


class Taken:
    """The checksum of the newest message taken with each packet id; on disk with the commit that holds the message."""

    def __init__(self) -> None:
        self._checksums = array(_CHECKSUMS, bytes(4 * IDS))
        self._changed: set[int] = set()
        self._new: list[bytes] = []

    def is_repeat(self, message: Incoming) -> bool:
        """Whether the broker sent this message before and it was taken."""
        return message.again and self._checksums[message.mid] == _checksum(message)

    def note(self, message: Incoming) -> None:
        """A message was taken."""
        checksum = _checksum(message)
        self._new.append(_KEY.pack(message.mid, checksum))
        self._keep(message.mid, checksum)

    def new(self) -> bytes:
        """Those taken since the last call, for the journal."""
        new, self._new = self._new, []
        return b"".join(new)

    def pages(self, everything: bool) -> dict[str, bytes]:
        """Name to body of the pages that have changed since the last call, or of all in use; for a checkpoint."""
        changed, self._changed = self._changed | (self._used() if everything else set()), set()
        return {_name(page): self._checksums[page * PAGE : (page + 1) * PAGE].tobytes() for page in changed}

    def restore(self, stored: Callable[[str], bytes | None], journalled: bytes) -> None:
        """Know these again: the pages of the last checkpoint, and what was taken since."""
        for page in range(IDS // PAGE):
            checksums = array(_CHECKSUMS, stored(_name(page)) or b"")
            if len(checksums) == PAGE:
                self._checksums[page * PAGE : (page + 1) * PAGE] = checksums
        for mid, checksum in _KEY.iter_unpack(journalled):
            self._keep(mid, checksum)

    def forget(self) -> None:
        """The broker began a new session: it repeats nothing, and counts packets anew."""
        self._changed |= self._used()
        self._checksums = array(_CHECKSUMS, bytes(4 * IDS))

    def _used(self) -> set[int]:
        return {mid // PAGE for mid, checksum in enumerate(self._checksums) if checksum}

    def _keep(self, mid: int, checksum: int) -> None:
        self._checksums[mid] = checksum
        self._changed.add(mid // PAGE)


def _checksum(message: Incoming) -> int:
    return zlib.crc32(message.payload, zlib.crc32(message.topic.encode()))


def _name(page: int) -> str:
    """Where the store keeps a page."""
    return f"{TAKEN}{page}"

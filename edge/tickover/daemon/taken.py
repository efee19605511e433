"""Which messages were taken already.

After a lost connection or a kill, the broker repeats every message that it has no acknowledgement of, also those that
are committed. A reading that comes again long after its tick would look like a clock that was put back, so repeats are
known by packet id and content and left out. There are never more of them than the receive maximum.
"""

import zlib
from collections import OrderedDict
from struct import Struct
from typing import Final

from tickover.io.mqtt import Incoming

_KEY: Final = Struct("<HI")
"""Packet id, and CRC-32 of topic and payload."""


class Taken:
    """The newest ``most`` messages; in memory from when they are taken, on disk with the commit that holds them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: OrderedDict[bytes, None] = OrderedDict()
        self._new: list[bytes] = []

    def is_repeat(self, message: Incoming) -> bool:
        """Whether the broker sent this message before and it was taken."""
        return message.again and _key(message) in self._keys

    def note(self, message: Incoming) -> None:
        """A message was taken."""
        key = _key(message)
        self._new.append(key)
        self._keep(key)

    def new(self) -> bytes:
        """Those taken since the last call, for the journal."""
        new, self._new = self._new, []
        return b"".join(new)

    def all(self) -> bytes:
        """All that are known, for a checkpoint."""
        return b"".join(self._keys)

    def restore(self, keys: bytes) -> None:
        """Know these again, oldest first."""
        for at in range(0, len(keys) - _KEY.size + 1, _KEY.size):
            self._keep(keys[at : at + _KEY.size])

    def forget(self) -> None:
        """The broker began a new session: it repeats nothing, and counts packets anew."""
        self._keys.clear()

    def _keep(self, key: bytes) -> None:
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)


def _key(message: Incoming) -> bytes:
    return _KEY.pack(message.mid, zlib.crc32(message.payload, zlib.crc32(message.topic.encode())))

"""J1939 messages of more than eight bytes, from packets (SAE J1939-21): broadcast (BAM) and connection (RTS/CTS)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from tickover.payloads.can import j1939
from tickover.payloads.can.frames import EXTENDED, Frames

PACKET_BYTES: Final = 7
MIN_BYTES, MAX_BYTES = 9, 1785
BROADCAST_TIMEOUT: Final = 750_000
"""T1, microseconds: the longest time between packets of a broadcast."""
CONNECTION_TIMEOUT: Final = 1_250_000
"""T2 and T3, microseconds: the same of a connection."""
MAX_SESSIONS: Final = 4_096

_RTS, _CTS, _END, _BAM, _ABORT = 16, 17, 19, 32, 255


class Message(NamedTuple):
    """A message that is whole: the frame that completed it (its row in the block and time), and what it is."""

    row: int
    time: int
    pgn: int
    source: int
    destination: int
    channel: int
    payload: bytes


@dataclass
class _Session:
    """One message on its way. ``packets``: those that came, by number from 1."""

    pgn: int
    size: int
    number: int
    broadcast: bool
    last: int
    packets: dict[int, bytes] = field(default_factory=dict)

    def is_late(self, time: int) -> bool:
        """Whether the next packet comes too late to belong to it."""
        return time - self.last > (BROADCAST_TIMEOUT if self.broadcast else CONNECTION_TIMEOUT)

    def payload(self) -> bytes | None:
        """The message's bytes; None while packets are missing."""
        if len(self.packets) < self.number:
            return None
        return b"".join(self.packets[number] for number in range(1, self.number + 1))[: self.size]


class Sessions:
    """Puts packets together, by bus, source and destination.

    ``counts``: completed, timed out, packet missing, orphan, replaced, aborted, malformed; `finish` adds open.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._open: dict[tuple[int, int, int], _Session] = {}

    def take(self, frames: Frames, rows: "np.ndarray") -> Iterator[Message]:
        """The messages that these rows of a block complete."""
        for row in rows.tolist():
            parts = j1939.parts(int(frames.key[row]))
            data = bytes(frames.data[row, : frames.length[row]])
            time, channel = int(frames.time[row]), int(frames.channel[row])
            place = (channel, parts.source, parts.destination)
            if len(data) < 8:
                self.counts["malformed"] += 1
            elif parts.pgn == j1939.CONNECTION:
                self._control(data, place, time)
            else:
                yield from self._packet(data, place, time, row)

    def finish(self, time: int | None) -> None:
        """The recording ends here: sessions that are still on their way are counted."""
        for session in self._open.values():
            late = time is not None and session.is_late(time)
            self.counts["timed out" if late else "open at the end"] += 1
        self._open.clear()

    def _control(self, data: bytes, place: tuple[int, int, int], time: int) -> None:
        kind = data[0]
        channel, source, destination = place
        if kind in (_RTS, _BAM):
            self._begin(data, place, time)
        elif kind == _ABORT:
            # Either side may abort; the message is on its way from one of the two to the other.
            found = self._open.pop(place, None) or self._open.pop((channel, destination, source), None)
            self.counts["aborted"] += found is not None
        elif kind == _CTS:
            session = self._open.get((channel, destination, source))
            if session is not None and not session.is_late(time):
                session.last = time

    def _begin(self, data: bytes, place: tuple[int, int, int], time: int) -> None:
        size, number = data[1] | data[2] << 8, data[3]
        old = self._open.pop(place, None)
        if old is not None:
            self.counts["timed out" if old.is_late(time) else "replaced"] += 1
        if not MIN_BYTES <= size <= MAX_BYTES or number != -(-size // PACKET_BYTES):
            self.counts["malformed"] += 1
            return
        if len(self._open) >= MAX_SESSIONS:
            oldest = min(self._open, key=lambda one: self._open[one].last)
            del self._open[oldest]
            self.counts["timed out"] += 1
        pgn = int.from_bytes(data[5:8], "little") & 0x3FFFF
        self._open[place] = _Session(pgn, size, number, data[0] == _BAM, time)

    def _packet(self, data: bytes, place: tuple[int, int, int], time: int, row: int) -> Iterator[Message]:
        session = self._open.get(place)
        if session is not None and session.is_late(time):
            del self._open[place]
            self.counts["timed out"] += 1
            session = None
        if session is None or not 1 <= data[0] <= session.number:
            self.counts["orphan"] += 1
            return
        session.packets[data[0]] = data[1:8]
        session.last = time
        payload = session.payload()
        if payload is not None:
            del self._open[place]
            self.counts["completed"] += 1
            channel, source, destination = place
            yield Message(row, time, session.pgn, source, destination, channel, payload)
        elif session.broadcast and data[0] == session.number:
            del self._open[place]
            self.counts["packet missing"] += 1


def rows_of(frames: Frames) -> "np.ndarray":
    """The rows that are packets or their announcements."""
    kind = frames.key >> np.uint32(16) & np.uint32(0x3FF)
    connection, data = j1939.CONNECTION >> 8, j1939.DATA_TRANSFER >> 8
    return np.flatnonzero((frames.key >= EXTENDED) & ((kind == connection) | (kind == data)))

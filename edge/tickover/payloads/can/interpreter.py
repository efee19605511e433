"""Frames to decoded signals: single frames, and messages that come in several."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tickover.core.values import TimeArray
from tickover.payloads.can.catalogue import Catalogue, MessageLayout
from tickover.payloads.can.decoder import Decoded, decode, groups
from tickover.payloads.can.frames import Frames
from tickover.payloads.can.layouts import SignalLayout

MAX_IDS: Final = 4_096
"""Unknown identifiers that are told apart."""


@dataclass(frozen=True, slots=True)
class Interpreted:
    """A block of frames, and of messages of several frames, in order of arrival.

    ``time`` int64 ``[M]``: the time of each; ``decoded``: signals, whose ``rows`` count in this order.
    """

    time: TimeArray
    decoded: Sequence[Decoded]


class Interpreter:
    """Takes a bus's frames in order; ``counts`` has what was known, unknown and lost."""

    def __init__(self, catalogue: Catalogue, wanted: frozenset[str] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.unknown: Counter[int] = Counter()
        self.catalogue = catalogue
        self._wanted = wanted
        self._of_message: dict[str, tuple[SignalLayout, ...]] = {}

    def column_of(self, decoded: Decoded) -> str:
        """The signal's name in the catalogue, without its origin."""
        return self.catalogue.column_of(decoded.message, decoded.signal)

    def take(self, frames: Frames) -> Interpreted:
        """What the next block of frames says."""
        return Interpreted(frames.time, list(self._decode(frames)))

    def _decode(self, frames: Frames) -> Iterator[Decoded]:
        for key, rows in groups(frames.key):
            message = self.catalogue.find(key)
            if message is None:
                self._count_unknown(key, len(rows))
                continue
            self.counts["decoded_frames"] += len(rows)
            yield from decode(frames, rows, key, message, self._signals(message), self.counts)

    def _signals(self, message: MessageLayout) -> tuple[SignalLayout, ...]:
        """Those of a message that are wanted."""
        if message.name not in self._of_message:
            self._of_message[message.name] = tuple(
                signal
                for signal in message.signals
                if self._wanted is None or self.catalogue.column_of(message, signal) in self._wanted
            )
        return self._of_message[message.name]

    def _count_unknown(self, key: int, number: int) -> None:
        """Frames that nothing is known of, by identifier; a bus with ever new identifiers is cut off."""
        self.counts["unknown_frames"] += number
        if key in self.unknown or len(self.unknown) < MAX_IDS:
            self.unknown[key] += number

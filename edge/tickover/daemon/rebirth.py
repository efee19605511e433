"""Asking Sparkplug B nodes for their births again: seldom, and counted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from tickover.payloads.base import Decoder, Input

if TYPE_CHECKING:  # protobuf costs start-up time
    from tickover.payloads.sparkplug import SparkplugB

AT_ONCE: Final = 20
"""The most requests in one go: a fleet whose births are unknown must not be woken all together."""
PAUSE_S: Final = 1.0
"""Between two goes."""
REMEMBERED: Final = 10_000
"""The most nodes whose last request is remembered."""


def rebirth_request(time: int) -> bytes:
    """The body of the command that asks a node for all its births; ``time`` in microseconds."""
    from tickover.payloads.sparkplug import rebirth_request as encode

    return encode(time)


def topic_beside(spec: Input) -> str | None:
    """Where a node's other messages are, which are numbered with these: its devices', or for devices its own.

    None when births are not asked for.
    """
    levels = spec.topic.split("/")
    if not _asks(spec):
        return None
    below = len(levels) - levels.index("{kind}") - 1
    levels = [*levels, "+"] if below == 1 else levels[:-1]
    named = ("{vehicle}", "{group}", "{device}")
    return "/".join("+" if level in named else level for level in levels) if below <= 2 else None


def _asks(spec: Input) -> bool:
    return spec.format == "sparkplug_b" and spec.rebirth_s > 0


class Rebirths:
    """Which nodes to ask now; each no more often than its input's ``rebirth_s``. ``asked`` counts requests."""

    def __init__(self, inputs: Sequence[Input], decoders: Sequence[Decoder]) -> None:
        pairs = zip(inputs, decoders, strict=True)
        self._asking = [(spec.rebirth_s, cast("SparkplugB", decoder)) for spec, decoder in pairs if _asks(spec)]
        self._asked_at: dict[str, float] = {}
        self._go_at = 0.0
        self.asked = 0

    def due(self, now: float) -> list[str]:
        """Topics to publish a request on; ``now`` in monotonic seconds. What is not due yet stays wanted."""
        if now < self._go_at or not any(decoder.wanted for _, decoder in self._asking):
            return []
        self._go_at = now + PAUSE_S
        due = sorted(
            {
                node
                for every, decoder in self._asking
                for node in decoder.wanted
                if now - self._asked_at.get(node, now - every) >= every
            }
        )[:AT_ONCE]
        for node in due:
            self._note(node, now)
        return due

    def _note(self, node: str, now: float) -> None:
        self.asked += 1
        self._asked_at.pop(node, None)
        self._asked_at[node] = now
        if len(self._asked_at) > REMEMBERED:
            del self._asked_at[next(iter(self._asked_at))]
        for _, decoder in self._asking:
            decoder.wanted.discard(node)

"""Asking senders for what a decoder lacks (Sparkplug B nodes for their births): seldom, and counted."""

from collections.abc import Callable, Iterable
from typing import Final

from tickover.payloads.base import Requests

AT_ONCE: Final = 20
"""The most requests at once: a whole fleet whose births are unknown would answer at the same time."""
PAUSE_S: Final = 1.0
"""Between two rounds of requests."""
REMEMBERED: Final = 10_000
"""The most topics whose last request is remembered."""


class Requester:
    """Which requests to publish now; each no more often than its decoder says. ``asked`` counts them."""

    def __init__(self, requests: Iterable[Requests | None]) -> None:
        self._requests = [one for one in requests if one is not None]
        self._asked_at: dict[str, float] = {}
        self._go_at = 0.0
        self.asked = 0

    def due(self, now: float) -> list[tuple[str, Callable[[int], bytes]]]:
        """Topic and body (by the time in microseconds) of each request to publish; ``now`` in monotonic seconds.

        What is not due yet stays wanted.
        """
        if now < self._go_at or not any(one.wanted for one in self._requests):
            return []
        self._go_at = now + PAUSE_S
        due = {
            topic: one.body
            for one in self._requests
            for topic in one.wanted
            if now - self._asked_at.get(topic, now - one.every_s) >= one.every_s
        }
        chosen = sorted(due)[:AT_ONCE]
        for topic in chosen:
            self._note(topic, now)
        return [(topic, due[topic]) for topic in chosen]

    def _note(self, topic: str, now: float) -> None:
        self.asked += 1
        self._asked_at.pop(topic, None)
        self._asked_at[topic] = now
        if len(self._asked_at) > REMEMBERED:
            del self._asked_at[next(iter(self._asked_at))]
        for one in self._requests:
            one.wanted.discard(topic)

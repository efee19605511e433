"""What an engineer who waits for a truck wants to be told: that nothing comes, or that it comes with strange times."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tickover.messages import remedies

logger: Final = logging.getLogger("tickover")

QUIET_S: Final = 10.0
"""So long after the first subscription something should have come."""
MOST_TOLD: Final = 5
"""Vehicles whose strange times are told."""


class FirstReadings:
    """Logs each thing once in a run. ``filters`` are the subscriptions."""

    def __init__(self, filters: Sequence[str]) -> None:
        self._filters = list(filters)
        self._quiet_at: float | None = None
        self._told = 0

    def subscribed(self) -> None:
        """From now on messages may come."""
        self._quiet_at = self._quiet_at or time.monotonic() + QUIET_S

    def look(self, counts: Counter[str]) -> None:
        """Say when nothing came at all; ``counts`` is all that came, by what became of it."""
        if self._quiet_at and time.monotonic() >= self._quiet_at:
            self._quiet_at = float("inf")
            if not counts:
                logger.warning(remedies.on_silence(self._filters))

    def met(self, vehicle: str, newest: int, now: int) -> None:
        """A vehicle's first readings in this run; its event time and the clock's, microseconds."""
        strange = remedies.on_times(newest, now)
        if strange and self._told < MOST_TOLD:
            self._told += 1
            logger.warning("%s: %s", vehicle, strange)

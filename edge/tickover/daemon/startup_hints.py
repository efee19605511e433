"""Hints in the log for who sets a truck up: nothing is received, or the times are far from the clock."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tickover.host.log_fields import fields
from tickover.messages import remedies

logger: Final = logging.getLogger("tickover")

QUIET_S: Final = 10.0
"""How long after the first subscription a message should have been received (seconds)."""
MOST_LOGGED: Final = 5
"""The most vehicles whose times are logged."""


class FirstReadings:
    """Logs each thing once in a run. ``filters`` are the subscriptions."""

    def __init__(self, filters: Sequence[str]) -> None:
        self._filters = list(filters)
        self._quiet_at: float | None = None
        self._logged = 0

    def subscribed(self) -> None:
        """From now on messages may be received."""
        self._quiet_at = self._quiet_at or time.monotonic() + QUIET_S

    def look(self, counts: Counter[str]) -> None:
        """Log when nothing was received at all; ``counts`` counts what was, by what became of it."""
        if self._quiet_at and time.monotonic() >= self._quiet_at:
            self._quiet_at = float("inf")
            if not counts:
                logger.warning(remedies.on_silence(self._filters))

    def met(self, vehicle: str, newest: int, now: int) -> None:
        """A vehicle's first readings in this run; its event time and the clock's, microseconds."""
        strange = remedies.on_times(newest, now)
        if strange and self._logged < MOST_LOGGED:
            self._logged += 1
            logger.warning("%s %s", strange, fields(vehicle=vehicle))

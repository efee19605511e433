"""Hints in the log for who sets a truck up: nothing is received, messages or signals are not read, times are odd."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from tickover.daemon.unread import Unread
from tickover.host.log_fields import fields
from tickover.messages import remedies
from tickover.payloads.advice import rename_advice

logger: Final = logging.getLogger("tickover")

QUIET_S: Final = 10.0
"""How long after the first subscription a message should have been received (seconds)."""
SIGNALS_S: Final = 45.0
"""How long after a vehicle's first reading each signal should have been read."""
MOST_LOGGED: Final = 5
"""The most vehicles whose times, or signals, are logged."""
MOST_WATCHED: Final = 100
"""The most vehicles whose first minute is watched."""
STRANGERS_SHOWN: Final = 12


class FirstReadings:
    """Logs each thing once in a run. ``filters`` are the subscriptions.

    ``never_read`` says which signals of a vehicle were never read; ``strangers`` which names no model has.
    """

    def __init__(
        self,
        filters: Sequence[str],
        unread: Unread | None = None,
        never_read: Callable[[str], Sequence[str]] = lambda _: (),
        strangers: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self._filters, self._unread = list(filters), unread
        self._never_read, self._strangers = never_read, strangers
        self._quiet_at: float | None = None
        self._since: float | None = None
        self._nothing = True
        self._logged = 0
        self._met: dict[str, float] = {}
        self._watched = 0
        self._told: set[tuple[str, ...]] = set()

    def subscribed(self) -> None:
        """From now on messages may be received."""
        self._quiet_at = self._quiet_at or time.monotonic() + QUIET_S
        self._since = self._since or time.monotonic()

    def look(self, counts: Counter[str]) -> None:
        """Log what is due; ``counts`` counts what was received, by what became of it."""
        if self._quiet_at is None:
            return
        now = time.monotonic()
        self._nothing = not counts
        if now >= self._quiet_at:
            self._quiet_at = float("inf")
            if not counts:
                logger.warning(remedies.on_silence(self._filters))
        if self._unread:
            for line in self._unread.look(now):
                logger.warning(line)
        for vehicle in [vehicle for vehicle, at in self._met.items() if now >= at + SIGNALS_S]:
            del self._met[vehicle]
            self._look_at_signals(vehicle)

    def unread(self) -> str:
        """What is subscribed and not read, for as long as it is so; empty: nothing."""
        now = time.monotonic()
        if self._nothing and self._since is not None and now - self._since >= SIGNALS_S:
            return remedies.on_silence(self._filters)
        return self._unread.notice(now) if self._unread else ""

    def met(self, vehicle: str, newest: int, now: int) -> None:
        """A vehicle's first readings in this run; its event time and the clock's, microseconds."""
        strange = remedies.on_times(newest, now)
        if strange and self._logged < MOST_LOGGED:
            self._logged += 1
            logger.warning("%s %s", strange, fields(vehicle=vehicle))
        if self._watched < MOST_WATCHED:
            self._watched += 1
            self._met[vehicle] = time.monotonic()

    def _look_at_signals(self, vehicle: str) -> None:
        """Signals that a model needs and nothing has named: in a whole fleet the same ones are said once."""
        missing = tuple(self._never_read(vehicle))
        if not missing or missing in self._told or len(self._told) >= MOST_LOGGED:
            return
        self._told.add(missing)
        strangers = self._strangers()[:STRANGERS_SHOWN]
        unknown = f"; names that no model has: {', '.join(strangers)}; " if strangers else "; "
        advice = rename_advice(strangers, missing) if strangers else "check that the truck publishes them"
        about = fields(vehicle=vehicle)
        logger.warning("signals never read: %s %s%s%s", ", ".join(missing), about, unknown, advice)

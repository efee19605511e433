"""How long messages may gather before they are looked at: each look wakes two threads, which costs far more than a row.

What is gathered shares a wake-up, and a run of the model, which costs as much for one vehicle as for fifty.
"""

import time
from collections.abc import Iterable
from typing import Final

from tickover.core.manifest import Manifest
from tickover.core.values import SECOND

FLEETS: Final = ((100, 0.03), (10, 0.01))
"""More vehicles than so many report one after another: so many seconds."""
FAST: Final = 20.0
"""Messages a second from which on they gather though there are few vehicles."""
SHARE: Final = 0.05
"""Of the time from a reading to the end of its tick's lateness, which alerts take anyway, messages may gather for."""
LONGEST_S: Final = 0.1
LEAST_S: Final = 0.005
"""Less than this spares no wake-up."""
WINDOW_S: Final = 1.0
"""Messages are counted for so long."""


class Pace:
    """Counts messages; ``manifests`` are those of the models, the quickest of which decides."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        quickest = min((one.period / SECOND + one.lateness_s for one in manifests), default=0.0)
        longest = min(LONGEST_S, SHARE * quickest)
        self._longest = longest if longest >= LEAST_S else 0.0
        self._since, self._count, self._is_fast = time.monotonic(), 0, False

    def came(self, messages: int) -> None:
        """So many messages were taken."""
        self._count += messages
        now = time.monotonic()
        if now - self._since >= WINDOW_S:
            self._is_fast = self._count / (now - self._since) >= FAST
            self._since, self._count = now, 0

    def gather_s(self, vehicles: int) -> float:
        """How long messages of so many vehicles may gather now, seconds."""
        fleet = next((seconds for most, seconds in FLEETS if vehicles > most), 0.0)
        return max(fleet, self._longest) if self._is_fast else fleet

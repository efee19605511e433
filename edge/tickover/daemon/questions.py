"""Questions that come early (`tickover.transports.base.Session.early`), and again in their turn.

Who asks right after publishing means what was published to be in the answer. So a question is answered in its turn as
long as that comes soon, and only behind a backlog early.
"""

import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from tickover.transports.base import Received

SOON_S: Final = 1.0
"""How long the turn of a question is waited for."""
MOST: Final = 100
"""Questions that wait, and that were answered early; one that is forgotten is answered once more or in its turn."""
KEPT_S: Final = 3600.0
"""After so long another question of the same words is a new one."""


class Questions:
    """One daemon's; a question is known by its topic and words."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Received]] = deque(maxlen=MOST)
        self._answered: deque[tuple[float, Received]] = deque(maxlen=MOST)

    def is_due(self, message: Received) -> bool:
        """Whether to carry out this command now: not one that came early, nor one that was answered early."""
        if _taken(self._waiting, message) is not None:
            return True  # its other copy: a question at QoS 0 has two that come early
        now = time.monotonic()
        if message.early:
            self._waiting.append((now, message))
            return False
        since = _taken(self._answered, message)
        return since is None or now - since > KEPT_S

    def overdue(self) -> Iterator[Received]:
        """Those whose turn has not come soon; to be answered now."""
        now = time.monotonic()
        while self._waiting and now - self._waiting[0][0] > SOON_S:
            _, message = self._waiting.popleft()
            self._answered.append((now, message))
            yield message


def _taken(noted: deque[tuple[float, Received]], message: Received) -> float | None:
    """Take out the oldest of the same words; when it was noted."""
    for one in noted:
        if (one[1].topic, one[1].payload) == (message.topic, message.payload):
            noted.remove(one)
            return one[0]
    return None

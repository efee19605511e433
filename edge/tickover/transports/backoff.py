"""When to try to connect again. In all a broker that can be reached is reached within 2 x keepalive + 2 s:

- A connection that dies without notice: recognised at most 2 x keepalive after the last bytes came
  (`FastClient.next_look`), and the first wait is at most 0.5 s.
- A broker that comes back: the attempt under way may fail after ``attempt_s``, and the wait after it is at most one
  keepalive: 2 x keepalive, or keepalive + 3 s where that is more.

What connecting itself takes comes on top: the name server, and the round trips of TCP, TLS and MQTT.
"""

import random
from typing import Final

FIRST_S: Final = 0.5
LONGEST_S: Final = 15.0
LEAST_SHARE: Final = 0.2
"""A wait is between this share of its limit and the whole, so that not all of a fleet connects at the same moment."""
SHORT_S: Final = 3.0
"""A connection that was accepted and ended within this may have been cut by another client of the same name …"""
SHORT_WAITS_S: Final = (1.0, 2.5)
"""… which then has so long to read who else is there; shorter waits give nobody the time, longer ones find it late."""
SHORT_MOST: Final = 6
"""So many of them in a row; a broker that goes on like this is then left alone for longer and longer."""
SHORTEST_ATTEMPT_S, LONGEST_ATTEMPT_S = 3.0, 10.0


def attempt_s(keepalive_s: float) -> float:
    """How long connecting, the TLS handshake and the broker's CONNACK may take together (seconds)."""
    return min(LONGEST_ATTEMPT_S, max(SHORTEST_ATTEMPT_S, keepalive_s))


class Waits:
    """Waits between attempts: the limit doubles from the first to the longest.

    It starts from the first again after a connection that lasted longer than the limit; connections that the broker
    ends at once do not count, and after the first `SHORT_MOST` of those the wait is always about the same.
    """

    def __init__(self, keepalive_s: float) -> None:
        self._longest = min(LONGEST_S, keepalive_s)
        self._limit = FIRST_S
        self._short = 0

    def after(self, lasted: float) -> float:
        """How long to wait after a connection that lasted so long (seconds; 0: there was none)."""
        self._short = self._short + 1 if 0 < lasted < SHORT_S else 0
        if 0 < self._short <= SHORT_MOST:
            return min(self._longest, random.uniform(*SHORT_WAITS_S))
        if lasted > self._limit:
            self._limit = FIRST_S
        limit, self._limit = self._limit, min(self._limit * 2, self._longest)
        return limit * random.uniform(LEAST_SHARE, 1.0)

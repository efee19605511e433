"""How many messages the broker may send unacknowledged, on a link that is narrow.

What the broker has under way lies in buffers along the link, and its answers (to our subscription, to our publishes)
lie behind it: 2,000 readings take half a minute at 8 kB/s. The answer to the first subscription shows how long that
is; the next connection asks for as many as the link carries in `WANTED_S`. MQTT sets the number when connecting.
"""

from typing import Final

WANTED_S: Final = 2.0
"""How long what is under way may take."""
SLOW_S: Final = 3.0
"""An answer that takes longer stands behind too much."""
QUICK_S: Final = 1.0
"""After an answer within this, the next connection may have twice as many under way."""
LEAST: Final = 20
"""Mosquitto's own default; fewer would cost a commit for a handful of readings."""


class Window:
    """``size``: the receive maximum for the next connection, at most ``most``."""

    def __init__(self, most: int) -> None:
        self._most = self.size = most

    def answered(self, delay_s: float, received: int) -> None:
        """An answer took ``delay_s``, and so many messages came before it.

        Few messages and a late answer say that the broker is slow, and nothing of the link.
        """
        if delay_s > SLOW_S and received >= LEAST:
            carried = round(received * WANTED_S / delay_s)
            self.size = min(self._most, max(LEAST, carried))
        elif delay_s < QUICK_S:
            self.size = min(self._most, self.size * 2)

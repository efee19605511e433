"""Readings as the messages of a truck, and the pace at which they leave."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tickover.core.values import SECOND, Readings

TIME_KEY: Final = "time"
"""The key of a message that holds the event time, in seconds since the epoch."""
LONGEST_WAIT_S: Final = 60.0
"""A longer recorded gap is shortened to this."""


def messages(block: Readings) -> Iterator[tuple[int, bytes]]:
    """Event time and payload of each row: a JSON object of the time and the signals that have a reading."""
    for moment, row in zip(block.time.tolist(), block.values.tolist(), strict=True):
        values = {name: value for name, value in zip(block.signals, row, strict=True) if not math.isnan(value)}
        if values:
            yield moment, msgspec.json.encode({TIME_KEY: moment / SECOND, **values})


class Pace:
    """Waits until a message is due: ``speed`` seconds of event time pass in one second; infinity never waits.

    ``longest_s`` bounds one wait, in seconds of wall time; a longer gap is shortened to it.
    """

    def __init__(
        self,
        speed: float,
        longest_s: float = LONGEST_WAIT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speed = speed
        self._longest_s = longest_s
        self._clock = clock
        self._sleep = sleep
        self._last: int | None = None
        self._due = 0.0

    def wait(self, moment: int) -> None:
        """Sleep until the message of this event time is due. Times that run backwards are due at once."""
        if self._last is None:
            self._last, self._due = moment, self._clock()
        step_s = max(0, moment - self._last) / SECOND / self._speed
        self._last = max(moment, self._last)
        self._due += min(step_s, self._longest_s)
        left_s = self._due - self._clock()
        if left_s > 0:
            self._sleep(left_s)

"""tickover with a clock that can be made to run fast: ``python fast_clock.py SPEED run --config …``.

SIGUSR1: from now on every clock runs SPEED times as fast; SIGUSR2: as usual again. Waits in system calls stay as long
as they are, so a fast daemon has fewer turns to the hour, as a slow processor would.
"""

import signal
import sys
import time
from collections.abc import Callable

REAL: dict[str, Callable[[], float]] = {name: getattr(time, name) for name in ("monotonic", "time")}
REAL_NS = time.time_ns


class Clock:
    """Seconds gained over the real clocks, growing while fast."""

    def __init__(self, speed: float) -> None:
        self._speed, self._factor, self._gained, self._since = speed, 1.0, 0.0, REAL["monotonic"]()

    def gained(self) -> float:
        return self._gained + (REAL["monotonic"]() - self._since) * (self._factor - 1)

    def run(self, fast: bool) -> None:
        self._gained, self._since = self.gained(), REAL["monotonic"]()
        self._factor = self._speed if fast else 1.0


def install(speed: float) -> None:
    """Put the clock in the place of Python's, before anything takes hold of those."""
    clock = Clock(speed)
    time.monotonic = lambda: REAL["monotonic"]() + clock.gained()
    time.time = lambda: REAL["time"]() + clock.gained()
    time.time_ns = lambda: REAL_NS() + round(clock.gained() * 1e9)
    signal.signal(signal.SIGUSR1, lambda *_: clock.run(True))
    signal.signal(signal.SIGUSR2, lambda *_: clock.run(False))


if __name__ == "__main__":
    install(float(sys.argv.pop(1)))
    from tickover.cli import main

    main()

"""Progress of a long job on stderr, with the time left, and Ctrl-C as a wish rather than an end."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from tickover.core.time_format import stopwatch
from tickover.core.values import SECOND


class Progress:
    """One line per message on a log, one line rewritten in place on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._began = time.monotonic()

    def tell(self, done: float, text: str) -> None:
        """``done`` is the share of the job's largest possible length, 0 to 1."""
        past = time.monotonic() - self._began
        left = f", at most {_clock(past / done - past)} left" if 0.0 < done < 1.0 else ""
        end = "\r" if self._terminal else "\n"
        erase = "\x1b[2K" if self._terminal else ""
        self._stream.write(f"{erase}[{_clock(past)}{left}] {text}{end}")
        self._stream.flush()

    def say(self, text: str) -> None:
        """A line that stays."""
        erase = "\x1b[2K" if self._terminal else ""
        self._stream.write(f"{erase}{text}\n")
        self._stream.flush()


def _clock(seconds: float) -> str:
    return stopwatch(round(seconds) * SECOND)


class Interrupt:
    """Whether Ctrl-C was pressed. Truth changes once; a second Ctrl-C ends the process as usual."""

    def __init__(self) -> None:
        self.pressed = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.pressed

    @contextmanager
    def caught(self, progress: Progress) -> Iterator[None]:
        """Turn the first SIGINT inside the block into ``pressed``."""
        before = signal.getsignal(signal.SIGINT)

        def note(number: int, frame: FrameType | None) -> None:
            self.pressed = True
            signal.signal(signal.SIGINT, before)
            progress.say("stopping: keeping the best so far (Ctrl-C again to end at once)")

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

"""Ctrl-C, and the lines that show how far a long command is."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import click

from tickover.core.time_format import stopwatch
from tickover.core.values import SECOND

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""
QUIET_S: Final = 2.0
"""A job whose every step is cheap is first shown after this time ..."""
SAY_EVERY_S: Final = 0.5
"""... and then this often."""
NAP_S: Final = 0.1
"""How long Ctrl-C may go unnoticed while waiting."""
ERASE: Final = "\r\x1b[K"
"""To the start of the line, and erase it."""


class CtrlC:
    """Turns the first Ctrl-C into a flag, so that a job ends between two steps; the second one interrupts.

    ``on_press`` is called at the first one.
    """

    def __init__(self, on_press: Callable[[], None] = lambda: None) -> None:
        self._pressed = False
        self._on_press = on_press

    def __enter__(self) -> "CtrlC":
        self._before = signal.signal(signal.SIGINT, self._press) if _is_main_thread() else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def is_pressed(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._pressed

    def sleep(self, seconds: float) -> None:
        """Sleep, but not on after Ctrl-C."""
        until = time.monotonic() + seconds
        while not self._pressed and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NAP_S))

    def _press(self, *_: object) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True
        self._on_press()


class Progress:
    """How far a long job is, on standard error: ``[2:05, at most 0:40 left] text``.

    On a terminal the line is rewritten in place. Elsewhere each message is a line of its own when ``logged``, and
    nothing is shown otherwise.
    """

    def __init__(self, *, logged: bool) -> None:
        self._live = sys.stderr.isatty()
        self._shows = self._live or logged
        self._began = time.monotonic()
        self._due = self._began + QUIET_S
        self._open = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the job began."""
        return time.monotonic() - self._began

    def is_due(self) -> bool:
        """Whether a job of many quick steps is to renew the line: on a terminal, and seldom enough to be read."""
        now = time.monotonic()
        if not self._live or now < self._due:
            return False
        self._due = now + SAY_EVERY_S
        return True

    def tell(self, text: str, done: float = 0.0) -> None:
        """Renew the line; ``done`` is the share of the job's largest possible length, 0 when it is not known."""
        if not self._shows:
            return
        past = self.elapsed_s
        left = f", at most {_clock(past / done - past)} left" if 0.0 < done < 1.0 else ""
        self.clear()
        click.echo(f"[{_clock(past)}{left}] {text}", err=True, nl=not self._live)
        self._open = self._live

    def say(self, text: str) -> None:
        """A line that stays, however standard error is shown."""
        self.clear()
        click.echo(text, err=True)

    def clear(self) -> None:
        """Erase the line before something else is written."""
        if self._open:
            click.echo(ERASE, err=True, nl=False)
            self._open = False


class StatusLine:
    """How a command without a known end fares, on standard error.

    On a terminal one line, rewritten in place. Elsewhere a line every ``log_every_s`` seconds, to keep a log short.
    """

    def __init__(self, log_every_s: float) -> None:
        self._live = sys.stderr.isatty()
        self._every_s = SAY_EVERY_S if self._live else log_every_s
        self._shown = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to show it again."""
        return time.monotonic() - self._shown >= self._every_s

    def show(self, text: str, *, last: bool = False) -> None:
        """Show it; the ``last`` one stays."""
        self._shown = time.monotonic()
        click.echo(f"{ERASE}{text}" if self._live else text, nl=last or not self._live, err=True)


def _clock(seconds: float) -> str:
    return stopwatch(round(seconds * SECOND))


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()

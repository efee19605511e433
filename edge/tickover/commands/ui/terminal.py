"""The person at the terminal: Ctrl-C, and a line that says how far a replay is."""

import signal
import sys
import threading
import time
from typing import Final

import click

from tickover.core.time_format import clock, is_relative
from tickover.jobs.replay import Tally

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""
QUIET_S: Final = 2.0
"""Progress is shown from here on ..."""
SAY_EVERY_S: Final = 0.5
"""... and this often."""
NAP_S: Final = 0.1
"""How long Ctrl-C may go unnoticed while waiting."""


class CtrlC:
    """Turns the first Ctrl-C into a flag, so that files end between two blocks; the second one interrupts."""

    def __init__(self) -> None:
        self._pressed = False

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


class Progress:
    """One line on standard error while a long replay runs, when that is a terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._began = time.monotonic()
        self._due = self._began + QUIET_S
        self._shown = False

    def say(self, tally: Tally) -> None:
        """Renew the line when it is time to."""
        now = time.monotonic()
        if not self._live or now < self._due or tally.now is None:
            return
        self._due, self._shown = now + SAY_EVERY_S, True
        rate = tally.ticks / (now - self._began)
        click.echo(
            f"\r\033[K{tally.ticks:,} ticks, {rate:,.0f}/s, now at {clock(tally.now, is_relative(tally.now))}",
            err=True,
            nl=False,
        )

    def clear(self) -> None:
        """Wipe the line before something else is written."""
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)
            self._shown = False


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()

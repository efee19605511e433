"""Ctrl-C as a wish that can be repeated, and the one line of progress that every long command shows."""

import io
import signal
import sys

import pytest

from tickover.commands.ui import terminal
from tickover.commands.ui.terminal import ERASE, CtrlC, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown_on(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error is ``stream`` from here on; not in a fixture, for pytest puts its own back before the test."""
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = terminal.time.monotonic() + seconds
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)


def test_the_first_ctrl_c_is_noted_and_told_and_the_second_interrupts() -> None:
    told: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), CtrlC(lambda: told.append("stopping")) as ctrl_c:  # noqa: PT012
        assert not ctrl_c.is_pressed()
        signal.raise_signal(signal.SIGINT)
        assert ctrl_c.is_pressed()
        assert told == ["stopping"]
        signal.raise_signal(signal.SIGINT)
    assert told == ["stopping"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_terminal_has_one_line_that_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = shown_on(Terminal(), monkeypatch)
    progress = Progress(logged=True)
    progress.tell("one")
    progress.tell("two")
    progress.say("this stays")
    progress.tell("three")
    progress.clear()
    assert screen.getvalue() == f"[0:00] one{ERASE}[0:00] two{ERASE}this stays\n[0:00] three{ERASE}"


def test_a_log_has_a_line_for_each_message_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    log = shown_on(io.StringIO(), monkeypatch)
    Progress(logged=False).tell("unseen")
    progress = Progress(logged=True)
    progress.tell("one")
    progress.say("said")
    assert log.getvalue() == "[0:00] one\nsaid\n"


def test_the_time_left_follows_from_the_share_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    log = shown_on(io.StringIO(), monkeypatch)
    progress = Progress(logged=True)
    pass_time(monkeypatch, 90.0)
    progress.tell("a quarter", 0.25)
    progress.tell("all of it", 1.0)
    assert log.getvalue() == "[1:30, at most 4:30 left] a quarter\n[1:30] all of it\n"


def test_a_job_of_quick_steps_is_shown_late_and_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    shown_on(Terminal(), monkeypatch)
    progress = Progress(logged=False)
    assert not progress.is_due()
    pass_time(monkeypatch, terminal.QUIET_S + 0.1)
    assert progress.is_due()
    assert not progress.is_due()
    pass_time(monkeypatch, terminal.SAY_EVERY_S + 0.1)
    assert progress.is_due()


def test_without_a_terminal_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    shown_on(io.StringIO(), monkeypatch)
    progress = Progress(logged=True)
    pass_time(monkeypatch, terminal.QUIET_S + 0.1)
    assert not progress.is_due()

"""A question is answered once: in its turn, or before it when that does not come soon."""

import pytest

from tickover.daemon import questions
from tickover.daemon.questions import MOST, SOON_S, Questions
from tickover.transports.base import Received


def question(body: bytes, early: bool = False) -> Received:
    return Received("tickover/v1/gateway/cmd/status/request", body, 0, None, early=early)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(questions, "time", clock)
    return clock


def test_in_its_turn_when_that_comes_soon(clock: Clock) -> None:
    asked = Questions()
    assert not asked.is_due(question(b"{}", early=True))
    clock.now += SOON_S / 2
    assert list(asked.overdue()) == []
    assert asked.is_due(question(b"{}"))
    clock.now += 2 * SOON_S
    assert list(asked.overdue()) == []


def test_early_behind_a_backlog_and_then_not_again(clock: Clock) -> None:
    asked = Questions()
    asked.is_due(early := question(b"{}", early=True))
    clock.now += 2 * SOON_S
    assert list(asked.overdue()) == [early]
    clock.now += 60
    assert not asked.is_due(question(b"{}")), "its other copy"
    assert asked.is_due(question(b"{}")), "another question, of which no copy came early"


def test_of_two_copies_that_come_early_the_second_is_answered(clock: Clock) -> None:
    asked = Questions()
    assert not asked.is_due(question(b"{}", early=True))
    assert asked.is_due(question(b"{}", early=True))
    clock.now += 2 * SOON_S
    assert list(asked.overdue()) == []


def test_so_many_wait(clock: Clock) -> None:
    asked = Questions()
    for number in range(MOST + 1):
        asked.is_due(question(str(number).encode(), early=True))
    clock.now += 2 * SOON_S
    assert len(list(asked.overdue())) == MOST
    assert asked.is_due(question(b"0")), "answered in its turn"

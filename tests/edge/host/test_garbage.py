"""A daemon that holds much looks through it seldom, and still frees what a message leaves in a cycle."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from tickover.host.garbage import collect_seldom


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_only_the_old_generation_waits_longer() -> None:
    before = gc.get_threshold()
    collect_seldom()
    assert gc.get_threshold()[:2] == before[:2]
    assert gc.get_threshold()[2] >= 10 * before[2]


def test_fresh_cycles_are_freed_without_the_old_generation() -> None:
    collect_seldom()
    old = gc.get_stats()[2]["collections"]
    knots = [weakref.ref(Knot()) for _ in range(100_000)]
    held = [[] for _ in range(2 * gc.get_threshold()[0])]
    assert held
    assert gc.get_stats()[2]["collections"] == old
    assert sum(knot() is not None for knot in knots) < 2 * gc.get_threshold()[0]

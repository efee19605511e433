"""Tasks in processes that have several at once: one that kills its process takes no other along."""

import os
import signal

import pytest

from tickover.jobs.backfill.lanes import SIDE_BY_SIDE, Failure, Lanes

POISON = 3


def work(task):
    """What a process does with a number."""
    if task == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    if task < 0:
        raise ValueError(f"no such task: {task}")
    return task * 10


def test_a_task_that_kills_its_process_fails_alone():
    found = dict(Lanes(1).run(work, [1, 2, POISON, 4, -5], lambda: False, lambda task: 1))
    assert isinstance(found[POISON], Failure)
    assert "died 3 times (killed by SIGKILL)" in found[POISON].why
    assert found.pop(-5) == Failure("ValueError: no such task: -5")
    del found[POISON]
    assert found == {1: 10, 2: 20, 4: 40}


@pytest.mark.parametrize(
    ("workers", "weights", "together"),
    [
        (2, [5] * 20, SIDE_BY_SIDE),
        (2, [5] * 8, SIDE_BY_SIDE),
        (2, [5] * 4, 2),
        (2, [5] * 3, 1),
        (4, [5], 1),
        (2, [100, *[5] * 20], 1),  # all would wait for the large one, which shares its process
        (1, [100, *[5] * 20], 2),
        (2, [0, 0], 1),
        (2, [], 1),
    ],
)
def test_as_many_tasks_share_a_process_as_none_is_waited_for(workers, weights, together):
    assert Lanes(workers).together(weights) == together

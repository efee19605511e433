"""Tasks in processes that have several at once: one that kills its process takes no other along."""

import os
import signal
from dataclasses import dataclass, field

import pytest

from tickover.jobs.backfill.lanes import SIDE_BY_SIDE, Failure, Lanes, next_lane

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


@dataclass
class Process:
    """As `next_lane` sees one."""

    load: int = 0
    tasks: dict = field(default_factory=dict)
    is_closed: bool = False


def test_tasks_that_end_together_leave_no_process_without_its_share():
    """20 equal tasks, 4 at once in each of 2 processes, of which the first always ends its tasks a little earlier."""
    lanes, waiting, number, ends = [Process(), Process()], 20, 0, []

    def give():
        nonlocal waiting, number
        while waiting and (lane := next_lane(lanes, waiting, 4)) is not None:
            waiting, number = waiting - 1, number + 1
            lane.load += 5
            lane.tasks[number] = (number, 1)

    give()
    assert [len(lane.tasks) for lane in lanes] == [4, 4]
    while any(lane.tasks for lane in lanes):
        for lane in lanes:
            for task in list(lane.tasks):
                ends.append(lane.tasks.pop(task))
                give()
    assert len(ends) == 20
    assert [lane.load for lane in lanes] == [50, 50]


def test_a_process_without_a_task_never_waits():
    busy, idle = Process(load=5, tasks={1: (1, 1)}), Process(load=50)
    assert next_lane([busy, idle], 1, 1) is idle
    assert next_lane([busy, Process(load=50, tasks={2: (2, 1)})], 1, 1) is None
    assert next_lane([busy, Process(load=0, is_closed=True)], 1, 1) is None

"""A whole back-fill: split what holds several vehicles, run each vehicle that is not done, say how far it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tickover.jobs.backfill import results
from tickover.jobs.backfill.lanes import Failure, Runner
from tickover.jobs.backfill.plan import Plan, tasks_of
from tickover.jobs.backfill.split import split_log
from tickover.jobs.backfill.task import Dropped, Result, Rules, Split, SplitTask, Task
from tickover.jobs.backfill.work import run_vehicle


class Listener(Protocol):
    """Hears how far the work is."""

    def split(self, done: int, all_: int, share: float) -> None:
        """``done`` of the logs of several vehicles are split; ``share`` of their bytes."""

    def ran(self, result: Result | None, done: int, all_: int, share: float) -> None:
        """``result`` came, None at the begin; ``done`` of the vehicles are; ``share`` of the bytes to read."""

    def again(self, vehicle: str, why: str) -> None:
        """A vehicle that was run before is run again."""


@dataclass(slots=True)
class Came:
    """What came of it: a result of each vehicle, those done ``before`` included; ``stopped`` when not of all."""

    results: dict[str, Result] = field(default_factory=dict)
    splits: list[Split] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    before: int = 0
    stopped: bool = False


def backfill(
    plan: Plan,
    rules: Rules,
    runner: Runner,
    listener: Listener,
    *,
    states: Path | None = None,
    events: Path | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Came:
    """Run the plan's vehicles that are not done yet. What is done stays done, however this ends."""
    out, came = Path(rules.out), Came()
    kept = {task.part.where: results.was_split(out, task) for task in plan.shared}
    came.splits = [split for split in kept.values() if split is not None]
    missing = [task for task in plan.shared if kept[task.part.where] is None]
    came.splits += _split(missing, runner, listener, stopped)
    if stopped():
        came.stopped = True
        return came
    # A mark says which vehicles a log holds; when one of them is to be run, the readings must be there, too.
    tasks = tasks_of(plan, came.splits, rules, states, events)
    done = {task.vehicle: results.done(out, task) for task in tasks}
    lacking = {
        part.where for task in tasks if done[task.vehicle] is None for part in task.parts if _is_gone(part.spool)
    }
    again = [task for task in plan.shared if task.part.where in lacking]
    renewed = {split.where: split for split in _split(again, runner, listener, stopped)}
    came.splits = [renewed.get(split.where, split) for split in came.splits]
    came.tasks = tasks
    came.results = {vehicle: result for vehicle, result in done.items() if result is not None}
    came.before = len(came.results)
    if not stopped():
        _run(came, [task for task in tasks if done[task.vehicle] is None], runner, listener, stopped)
    came.stopped = len(came.results) < len(tasks)
    if not came.stopped and all(result.is_whole for result in came.results.values()):
        results.drop_spools(out)
    return came


def _is_gone(spool: str) -> bool:
    return bool(spool) and not Path(spool).exists()


def _split(tasks: Sequence[SplitTask], runner: Runner, listener: Listener, stopped: Callable[[], bool]) -> list[Split]:
    """Split logs of several vehicles; a process that died gives a split without vehicles that says so."""
    splits: list[Split] = []
    size, whole = 0, sum(task.size for task in tasks) or 1
    if tasks:
        listener.split(0, len(tasks), 0.0)
    for task, answer in runner.run(split_log, tasks, stopped):
        if isinstance(answer, Failure):
            answer = Split(where=task.part.where, digest=task.digest, shares=(), dropped=Dropped(), why=answer.why)
        splits.append(answer)
        size += task.size
        listener.split(len(splits), len(tasks), size / whole)
    return splits


def _run(came: Came, tasks: Sequence[Task], runner: Runner, listener: Listener, stopped: Callable[[], bool]) -> None:
    out = Path(came.tasks[0].rules.out) if came.tasks else Path()
    for task in tasks:
        before = results.found_before(out, task.id)
        if before is not None:
            listener.again(task.vehicle, _why_again(before, task))
    size, whole = 0, sum(task.size for task in tasks) or 1
    listener.ran(None, len(came.results), len(came.tasks), 0.0)
    for task, answer in runner.run(run_vehicle, tasks, stopped, lambda task: task.size):
        if isinstance(answer, Failure):
            answer = Result(vehicle=task.vehicle, digest=task.digest, why=answer.why, files=len(task.parts))
        came.results[task.vehicle] = answer
        size += task.size
        listener.ran(answer, len(came.results), len(came.tasks), size / whole)


def _why_again(before: Result, task: Task) -> str:
    if before.broken and before.digest == task.digest:
        return "a log could not be read"
    if before.digest == task.digest:
        return "its alerts are not there any more"
    return "its logs, the model or the settings have changed"

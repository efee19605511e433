"""From an archive to tasks: whose log each file is, and what each vehicle begins with."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tickover.errors import LogError
from tickover.jobs.backfill.archive_file import ArchiveFile
from tickover.jobs.backfill.results import STATE_SUFFIX, given_name
from tickover.jobs.backfill.task import Part, Rules, Split, SplitTask, Task
from tickover.jobs.backfill.vehicles import Choice, Owner, Rule, owner_of
from tickover.jobs.backfill.work import log_of
from tickover.logs.mapping import Mapping
from tickover.logs.reading import read_head
from tickover.storage.files import read_bytes

HEADS_AT_ONCE: Final = 8
"""Logs whose first rows are read side by side: a log elsewhere is waited for, and costs nothing here."""
MAX_GIVEN: Final = 1 << 30
EVENTS_SUFFIX: Final = ".jsonl"


@dataclass(slots=True)
class Plan:
    """``owned``: the logs of each vehicle; ``shared``: those of several. ``rules``: how many files were told how."""

    owned: dict[str, list[Part]] = field(default_factory=dict)
    shared: list[SplitTask] = field(default_factory=list)
    rules: Counter[Rule] = field(default_factory=Counter)


def plan_of(
    files: Sequence[ArchiveFile],
    rules: Rules,
    *,
    column: str,
    choice: Choice,
    default: str,
    tell: Callable[[int], None] = lambda count: None,
) -> Plan:
    """Whose log each file is, by its path or its first rows; ``tell`` hears how many were looked at.

    ``column``: the one that names the vehicle, if the mapping or an option says so. A file that cannot be read is told
    by its path, and its vehicle will say so.
    """
    plan = Plan()
    by_path = [owner_of(file, (), (), column, choice, "") for file in files]
    needs_rows = choice in ("auto", "column")
    waiting = [file for file, owner in zip(files, by_path, strict=True) if needs_rows and owner.rule != "key"]
    with ThreadPoolExecutor(HEADS_AT_ONCE) as pool:
        heads = pool.map(lambda file: _columns(file, rules.mapping), waiting)
        columns: dict[str, Sequence[str]] = {}
        for file, found in zip(waiting, heads, strict=True):
            columns[file.where] = found
            tell(len(columns))
    for file in files:
        seen = columns.get(file.where, ())
        owner = owner_of(file, seen, rules.mapping.columns, column, choice, default)
        _take(plan, file, owner, rules)
    return plan


def tasks_of(plan: Plan, splits: Sequence[Split], rules: Rules, states: Path | None, events: Path | None) -> list[Task]:
    """A task for each vehicle, the largest first, so that none is left alone at the end."""
    parts = {vehicle: list(mine) for vehicle, mine in plan.owned.items()}
    of_shared = {task.part.where: task.part for task in plan.shared}
    for split in splits:
        part, rows = of_shared[split.where], sum(share.rows for share in split.shares)
        for share in split.shares:
            size = max(1, part.size * share.rows // max(1, rows))
            parts.setdefault(share.vehicle, []).append(Part(part.where, size, part.stamp, share.spool))
    shared_events = events if events is not None and not events.is_dir() else None
    digests: dict[Path, str] = {}
    tasks = []
    for vehicle, mine in parts.items():
        state = _state_of(states, vehicle)
        verdicts = shared_events or (_found(events, vehicle, EVENTS_SUFFIX) if events else None)
        given = [path for path in (state, verdicts) if path]
        for path in given:
            if path not in digests:
                digests[path] = hashlib.sha256(_bytes(path)).hexdigest()
        texts = [str(path) if path else "" for path in (state, verdicts)]
        told = "+".join(digests[path] if path else "-" for path in (state, verdicts))
        tasks.append(Task(vehicle=vehicle, parts=tuple(mine), rules=rules, state=texts[0], events=texts[1], given=told))
    return sorted(tasks, key=lambda task: (-task.size, task.vehicle))


def has_verdicts(events: Path) -> bool:
    """Whether a file, or a folder of files, holds any verdict of people; LogError when one cannot be read."""
    files = sorted(events.glob(f"*{EVENTS_SUFFIX}")) if events.is_dir() else [events]
    return any(_bytes(path).strip() for path in files)


def _state_of(states: Path | None, vehicle: str) -> Path | None:
    if states is None:
        return None
    return states if states.is_file() else _found(states, vehicle, STATE_SUFFIX)


def _found(folder: Path, vehicle: str, suffix: str) -> Path | None:
    path = folder / f"{given_name(vehicle)}{suffix}"
    return path.absolute() if path.is_file() else None


def _bytes(path: Path) -> bytes:
    try:
        return read_bytes(path, MAX_GIVEN)
    except (OSError, ValueError) as error:
        raise LogError(f"{path}: cannot be read: {error}") from error


def _columns(file: ArchiveFile, mapping: Mapping) -> Sequence[str]:
    """The columns of a log's rows; none for a log without rows, or one that cannot be read."""
    try:
        head = read_head(log_of(Part(file.where, file.size, file.stamp)), mapping.log, rows=False)
    except (LogError, OSError):
        return ()
    return () if head.own_time else head.columns


def _take(plan: Plan, file: ArchiveFile, owner: Owner, rules: Rules) -> None:
    part = Part(file.where, file.size, file.stamp)
    plan.rules[owner.rule] += 1
    if owner.vehicle:
        plan.owned.setdefault(owner.vehicle, []).append(part)
    else:
        plan.shared.append(SplitTask(part=part, column=owner.column, rules=rules))

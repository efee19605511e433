"""Power cuts of a recorded run: images of the disk at many moments, each opened and compared with what was promised."""

import os
import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from faults.disk import Disk, write_out
from faults.recording import Op, record
from faults.store_writer import Content, changes, content_of
from tickover.io.store import Store

ROOT: Final = Path(__file__).resolve().parent.parent.parent


@dataclass
class Verdict:
    """How many cuts there were, and what was wrong after which."""

    cuts: int = 0
    lost: list[int] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)
    at_risk: int = 0
    """Cuts that had something unsynced to lose."""

    @property
    def good(self) -> bool:
        return not self.lost and not self.unreadable


def environment() -> dict[str, str]:
    """For child processes: where the sources are."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("edge", "tests"))
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def record_writer(folder: Path, seed: int, rounds: int, level: str = "FULL") -> list[Op]:
    """A run of ``store_writer.py``, recorded."""
    state = folder / "state"
    state.mkdir(parents=True)
    script = str(ROOT / "tests" / "faults" / "store_writer.py")
    command = [sys.executable, script, str(state), str(seed), str(rounds), level]
    return record(command, state, folder / "strace", env=environment())


def moments(ops: list[Op], count: int, chance: random.Random) -> list[int]:
    """Where to cut: half anywhere, half right before or after a sync or a name that changed."""
    turns = [
        at + after for at, op in enumerate(ops) if op.kind in ("sync", "create", "remove", "rename") for after in (0, 1)
    ]
    anywhere = [chance.randrange(len(ops) + 1) for _ in range(count - count // 2)]
    return sorted(anywhere + [chance.choice(turns) for _ in range(count // 2)])


def images(ops: list[Op], count: int, chance: random.Random) -> Iterator[tuple[int, int, dict[str, bytes]]]:
    """Moment (how many calls were done), calls at risk there, and what the disk holds after a cut, in order."""
    disk, done = Disk(), 0
    for moment in moments(ops, count, chance):
        for op in ops[done:moment]:
            disk.do(op)
        done = moment
        yield moment, disk.at_risk, disk.cut(chance)


def cut_writer(ops: list[Op], seed: int, rounds: int, count: int, folder: Path) -> Verdict:
    """Cut the power of a recorded `record_writer` run ``count`` times.

    After each cut the store must open without quarantine and hold exactly what it held after some commit: the newest
    acknowledged one, or the one under way. Anything else is lost or unreadable.
    """
    wanted = [Content()]
    for change in changes(seed, rounds):
        wanted.append(wanted[-1].after(change))
    acknowledged = [0]
    for op in ops:
        acknowledged.append(int(op.data) if op.kind == "say" else acknowledged[-1])
    verdict = Verdict()
    for moment, at_risk, image in images(ops, count, random.Random(seed)):
        verdict.cuts += 1
        verdict.at_risk += at_risk > 0
        here = write_out(image, folder / f"cut-{verdict.cuts}")
        store = Store(here)
        found = content_of(store)
        if store.quarantined or not store.durable:
            verdict.unreadable.append(moment)
        safe = acknowledged[moment]
        if not any(_same(found, one) for one in wanted[safe : safe + 2]):
            verdict.lost.append(moment)
        store.close()
        shutil.rmtree(here)
    return verdict


def _same(found: Content, wanted: Content) -> bool:
    return vars(found) | {"stored": 0} == vars(wanted) | {"stored": 0}

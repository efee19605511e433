"""Power cuts of a recorded run: images of the disk at many moments, each opened and compared with what was promised."""

import itertools
import json
import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daemon_process import MODEL, alerts_in, as_told, replayed
from faults.disk import Disk, write_out
from faults.gateway import VEHICLE
from faults.process import ROOT, environment
from faults.recording import Op, record
from faults.scripted import message, started, turn_until_idle, write_config
from faults.scripted_run import run_rows
from faults.store_writer import Content, changes, content_of
from tickover.storage.store import Store


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


def record_daemon(folder: Path, level: str = "FULL") -> list[Op]:
    """A run of ``scripted_run.py``, recorded."""
    state = folder / "state"
    state.mkdir(parents=True)
    config = write_config(folder / "config.toml", state, MODEL)
    script = str(ROOT / "tests" / "faults" / "scripted_run.py")
    return record([sys.executable, script, str(config), level], state, folder / "strace", env=environment())


def cut_daemon(ops: list[Op], count: int, folder: Path, seed: int = 0) -> Verdict:
    """Cut the power of a recorded `record_daemon` run ``count`` times and let the daemon go on.

    The broker repeats what it has no acknowledgement of and then brings the rest. What it was told before the cut and
    is told afterwards must be the alerts of a replay: none lost, none different, none else.
    """
    rows = run_rows()
    wanted = as_told(replayed(rows, VEHICLE))
    said = [json.loads(line) for op in ops if op.kind == "say" for line in op.data.splitlines()]
    until = list(itertools.accumulate((len(op.data.splitlines()) if op.kind == "say" else 0 for op in ops), initial=0))
    verdict = Verdict()
    for moment, at_risk, image in images(ops, count, random.Random(seed)):
        verdict.cuts += 1
        verdict.at_risk += at_risk > 0
        shutil.rmtree(folder / "state", ignore_errors=True)
        write_out(image, folder / "state")
        before = said[: until[moment]]
        acknowledged = {packet_id for one in before for packet_id in one.get("acknowledged", [])}
        told = [one["told"].encode() for one in before if "told" in one]
        with started(folder / "config.toml") as (daemon, link):
            if daemon.engine.store.quarantined or daemon.engine.keeper.lost or not daemon.engine.store.durable:
                verdict.unreadable.append(moment)
            rest = ((packet_id, row) for packet_id, row in enumerate(rows, 1) if packet_id not in acknowledged)
            link.inbox += [message(row, packet_id, dup=True) for packet_id, row in rest]
            turn_until_idle(daemon, link)
            alerts = alerts_in(told + link.of("/alert/"))
        if {alert.alert_id: alert for alert in alerts} != wanted or any(a != wanted[a.alert_id] for a in alerts):
            verdict.lost.append(moment)
    return verdict

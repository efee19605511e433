"""Folds fitted side by side, each in a process: its weights are those that it has when it is fitted alone."""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from tickover.core.manifest import Network
from tickover.core.values import FloatArray
from tickover.errors import RunError
from tickover.host.memory import peak_bytes
from tickover.host.parent import end_with_parent
from tickover_train.config import TrainConfig
from tickover_train.fitting import checkpoint
from tickover_train.fitting.fit import Checkpoint, Task, fit
from tickover_train.stored.arrays import chosen
from tickover_train.stored.room import Room

LOOK_S: Final = 0.2
"""How often to look for progress, and whether to stop."""
_shared: dict[str, Any] = {}
"""Of a process that fits: the trips, where its batches lie, the queue to its parent, and whether to stop."""


class FoldJob(NamedTuple):
    """One fold: its ``number``, the trips that it learns from and stops by (by place), and where its checkpoint is."""

    number: int
    training: Sequence[int]
    held_out: Sequence[int]
    spec: Network
    config: TrainConfig
    period_s: float
    device: str
    checkpoints: Path | None
    identity: str


class News(NamedTuple):
    """What a fold says of its progress; ``lasting``: an epoch is over."""

    number: int
    done: float
    text: str
    lasting: bool


class Fitted(NamedTuple):
    """A fold, None when it was stopped before it had learnt anything; ``memory``: the peak of its process, bytes."""

    checkpoint: Checkpoint | None
    memory: int


def fit_side_by_side(
    jobs: Sequence[FoldJob],
    trips: Sequence[FloatArray],
    room: Room,
    workers: int,
    tell: Callable[[News], None],
    stopped: Callable[[], bool],
) -> list[Fitted]:
    """Fit all folds in ``workers`` processes.

    All read the trips from one file where ``trips`` are stored; else each process holds them. RunError when one dies;
    what was fitted is in the checkpoints.
    """
    context = get_context("spawn")
    queue, stop = context.SimpleQueue(), context.Event()
    shared = {"trips": trips, "room": room, "queue": queue, "stop": stop}
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _begin, (shared, os.getpid()))
    try:
        futures = [pool.submit(_fit, job) for job in jobs]
        open_: set[Future[Fitted]] = set(futures)
        while open_:
            done, open_ = wait(open_, LOOK_S, FIRST_COMPLETED)
            for future in done:
                future.result()
            while not queue.empty():
                tell(queue.get())
            if stopped():
                stop.set()
        return [future.result() for future in futures]
    except RuntimeError as error:  # a broken pool
        raise RunError(
            f"a process that fits a fold ended: {error}; was there too little memory? (--workers)"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(shared: dict[str, Any], parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    end_with_parent(parent)
    _shared.update(shared)


def _fit(job: FoldJob) -> Fitted:
    torch.set_num_threads(job.config.fit.threads)
    torch.use_deterministic_algorithms(True)
    trips, put = _shared["trips"], _shared["queue"].put
    task = Task(
        spec=job.spec,
        config=job.config,
        period_s=job.period_s,
        fold=job.number,
        training=chosen(trips, job.training),
        held_out=chosen(trips, job.held_out),
        device=torch.device(job.device),
        tell=lambda done, text: put(News(job.number, done, text, True)),
        tick=lambda done, text: put(News(job.number, done, text, False)),
        save=lambda state: _save(job, state),
        stopped=_shared["stop"].is_set,
        room=_shared["room"],
    )
    begun = checkpoint.read(job.checkpoints, job.number, job.identity) if job.checkpoints else None
    try:
        return Fitted(fit(task, begun), peak_bytes())
    except KeyboardInterrupt:
        return Fitted(None, peak_bytes())


def _save(job: FoldJob, state: Checkpoint) -> None:
    if job.checkpoints:
        checkpoint.write(job.checkpoints, job.number, job.identity, state)

"""Fitting one network: truncated back-propagation through time, early stopping, checkpoints.

All random numbers come from generators seeded with (seed, fold, epoch). So a fit that is interrupted and resumed gives
the weights of one that was not, and equal seeds give equal weights on one machine.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tickover.core.manifest import Network
from tickover.core.values import FloatArray
from tickover_train.config import TrainConfig
from tickover_train.fitting.batch_rows import BatchRows, deal
from tickover_train.fitting.corruption import corrupt
from tickover_train.fitting.loss import LEAST_ERROR, Errors
from tickover_train.fitting.network import (
    Recurrent,
    State,
    build,
    load_weights,
    weights_of,
    with_mask,
)
from tickover_train.stored.arrays import lengths
from tickover_train.stored.room import Memory, Room

FIRST_ERROR: Final = 0.4
"""About the mean Huber error of a network that expects every signal's mean."""
USUAL_RATE: Final = 0.02
"""How fast the usual error follows, per chunk."""
WARM_UP_EPOCHS: Final = 1.0
"""The learning rate rises over the first epoch ..."""
FIRST_STEP: Final = 0.02
"""... and begins as if this part of an epoch were over: the first chunk learns something, too."""
LAST_RATE: Final = 0.01
"""At the end of the half cosine this share of the learning rate is left."""
VALIDATION: Final = 1_000_003
"""In place of the epoch: seeds the fixed corruption of the held-out trips."""
TELL_CHUNKS: Final = 8
"""Within an epoch, progress is told each time so many chunks are done."""


@dataclass
class Checkpoint:
    """The state of a fit after ``epoch`` epochs: everything that a checkpoint holds.

    ``losses`` are (training, held out) for each epoch; ``best`` and ``weights`` are weights by name, ``moments`` Adam's
    state, ``usual`` the recent mean error ``[F]`` under ``error``.
    """

    epoch: int = 0
    losses: list[tuple[float, float]] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, FloatArray] = field(default_factory=dict)
    weights: dict[str, FloatArray] = field(default_factory=dict)
    moments: dict[str, FloatArray] = field(default_factory=dict)
    usual: dict[str, FloatArray] = field(default_factory=dict)
    finished: bool = False

    @property
    def best_loss(self) -> float:
        """The held-out loss of ``best``."""
        return min((held_out for _, held_out in self.losses), default=math.inf)


@dataclass(frozen=True, slots=True)
class Task:
    """One fit: normalised trips to learn from and to stop by, and who hears of its progress.

    Without trips ``held_out`` nothing says when to stop: the fit takes ``epochs`` of the schedule, and its newest
    weights are the best.

    ``tell(done, text)`` gets the share of the fit's largest possible length; ``tick`` the same within epochs;
    ``save`` gets each finished epoch;
    ``stopped()`` true ends the fit at once with the best so far. ``room``: where an epoch's batches lie.
    """

    spec: Network
    config: TrainConfig
    period_s: float
    fold: int
    training: Sequence[FloatArray]
    held_out: Sequence[FloatArray]
    device: torch.device
    tell: Callable[[float, str], None] = lambda done, text: None
    tick: Callable[[float, str], None] = lambda done, text: None
    save: Callable[[Checkpoint], None] = lambda checkpoint: None
    stopped: Callable[[], bool] = lambda: False
    room: Room = field(default_factory=Memory)
    epochs: int | None = None

    @property
    def most_epochs(self) -> int:
        """Where the fit ends at the latest."""
        return self.config.fit.epochs if self.epochs is None else self.epochs

    @property
    def width(self) -> int:
        """Signals."""
        return int(self.training[0].shape[1])


def choose_device(wanted: str) -> torch.device:
    """``auto``: a GPU when there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def new_network(task: Task) -> Recurrent:
    """A seeded network on the task's device."""
    # Initial weights are drawn from torch's global generator, which is left as it was for whoever uses it.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(task.config.seed, task.fold))
        return build(task.spec, task.width).to(task.device)


def fit(task: Task, checkpoint: Checkpoint | None = None) -> Checkpoint:
    """Train until the held-out loss stops falling, the epochs are used up or ``task.stopped()``; returns the best.

    KeyboardInterrupt when it is stopped before it has learnt anything: an untrained network is no best so far.
    """
    checkpoint = checkpoint or Checkpoint()
    network = new_network(task)
    optimizer = torch.optim.Adam(network.parameters(), lr=task.config.fit.learning_rate)
    checkpoint.usual.setdefault("error", np.full(network.signals, FIRST_ERROR, np.float32))
    if checkpoint.weights:
        load_weights(network, checkpoint.weights)
        _load_moments(optimizer, checkpoint.moments)
    # Corrupted once and for all: held-out losses of different epochs are compared with each other.
    check = _batch_rows(task, task.held_out, VALIDATION) if task.held_out else None
    while not checkpoint.finished and not task.stopped():
        trained = _epoch(task, network, optimizer, checkpoint)
        # An epoch cut short is left out, unless it is the first: there must be weights to go on with.
        if trained is None and (checkpoint.best or check is None):
            break
        _judge(task, network, optimizer, checkpoint, trained, check)
    if not checkpoint.best and check is not None:
        raise KeyboardInterrupt
    return checkpoint


def _judge(
    task: Task,
    network: Recurrent,
    optimizer: torch.optim.Adam,
    checkpoint: Checkpoint,
    trained: float | None,
    check: BatchRows | None,
) -> None:
    """Close an epoch: held-out loss, best so far, whether to go on, checkpoint."""
    with torch.no_grad():
        held_out = None if check is None else held_out_loss(network, check, task)
    better = held_out is None or held_out < checkpoint.best_loss
    checkpoint.epoch += 1
    seen = held_out if trained is None else trained
    assert seen is not None
    checkpoint.losses.append((seen, seen if held_out is None else held_out))
    checkpoint.weights = weights_of(network)
    checkpoint.moments = _moments(optimizer)
    if better or not checkpoint.best:
        checkpoint.best, checkpoint.best_epoch = checkpoint.weights, checkpoint.epoch
    epochs, patience = task.most_epochs, task.config.fit.patience
    checkpoint.finished = checkpoint.epoch >= epochs or checkpoint.epoch - checkpoint.best_epoch >= patience
    task.save(checkpoint)
    better_mark = " *" if checkpoint.best_epoch == checkpoint.epoch else ""
    judged = "" if held_out is None else f", held out {held_out:.4f}{better_mark}"
    task.tell(
        1.0 if checkpoint.finished else checkpoint.epoch / epochs,
        f"epoch {checkpoint.epoch}/{epochs}: loss {seen:.4f}{judged}",
    )


def _epoch(task: Task, network: Recurrent, optimizer: torch.optim.Adam, checkpoint: Checkpoint) -> float | None:
    """One pass over the training trips; its loss, or None when it was stopped midway."""
    rows = _batch_rows(task, task.training, checkpoint.epoch, turned=True)
    usual = torch.from_numpy(checkpoint.usual["error"].copy()).to(task.device)
    total, state = Errors.none(network.signals, task.device), State()
    for number in range(len(rows)):
        if task.stopped():
            return None
        if number % TELL_CHUNKS == TELL_CHUNKS - 1:
            done = (checkpoint.epoch + number / len(rows)) / task.most_epochs
            task.tick(done, f"epoch {checkpoint.epoch + 1}/{task.most_epochs}: {number / len(rows):.0%}")
        rate = _learning_rate(task, checkpoint.epoch + number / len(rows))
        # By hand and not by a scheduler of torch: a resumed fit has the same rate at the same place.
        for group in optimizer.param_groups:
            group["lr"] = rate
        errors, state = _chunk(network, rows, number, state, task)
        # Over the recent mean, not over the chunk's own error: see ``Errors``.
        loss = (errors.mean / (usual + LEAST_ERROR)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), task.config.fit.gradient_clip)
        optimizer.step()
        errors = errors.detach()
        # A signal without targets in this chunk keeps its usual error: 0 would make it count too much in the next.
        usual = torch.where(errors.count > 0, usual + USUAL_RATE * (errors.mean - usual), usual)
        total += errors
    checkpoint.usual["error"] = usual.cpu().numpy()
    return total.loss


def held_out_loss(network: Recurrent, rows: BatchRows, task: Task) -> float:
    """The loss over all chunks, state carried."""
    total, state = Errors.none(network.signals, task.device), State()
    for number in range(len(rows)):
        errors, state = _chunk(network, rows, number, state, task)
        total += errors
    return total.loss


def _chunk(network: Recurrent, rows: BatchRows, number: int, state: State, task: Task) -> "tuple[Errors, State]":
    keep = torch.from_numpy(~rows.reset[number]).to(task.device)
    inputs, targets = rows.chunk(number)
    x = with_mask(torch.from_numpy(inputs).to(task.device))
    target = torch.from_numpy(targets).to(task.device)
    # States are carried over chunks, gradients are not (truncated back-propagation); a trip's start restarts its row.
    state = network.restart(state, keep)
    expected, target, state = network.pairs(x, target, state)
    return Errors.of(expected, target, task.config.fit.huber), tuple(part.detach() for part in state)


def _batch_rows(task: Task, trips: Sequence[FloatArray], epoch: int, turned: bool = False) -> BatchRows:
    random = np.random.default_rng([task.config.seed & 0xFFFF_FFFF, task.fold, epoch])
    span = task.config.corruption.span_s / task.period_s
    # Trips of equally many chunks are dealt in the order given: without this they would share a row in every epoch.
    order = random.permutation(len(trips))
    ticks = lengths(trips)
    layout = deal([ticks[i] for i in order], task.config.fit.batch_rows, task.config.fit.chunk)
    rows = BatchRows(layout, task.config.fit.chunk, task.width, task.room)
    for place, i in enumerate(order):
        trip = trips[i]
        rows.write(place, corrupt(trip, task.training, random, task.config.corruption, span), trip)
    if turned:
        rows.turn(random)
    return rows


def _learning_rate(task: Task, epochs: float) -> float:
    """Rises over the first epoch, then falls along a half cosine to a hundredth."""
    fit = task.config.fit
    warm = min(1.0, (epochs + FIRST_STEP) / WARM_UP_EPOCHS)
    cosine = 1.0 + math.cos(math.pi * min(1.0, epochs / fit.epochs))
    return fit.learning_rate * warm * (LAST_RATE + (1.0 - LAST_RATE) * 0.5 * cosine)


def _moments(optimizer: torch.optim.Adam) -> dict[str, FloatArray]:
    """Adam's state as flat float32 arrays, ``<parameter>.<name>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value.detach().cpu().numpy().copy()
        for index, parts in state.items()
        for name, value in parts.items()
    }


def _load_moments(optimizer: torch.optim.Adam, moments: dict[str, FloatArray]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = torch.from_numpy(np.array(value))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence([part & 0xFFFF_FFFF for part in parts]).generate_state(1)[0])

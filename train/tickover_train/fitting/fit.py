"""Fitting one network: truncated back-propagation through time, early stopping, checkpoints.

All chance comes from generators seeded with (seed, fold, epoch), so an interrupted fit that resumes is the fit that
was never interrupted, and equal seeds give equal weights on one machine.
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
from tickover_train.fitting.batch_rows import BatchRows, lay
from tickover_train.fitting.corruption import corrupt
from tickover_train.fitting.network import (
    Recurrent,
    State,
    build,
    load_weights,
    weights_of,
    with_mask,
)

LEAST_ERROR: Final = 1e-3
"""Added to each signal's mean error: one that is known exactly takes no more of the training."""
FIRST_ERROR: Final = 0.4
"""About the mean Huber error of a network that expects every signal's mean."""
USUAL_RATE: Final = 0.02
"""How fast the usual error follows, per chunk."""
WARM_UP_EPOCHS: Final = 1.0
VALIDATION: Final = 1_000_003
"""In place of the epoch: seeds the fixed corruption of the held-out trips."""


@dataclass
class Checkpoint:
    """Where a fit stands after ``epoch`` epochs: everything that a checkpoint holds."""

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
    """One fit: normalised trips to learn from and to stop by, and what to tell while at it.

    ``tell(done, text)`` gets the share of the fit's largest possible length; ``save`` gets each finished epoch;
    ``stopped()`` true ends the fit at once with the best so far.
    """

    spec: Network
    config: TrainConfig
    period_s: float
    fold: int
    training: Sequence[FloatArray]
    held_out: Sequence[FloatArray]
    device: torch.device
    tell: Callable[[float, str], None] = lambda done, text: None
    save: Callable[[Checkpoint], None] = lambda checkpoint: None
    stopped: Callable[[], bool] = lambda: False


def choose_device(wanted: str) -> torch.device:
    """``auto``: a GPU when there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def new_network(task: Task) -> Recurrent:
    """A seeded network on the task's device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(task.config.seed, task.fold))
        return build(task.spec, task.training[0].shape[1]).to(task.device)


def fit(task: Task, checkpoint: Checkpoint | None = None) -> Checkpoint:
    """Train until the held-out loss stops falling, the epochs are used up, or someone stops it; returns the best."""
    checkpoint = checkpoint or Checkpoint()
    network = new_network(task)
    optimizer = torch.optim.Adam(network.parameters(), lr=task.config.fit.learning_rate)
    checkpoint.usual.setdefault("error", np.full(network.signals, FIRST_ERROR, np.float32))
    if checkpoint.weights:
        load_weights(network, checkpoint.weights)
        _load_moments(optimizer, checkpoint.moments)
    check = _batch_rows(task, task.held_out, VALIDATION)
    while not checkpoint.finished and not task.stopped():
        trained = _epoch(task, network, optimizer, checkpoint)
        if trained is None and checkpoint.best:
            break
        _judge(task, network, optimizer, checkpoint, trained, check)
    return checkpoint


def _judge(
    task: Task,
    network: Recurrent,
    optimizer: torch.optim.Adam,
    checkpoint: Checkpoint,
    trained: float | None,
    check: BatchRows,
) -> None:
    """Close an epoch: held-out loss, best so far, whether to go on, checkpoint."""
    with torch.no_grad():
        held_out = held_out_loss(network, check, task)
    better = held_out < checkpoint.best_loss
    checkpoint.epoch += 1
    checkpoint.losses.append((held_out if trained is None else trained, held_out))
    checkpoint.weights = weights_of(network)
    checkpoint.moments = _moments(optimizer)
    if better or not checkpoint.best:
        checkpoint.best, checkpoint.best_epoch = checkpoint.weights, checkpoint.epoch
    fit = task.config.fit
    checkpoint.finished = checkpoint.epoch >= fit.epochs or checkpoint.epoch - checkpoint.best_epoch >= fit.patience
    task.save(checkpoint)
    task.tell(
        1.0 if checkpoint.finished else checkpoint.epoch / fit.epochs,
        f"epoch {checkpoint.epoch}/{fit.epochs}: loss {checkpoint.losses[-1][0]:.4f}, held out {held_out:.4f}"
        f"{' *' if checkpoint.best_epoch == checkpoint.epoch else ''}",
    )


def _epoch(task: Task, network: Recurrent, optimizer: torch.optim.Adam, checkpoint: Checkpoint) -> float | None:
    """One pass over the training trips; its loss, or None when it was stopped midway."""
    rows = _batch_rows(task, task.training, checkpoint.epoch, turned=True)
    usual = torch.from_numpy(checkpoint.usual["error"].copy()).to(task.device)
    total, state = Errors.none(network.signals, task.device), State()
    for number in range(len(rows.inputs)):
        if task.stopped():
            return None
        rate = _learning_rate(task, checkpoint.epoch + number / len(rows.inputs))
        for group in optimizer.param_groups:
            group["lr"] = rate
        errors, state = _chunk(network, rows, number, state, task)
        loss = (errors.mean / (usual + LEAST_ERROR)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), task.config.fit.gradient_clip)
        optimizer.step()
        errors = errors.detach()
        usual = torch.where(errors.count > 0, usual + USUAL_RATE * (errors.mean - usual), usual)
        total += errors
    checkpoint.usual["error"] = usual.cpu().numpy()
    return total.loss


def held_out_loss(network: Recurrent, rows: BatchRows, task: Task) -> float:
    """The loss over all chunks, state carried."""
    total, state = Errors.none(network.signals, task.device), State()
    for number in range(len(rows.inputs)):
        errors, state = _chunk(network, rows, number, state, task)
        total += errors
    return total.loss


def _chunk(network: Recurrent, rows: BatchRows, number: int, state: State, task: Task) -> "tuple[Errors, State]":
    keep = torch.from_numpy(~rows.reset[number]).to(task.device)
    x = with_mask(torch.from_numpy(rows.inputs[number]).to(task.device))
    target = torch.from_numpy(rows.targets[number]).to(task.device)
    state = network.restart(state, keep)
    expected, target, state = network.pairs(x, target, state)
    return Errors.of(expected, target, task.config.fit.huber), tuple(part.detach() for part in state)


@dataclass(frozen=True, slots=True)
class Errors:
    """Huber errors summed per signal, and how many targets there were: both ``[F]``; missing targets count nothing.

    Training divides each signal's mean error by what it usually is of late, so that a halved error is worth the same in
    every signal: charts measure residuals in units of their own spread, and a signal that is nearly known must not
    be drowned by one that is hardly known. Usual is meant over epochs: dividing by the chunk's own error would teach a
    signal that moves seldom, like a coolant that is warm for hours, to stand still.
    """

    sum: Tensor
    count: Tensor

    @classmethod
    def none(cls, signals: int, device: torch.device) -> "Errors":
        """Nothing yet."""
        return cls(torch.zeros(signals, device=device), torch.zeros(signals, device=device))

    @classmethod
    def of(cls, expected: Tensor, target: Tensor, corner: float) -> "Errors":
        """Of one chunk ``[..., F]``; the corner of Huber's loss is in standard deviations."""
        seen = torch.isfinite(target)
        filled = torch.where(seen, target, expected)
        error = torch.nn.functional.huber_loss(expected, filled, reduction="none", delta=corner)
        axes = tuple(range(error.dim() - 1))
        return cls(error.sum(axes), seen.sum(axes).to(error.dtype))

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(self.sum + other.sum, self.count + other.count)

    def detach(self) -> "Errors":
        """Without their graph."""
        return Errors(self.sum.detach(), self.count)

    @property
    def mean(self) -> Tensor:
        """Per signal ``[F]``; 0 where there was no target."""
        return self.sum / self.count.clamp(min=1)

    @property
    def loss(self) -> float:
        """Mean over the signals of the logarithm of their mean error: what stops the fit and compares cells."""
        logs = torch.log(self.mean + LEAST_ERROR)[self.count > 0]
        return float(logs.mean()) if len(logs) else 0.0


def _batch_rows(task: Task, trips: Sequence[FloatArray], epoch: int, turned: bool = False) -> BatchRows:
    random = np.random.default_rng([task.config.seed & 0xFFFF_FFFF, task.fold, epoch])
    span = task.config.corruption.span_s / task.period_s
    order = random.permutation(len(trips))
    targets = [trips[i] for i in order]
    inputs = [corrupt(trip, task.training, random, task.config.corruption, span) for trip in targets]
    return lay(inputs, targets, task.config.fit.batch_rows, task.config.fit.chunk, random if turned else None)


def _learning_rate(task: Task, epochs: float) -> float:
    """Rises over the first epoch, then falls along a half cosine to a hundredth."""
    fit = task.config.fit
    warm = min(1.0, (epochs + 0.02) / WARM_UP_EPOCHS)
    return fit.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, epochs / fit.epochs))))


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

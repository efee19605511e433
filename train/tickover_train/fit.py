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

from tickover.manifest import Network
from tickover.records import FloatArray
from tickover_train.config import TrainConfig
from tickover_train.corruption import corrupt
from tickover_train.lanes import Lanes, lay
from tickover_train.network import Recurrent, State, build, load_weights, weights_of, with_mask

LOSS_FLOOR: Final = 1e-3
"""Added to each signal's loss under the logarithm: a signal that is known exactly takes no more of the training."""

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
    if checkpoint.weights:
        load_weights(network, checkpoint.weights)
        _load_moments(optimizer, checkpoint.moments)
    check = _lanes(task, task.held_out, VALIDATION)
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
    check: Lanes,
) -> None:
    """Close an epoch: held-out loss, best so far, whether to go on, checkpoint."""
    with torch.no_grad():
        held_out = sum_losses(network, check, task)
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
    """One pass over the training trips; their mean loss, or None when it was stopped midway."""
    lanes = _lanes(task, task.training, checkpoint.epoch)
    total, state = 0.0, State()
    for number in range(len(lanes.inputs)):
        if task.stopped():
            return None
        rate = _learning_rate(task, checkpoint.epoch + number / len(lanes.inputs))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, state = _chunk(network, lanes, number, state, task)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), task.config.fit.gradient_clip)
        optimizer.step()
        total += float(loss.detach())
    return total / len(lanes.inputs)


def sum_losses(network: Recurrent, lanes: Lanes, task: Task) -> float:
    """The mean loss over all chunks, state carried."""
    total, state = 0.0, State()
    for number in range(len(lanes.inputs)):
        loss, state = _chunk(network, lanes, number, state, task)
        total += float(loss)
    return total / len(lanes.inputs)


def _chunk(network: Recurrent, lanes: Lanes, number: int, state: State, task: Task) -> tuple[Tensor, State]:
    keep = torch.from_numpy(~lanes.reset[number]).to(task.device)
    x = with_mask(torch.from_numpy(lanes.inputs[number]).to(task.device))
    target = torch.from_numpy(lanes.targets[number]).to(task.device)
    state = network.restart(state, keep)
    expected, target, state = network.pairs(x, target, state)
    return signal_loss(expected, target, task.config.fit.huber), tuple(part.detach() for part in state)


def signal_loss(expected: Tensor, target: Tensor, corner: float) -> Tensor:
    """Mean over the signals of the logarithm of each one's mean Huber loss.

    The logarithm makes a halved error worth the same in every signal: charts measure residuals in units of their own
    spread, so a signal that is nearly known must not be drowned by one that is hardly known. Missing
    targets count nothing.
    """
    seen = torch.isfinite(target)
    error = torch.nn.functional.huber_loss(
        expected, torch.where(seen, target, expected), reduction="none", delta=corner
    )
    axes = tuple(range(error.dim() - 1))
    number = seen.sum(axes)
    mean = error.sum(axes) / number.clamp(min=1)
    logs = torch.log(mean + LOSS_FLOOR) * (number > 0)
    return logs.sum() / (number > 0).sum().clamp(min=1)


def _lanes(task: Task, trips: Sequence[FloatArray], epoch: int) -> Lanes:
    random = np.random.default_rng([task.config.seed & 0xFFFF_FFFF, task.fold, epoch])
    span = task.config.corruption.span_s / task.period_s
    order = random.permutation(len(trips))
    targets = [trips[i] for i in order]
    inputs = [corrupt(trip, task.training, random, task.config.corruption, span) for trip in targets]
    return lay(inputs, targets, task.config.fit.lanes, task.config.fit.chunk)


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

"""``--cell auto``: a GRU and an LSTM compared; the LSTM is taken only when it gains more than seeds differ."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from msgspec import structs

from tickover.core.manifest import Cell
from tickover_train.pipeline import Job, fit_fold

SEEDS: Final = 3
SHORTER: Final = 3
"""Each trial takes the epochs divided by this."""


def choose_cell(job: Job, say: Callable[[str], None]) -> Job:
    """The job with the better cell. Both are compared by held-out loss over ``SEEDS`` short fits each.

    The LSTM wins when its mean is lower than the GRU's by more than the larger of the two ranges over seeds.
    """
    losses: dict[Cell, list[float]] = {"gru": [], "lstm": []}
    for cell in losses:
        losses[cell] = [_trial(job, cell, seed) for seed in range(SEEDS) if not job.stopped()]
        say(f"{cell}: held-out losses {', '.join(f'{loss:.4f}' for loss in losses[cell])}")
        if job.stopped():
            say("stopped before both cells were tried: the GRU is kept")
            return _with_cell(job, "gru")
    spread = max(max(values) - min(values) for values in losses.values())
    gain = (sum(losses["gru"]) - sum(losses["lstm"])) / SEEDS
    best: Cell = "lstm" if gain > spread else "gru"
    say(f"lstm gains {gain:.4f}, seeds differ by {spread:.4f}: {best} is taken")
    return _with_cell(job, best)


def _trial(job: Job, cell: Cell, seed: int) -> float:
    """The held-out loss of a short fit, on the job's own split."""
    quiet = replace(_with_cell(job, cell), checkpoints=None, tell=_quiet, tick=_quiet)
    short = structs.replace(job.config.fit, epochs=max(1, job.config.fit.epochs // SHORTER))
    config = structs.replace(quiet.config, fit=short, seed=job.config.seed + seed)
    return fit_fold(replace(quiet, config=config), 0).fitted.best_loss


def _quiet(done: float, text: str) -> None:
    """Nobody hears of a trial's progress."""


def _with_cell(job: Job, cell: Cell) -> Job:
    network = structs.replace(job.config.network, cell=cell)
    return replace(job, config=structs.replace(job.config, network=network))

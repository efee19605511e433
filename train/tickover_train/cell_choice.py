"""``--cell auto``: a GRU and an LSTM compared; the LSTM is taken only when it gains more than seeds differ."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from tickover.core.manifest import Cell
from tickover.logs.mapping import Mapping
from tickover_train.config import TrainConfig
from tickover_train.data import Trip
from tickover_train.pipeline import fit_fold, new_job

SEEDS: Final = 3
SHORTER: Final = 3
"""Each trial takes the epochs divided by this."""


def choose_cell(
    config: TrainConfig,
    mapping: Mapping,
    trips: Sequence[Trip],
    say: Callable[[str], None],
    stopped: Callable[[], bool],
) -> TrainConfig:
    """The configuration with the better cell. Both are compared by held-out loss over ``SEEDS`` short fits each.

    The LSTM wins when its mean is lower than the GRU's by more than the larger of the two ranges over seeds.
    """
    losses: dict[Cell, list[float]] = {"gru": [], "lstm": []}
    for cell in losses:
        losses[cell] = [_trial(config, cell, seed, mapping, trips, stopped) for seed in range(SEEDS) if not stopped()]
        say(f"{cell}: held-out losses {', '.join(f'{loss:.4f}' for loss in losses[cell])}")
        if stopped():
            say("stopped before both cells were tried: the GRU is kept")
            return _with_cell(config, "gru")
    spread = max(max(values) - min(values) for values in losses.values())
    gain = (sum(losses["gru"]) - sum(losses["lstm"])) / SEEDS
    best: Cell = "lstm" if gain > spread else "gru"
    say(f"lstm gains {gain:.4f}, seeds differ by {spread:.4f}: {best} is taken")
    return _with_cell(config, best)


def _trial(
    config: TrainConfig, cell: Cell, seed: int, mapping: Mapping, trips: Sequence[Trip], stopped: Callable[[], bool]
) -> float:
    short = msgspec.structs.replace(config.fit, epochs=max(1, config.fit.epochs // SHORTER))
    trial = msgspec.structs.replace(_with_cell(config, cell), fit=short, seed=config.seed + seed)
    same_split = new_job(config, mapping, trips).held_out
    job = replace(new_job(trial, mapping, trips, stopped=stopped), held_out=same_split)
    return fit_fold(job, 0).fitted.best_loss


def _with_cell(config: TrainConfig, cell: Cell) -> TrainConfig:
    return msgspec.structs.replace(config, network=msgspec.structs.replace(config.network, cell=cell))

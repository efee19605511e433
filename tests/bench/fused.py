"""Training speed: torch's fused cell over a sequence against a Python loop over the same cell, tick by tick."""

import time
from typing import Final

import torch
from torch import nn

CELLS: Final = {"rnn": (nn.RNN, nn.RNNCell), "gru": (nn.GRU, nn.GRUCell), "lstm": (nn.LSTM, nn.LSTMCell)}
TICKS, BATCH, INPUTS, HIDDEN = 128, 32, 20, 32
PAIRS: Final = 15


def step_fused(network: nn.Module, x: torch.Tensor) -> None:
    """One forward and backward pass over ``x [T, B, I]``."""
    network.zero_grad()
    network(x)[0].square().mean().backward()


def step_loop(cell: nn.Module, x: torch.Tensor) -> None:
    """The same arithmetic, one tick at a time in Python."""
    cell.zero_grad()
    state, outputs = None, []
    for tick in x:
        state = cell(tick, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    torch.stack(outputs).square().mean().backward()


def ratios(name: str) -> list[float]:
    """Loop time over fused time, pair by pair."""
    torch.manual_seed(0)
    x = torch.randn(TICKS, BATCH, INPUTS)
    fused, cell = (kind(INPUTS, HIDDEN) for kind in CELLS[name])
    found = []
    for pair in range(PAIRS + 2):
        times = []
        for run, module in ((step_fused, fused), (step_loop, cell)):
            begin = time.perf_counter()
            run(module, x)
            times.append(time.perf_counter() - begin)
        if pair >= 2:
            found.append(times[1] / times[0])
    return found

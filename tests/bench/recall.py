"""Can a cell recall a value k ticks later? One value is shown with a cue, noise follows; it is asked for at every tick.

Training asks at every lag up to k, so that a cell meets the short lags on its way to the long one; the figure is lag k.
A vanilla RNN's gradient through k ticks shrinks like the k-th power of its recurrent weights (Bengio et al. 1994);
gates preserve it (Hochreiter and Schmidhuber 1997; Cho et al. 2014). Same budget for every cell.
"""

from typing import Final

import torch
from torch import nn

CELLS: Final = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
LAGS: Final = (10, 20, 50, 100, 200)
HIDDEN: Final = 32
BATCH: Final = 64
STEPS: Final = 1000
LEARNING_RATE: Final = 3e-3
TEST: Final = 2048


def sequences(count: int, lag: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """``[lag + 1, count, 2]`` inputs (value, cue) and the ``[count]`` values shown at the first tick."""
    x = torch.zeros(lag + 1, count, 2)
    x[:, :, 0] = torch.rand(lag + 1, count, generator=generator) * 2 - 1
    x[0, :, 1] = 1.0
    return x, x[0, :, 0].clone()


def recall(cell: str, lag: int, seed: int, steps: int = STEPS) -> float:
    """Share of the value's variance recalled after training (R^2 on fresh sequences; 0 = the mean, 1 = all)."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network, head = CELLS[cell](2, HIDDEN), nn.Linear(HIDDEN, 1)
    weights = [*network.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(weights, LEARNING_RATE)

    def answers(x: torch.Tensor) -> torch.Tensor:
        return head(network(x)[0])[:, :, 0]

    for _ in range(steps):
        x, value = sequences(BATCH, lag, generator)
        loss = nn.functional.mse_loss(answers(x), value.expand(lag + 1, -1))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
    with torch.no_grad():
        x, value = sequences(TEST, lag, generator)
        return 1.0 - float(nn.functional.mse_loss(answers(x)[-1], value) / value.var())

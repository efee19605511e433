"""The window LSTM autoencoder that is run anew at every tick, as a peer: what most papers compare with.

A window of ``WINDOW`` ticks goes through an LSTM to a code and through another LSTM back (Malhotra et al. 2016); the
score of a tick is the mean squared error of the window that ends there, smoothed as the other peers are.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import nn

from tickover.core.values import FloatArray
from tickover_train.evaluation.baselines import HalvesScorer
from tickover_train.evaluation.metrics import Floats

WINDOW: Final = 30
HIDDEN: Final = 24
EPOCHS: Final = 12
BATCH: Final = 256
STRIDE: Final = 5
"""Ticks from one training window to the next."""
LEARNING_RATE: Final = 4e-3
CLIP: Final = 10.0
"""Normalised values are held within."""
SEED: Final = 0
JUDGED: Final = 2048
"""Windows that are scored at once."""


class _Autoencoder(nn.Module):
    def __init__(self, signals: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(signals, HIDDEN, batch_first=True)
        self.decoder = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, signals)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = self.encoder(x)[1][0][-1]
        answer: torch.Tensor = self.out(self.decoder(code[:, None].expand(-1, x.shape[1], -1))[0])
        return answer


class _Fit:
    """Trained on windows of some trips; a missing value counts as usual."""

    def __init__(self, trips: Sequence[FloatArray]) -> None:
        pooled = np.concatenate(trips).astype(np.float64)
        self.center = np.nanmean(pooled, axis=0)
        spread = np.nanstd(pooled, axis=0)
        self.scale = np.where(spread > 0, spread, 1.0)
        torch.manual_seed(SEED)
        self.network = _Autoencoder(pooled.shape[1])
        windows = torch.cat([self._windows(trip)[::STRIDE] for trip in trips if len(trip) >= WINDOW])
        optimiser = torch.optim.Adam(self.network.parameters(), LEARNING_RATE)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(windows)).split(BATCH):
                loss = nn.functional.mse_loss(self.network(windows[batch]), windows[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()

    def _windows(self, values: FloatArray) -> torch.Tensor:
        """Every window ``[T - WINDOW + 1, WINDOW, F]``, normalised."""
        normal = np.clip(np.nan_to_num((values - self.center) / self.scale, nan=0.0), -CLIP, CLIP)
        return torch.from_numpy(normal.astype(np.float32)).unfold(0, WINDOW, 1).transpose(1, 2)

    def residual(self, values: FloatArray) -> Floats:
        """The error of the window that ends at each tick ``[T]``; before the first tick stand copies of it."""
        early = min(WINDOW - 1, len(values))
        filled = np.concatenate((np.repeat(values[:1], WINDOW - 1, axis=0), values)) if early else values
        with torch.no_grad():
            errors = [
                ((self.network(batch) - batch) ** 2).mean(dim=(1, 2)) for batch in self._windows(filled).split(JUDGED)
            ]
        found: Floats = torch.cat(errors).numpy().astype(np.float64)
        return found


class WindowScorer(HalvesScorer):
    """The peer."""

    name = "window LSTM autoencoder"
    fit = _Fit
    reach = WINDOW - 1

"""The loss of a fit: Huber's, summed signal by signal over the ticks that are there."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

LEAST_ERROR: Final = 1e-3
"""Added to each signal's mean error: a signal that is known exactly does not take over the training."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Huber errors summed per signal, and how many targets there were: both ``[F]``; missing targets count nothing.

    Training divides each signal's mean error by its recent mean, so that a halved error counts the same for every
    signal: charts measure residuals in units of their own spread, so a signal that is nearly known matters as much as
    one that is hardly known. The recent mean goes over many chunks: with the chunk's own error a signal that moves
    seldom, as a coolant temperature that is steady for hours, would be expected to stand still.
    """

    sum: Tensor
    count: Tensor

    @classmethod
    def none(cls, signals: int, device: torch.device) -> "Errors":
        """No targets so far."""
        return cls(torch.zeros(signals, device=device), torch.zeros(signals, device=device))

    @classmethod
    def of(cls, expected: Tensor, target: Tensor, corner: float) -> "Errors":
        """Of one chunk ``[..., F]``; the corner of Huber's loss is in standard deviations."""
        seen = torch.isfinite(target)
        # A missing target becomes what was expected: an error of 0 with a gradient of 0, where NaN would spoil all.
        filled = torch.where(seen, target, expected)
        error = torch.nn.functional.huber_loss(expected, filled, reduction="none", delta=corner)
        axes = tuple(range(error.dim() - 1))
        return cls(error.sum(axes), seen.sum(axes).to(error.dtype))

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(self.sum + other.sum, self.count + other.count)

    def detach(self) -> "Errors":
        """The same without torch's graph behind it."""
        return Errors(self.sum.detach(), self.count)

    @property
    def mean(self) -> Tensor:
        """Per signal ``[F]``; 0 where there was no target."""
        return self.sum / self.count.clamp(min=1)

    @property
    def loss(self) -> float:
        """Mean over the signals of the logarithm of their mean error: fits stop by it, and cells are compared by it."""
        logs = torch.log(self.mean + LEAST_ERROR)[self.count > 0]
        return float(logs.mean()) if len(logs) else 0.0

"""The networks in torch's fused cells, with the names and the meaning of the weights in ``tickover_export.spec``.

Shapes: T ticks, B batch rows, F signals, H hidden, Z bottleneck, W window. Inputs are ``[T, B, 2F]``: normalised values
with 0 for missing, then the mask with 1 = present. Outputs are the expected normalised values ``[T, B, F]``.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from tickover.core.manifest import Network
from tickover.core.values import FloatArray

CELLS: Final[dict[str, Callable[[int, int], nn.RNNBase]]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

State = tuple[Tensor, ...]
"""Every recurrent tensor ``[1, B, H]`` that lives from one chunk to the next; empty = a trip's start."""


def prepare(values: FloatArray, center: FloatArray, scale: FloatArray, clip: float) -> FloatArray:
    """Engineering units to normalised values, clipped to ``+-clip``; NaN stays."""
    clipped: FloatArray = np.clip((values - center) / scale, -clip, clip).astype(np.float32)
    return clipped


def with_mask(normalised: Tensor) -> Tensor:
    """``[..., F]`` with NaN to the network's input ``[..., 2F]``."""
    present = torch.isfinite(normalised)
    return torch.cat([torch.where(present, normalised, 0.0), present.to(normalised.dtype)], dim=-1)


class Cell(nn.Module):
    """One fused recurrent cell whose state is a flat tuple of tensors."""

    def __init__(self, kind: str, inputs: int, hidden: int) -> None:
        super().__init__()
        self.kind = kind
        self.fused = CELLS[kind](inputs, hidden)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """``x`` ``[T, B, I]``; returns h after each tick ``[T, B, H]`` and the last state."""
        if not state:
            y, last = self.fused(x)
        else:
            y, last = self.fused(x, state if self.kind == "lstm" else state[0])
        return y, last if self.kind == "lstm" else (last,)

    @property
    def tensors(self) -> int:
        """How many tensors its state has."""
        return 2 if self.kind == "lstm" else 1


class Recurrent(nn.Module):
    """The base of the three architectures: an encoder over values and mask, and an output layer."""

    INPUTS = 2
    """Inputs of the encoder per signal: value and mask."""

    def __init__(self, spec: Network, signals: int) -> None:
        super().__init__()
        self.signals = signals
        self.encoder = Cell(spec.cell, self.INPUTS * signals, spec.hidden)
        self.output = nn.Linear(spec.hidden, signals)

    def forward(self, x: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Expected values of each tick and the state to go on with."""
        raise NotImplementedError

    def pairs(self, x: Tensor, target: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Expected values and their targets, which training compares, and the state to go on with."""
        expected, state = self(x, state)
        return expected, target, state

    def restart(self, state: State, keep: Tensor) -> State:
        """The state with the batch rows that begin a trip set to a trip's start; ``keep`` bool ``[B]``."""
        return tuple(part * keep.to(part.dtype)[:, None] for part in state)


class Forecaster(Recurrent):
    """``expected(t) = previous(t) + output(h(t-1))``: the last value and a learnt change; it never sees tick t.

    The encoder sees value, mask and change of each signal. The learnt change starts at 0: an untrained forecaster
    expects the last value, and levels are used only as far as training finds that they help.
    """

    INPUTS = 3

    def __init__(self, spec: Network, signals: int) -> None:
        super().__init__(spec, signals)
        from_inputs = self.encoder.fused.get_parameter("weight_ih_l0")
        for part in (from_inputs[:, :signals], self.output.weight, self.output.bias):
            nn.init.zeros_(part)

    def forward(self, x: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """See ``Recurrent.forward``; the state is the encoder's, then the last tick's input, all missing at first."""
        before = torch.cat([state[-1] if state else torch.zeros_like(x[:1]), x[:-1]])
        (value, mask), (previous, seen) = x.chunk(2, dim=-1), before.chunk(2, dim=-1)
        # A change is known where both ticks are: to or from a missing value it is 0, as the graph has it.
        change = (value - previous) * (mask * seen)
        h, after = self.encoder(torch.cat([x, change], dim=-1), state[:-1])
        first = state[0] if state else torch.zeros_like(h[:1])
        return previous + self.output(torch.cat([first, h[:-1]])), (*after, x[-1:])


class Autoencoder(Recurrent):
    """Encoder, bottleneck and decoder all advance with the tick."""

    def __init__(self, spec: Network, signals: int) -> None:
        super().__init__(spec, signals)
        self.bottleneck = nn.Linear(spec.hidden, spec.bottleneck)
        self.decoder = Cell(spec.cell, spec.bottleneck, spec.hidden)

    def forward(self, x: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """See ``Recurrent.forward``; the state is the encoder's, then the decoder's."""
        split = self.encoder.tensors
        h, encoder = self.encoder(x, state[:split])
        g, decoder = self.decoder(torch.tanh(self.bottleneck(h)), state[split:])
        return self.output(g), (*encoder, *decoder)


class Seq2Seq(Autoencoder):
    """Encoder over the last W ticks to a context; the decoder unrolls the window, newest first, from that context.

    ``state`` holds the last W-1 inputs ``[W-1, B, 2F]``, in training also their targets; ticks before the trip's
    start are missing.
    """

    STRIDE: Final = 8
    """Training unrolls the window that ends at every eighth tick: neighbouring windows are nearly the same."""

    def __init__(self, spec: Network, signals: int) -> None:
        super().__init__(spec, signals)
        if spec.window is None:
            raise ValueError("seq2seq: expected a window, got none")
        self.width = spec.window

    def unroll(self, windows: Tensor, steps: int) -> Tensor:
        """Windows ``[W, N, 2F]`` to what is expected of the last ``steps`` ticks, newest first ``[steps, N, F]``."""
        h, _ = self.encoder(windows, ())
        # The decoder gets the context at every step, not its last output: feedback cannot be one ONNX operator.
        context = torch.tanh(self.bottleneck(h[-1]))
        g, _ = self.decoder(context.expand(steps, *context.shape), ())
        out: Tensor = self.output(g)
        return out

    def windows(self, past: Tensor, x: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """The window that ends at every ``stride``-th tick, ``[W, T/stride * B, I]``, and the past after ``x``."""
        joined = torch.cat([past, x])
        cut = joined.unfold(0, self.width, 1)[stride - 1 :: stride]  # [T/stride, B, I, W]
        return cut.permute(3, 0, 1, 2).flatten(1, 2), joined[len(joined) - self.width + 1 :]

    def forward(self, x: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """See ``Recurrent.forward``."""
        past = state[0] if state else x.new_zeros(self.width - 1, *x.shape[1:])
        windows, after = self.windows(past, x, 1)
        return self.unroll(windows, 1)[0].reshape(len(x), -1, self.signals), (after,)

    def pairs(self, x: Tensor, target: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """See ``Recurrent.pairs``: whole windows, newest first, and their targets."""
        before = self.width - 1
        past, goal = state or (
            x.new_zeros(before, *x.shape[1:]),
            target.new_full((before, *target.shape[1:]), torch.nan),
        )
        windows, past = self.windows(past, x, self.STRIDE)
        goals, goal = self.windows(goal, target, self.STRIDE)
        return self.unroll(windows, self.width), goals.flip(0), (past, goal)

    def restart(self, state: State, keep: Tensor) -> State:
        """See ``Recurrent.restart``; targets before the start are missing too."""
        fills = (0.0, torch.nan)
        return tuple(torch.where(keep[:, None], part, fill) for part, fill in zip(state, fills, strict=False))


ARCHITECTURES: Final[dict[str, type[Recurrent]]] = {
    "autoencoder": Autoencoder,
    "seq2seq": Seq2Seq,
    "forecaster": Forecaster,
}


def build(spec: Network, signals: int) -> Recurrent:
    """A network with torch's own initial weights, drawn from its global generator."""
    return ARCHITECTURES[spec.arch](spec, signals)


def weights_of(network: Recurrent) -> dict[str, FloatArray]:
    """The weights under the names of ``tickover_export.spec``."""
    return {_spec_name(name): value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


def load_weights(network: Recurrent, weights: Mapping[str, FloatArray]) -> None:
    """Set the weights from arrays under the names of ``tickover_export.spec``."""
    own = network.state_dict()
    network.load_state_dict({name: torch.from_numpy(np.array(weights[_spec_name(name)])) for name in own})


def _spec_name(name: str) -> str:
    return name.replace(".fused.", ".").removesuffix("_l0")


def parameters(network: Recurrent) -> int:
    """The number of weights."""
    return sum(parameter.numel() for parameter in network.parameters())

"""Memory horizon: how far back a trained network sees.

``memory[k]`` is the norm of the gradient of the output at t with respect to the input at t-k: the Frobenius norm of
d expected(t) / d normalised(t-k), exact up to ``EXACT_SIGNALS``, one
backward pass per output. ``state[k]`` is the same of d s(t) / d s(t-k), s
being everything carried from tick to tick; it is estimated from ``PROBES`` random directions u: the mean of
|u^T J|^2 over standard normal u is |J|_F^2 (Hutchinson 1990). Both are medians over positions of real trips. The
horizon is the lag at which the curve falls below 1 % of its maximum over lags >= 1, the first after that maximum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tickover.core.manifest import HORIZON_TICKS
from tickover.core.values import DoubleArray, FloatArray
from tickover_train.fitting.network import (
    Recurrent,
    Seq2Seq,
    State,
    with_mask,
)
from tickover_train.stored.arrays import lengths

LAGS: Final = HORIZON_TICKS
POSITIONS: Final = 100
PROBES: Final = 8
EXACT_SIGNALS: Final = 32
MANY_PROBES: Final = 16
"""With more signals the horizon through the inputs is estimated too: a pass per signal costs their square."""
FRACTION: Final = 0.01
RUN_IN: Final = 60
"""Ticks before the farthest lag, so that the state there is a usual one."""
CORRELATED: Final = 1.0 / np.e


@dataclass(frozen=True, slots=True)
class Horizon:
    """``curve`` ``[K+1]`` over lags 0..K in ticks; ``lag``: the horizon; ``reached``: False when it lies beyond K."""

    curve: DoubleArray
    lag: int
    reached: bool


@dataclass(frozen=True, slots=True)
class Horizons:
    """Through the inputs and through the state (None where no state is carried: seq2seq)."""

    memory: Horizon
    state: Horizon | None
    positions: int


def horizons(
    network: Recurrent,
    trips: Sequence[FloatArray],
    seed: int,
    lags: int = LAGS,
    stopped: Callable[[], bool] = lambda: False,
) -> Horizons:
    """Both horizons at ``POSITIONS`` seeded places of normalised trips ``[T, F]``; short trips give short curves.

    ``stopped()`` true ends with an estimate from the directions that are done.
    """
    lags = min(lags, max(lengths(trips)) - 1)
    windows = _windows(trips, lags, seed)
    # cuDNN cannot run a recurrent network backward in evaluation mode, which this one is in.
    with torch.random.fork_rng(devices=[]), torch.backends.cudnn.flags(enabled=False):
        torch.manual_seed(seed)
        memory = find(_through_inputs(network, windows, lags, stopped))
        carried = None if isinstance(network, Seq2Seq) else find(_through_state(network, windows, lags, stopped))
    return Horizons(memory, carried, windows.shape[1])


def find(curve: DoubleArray) -> Horizon:
    """The horizon of a curve over lags 0, 1, …: see the module."""
    peak = 1 + int(np.argmax(curve[1:]))
    under = np.flatnonzero(curve[peak:] < FRACTION * curve[peak])
    return Horizon(curve, peak + int(under[0]) if len(under) else len(curve) - 1, bool(len(under)))


def _windows(trips: Sequence[FloatArray], lags: int, seed: int) -> Tensor:
    """``[run-in + lags + 1, POSITIONS, F]``; each ends at a position that is measured."""
    random = np.random.default_rng([seed & 0xFFFF_FFFF, 2])
    every = lengths(trips)
    ticks = min(RUN_IN + lags + 1, max(every))
    usable = [place for place, length in enumerate(every) if length >= ticks]
    # Every position of every usable trip has the same chance.
    share = np.array([every[place] - ticks + 1.0 for place in usable])
    chosen = random.choice(len(usable), size=POSITIONS, p=share / share.sum())
    starts = [int(random.integers(every[usable[i]] - ticks + 1)) for i in chosen]
    return torch.from_numpy(
        np.stack([trips[usable[i]][a : a + ticks] for i, a in zip(chosen, starts, strict=True)], axis=1)
    )


def _through_inputs(network: Recurrent, windows: Tensor, lags: int, stopped: Callable[[], bool]) -> DoubleArray:
    device = next(network.parameters()).device
    x = with_mask(windows.to(device)).requires_grad_()
    expected = _last(network, x)
    squares = torch.zeros(lags + 1, x.shape[1], dtype=torch.float64)
    # One backward pass per output gives one row of the Jacobian, at all lags at once.
    for direction in _directions(network.signals).to(device):
        (gradient,) = torch.autograd.grad((expected @ direction).sum(), x, retain_graph=True)
        values = gradient[..., : network.signals].flip(0)[: lags + 1]
        squares += values.double().square().sum(-1).cpu()
        if stopped():
            break
    return _median_norm(squares)


def _directions(signals: int) -> Tensor:
    """Each output by itself; of many, a few random combinations, whose mean square is the same (Hutchinson 1990)."""
    if signals <= EXACT_SIGNALS:
        return torch.eye(signals)
    return torch.randn(MANY_PROBES, signals) / MANY_PROBES**0.5


def _last(network: Recurrent, x: Tensor) -> Tensor:
    """The expected values of the last tick ``[B, F]``."""
    if isinstance(network, Seq2Seq):
        width = network.width
        x = torch.cat([x.new_zeros(max(0, width - len(x)), *x.shape[1:]), x])
        return network.unroll(x[len(x) - width :], 1)[0]
    expected: Tensor = network(x)[0][-1]
    return expected


def _through_state(network: Recurrent, windows: Tensor, lags: int, stopped: Callable[[], bool]) -> DoubleArray:
    x = with_mask(windows.to(next(network.parameters()).device))
    start = len(x) - lags - 1
    with torch.no_grad():
        _, state = network(x[: start + 1])
    states: list[State] = [tuple(part.requires_grad_() for part in state)]
    for tick in range(start + 1, len(x)):
        after = network(x[tick : tick + 1], states[-1])[1]
        states.append(tuple(part.requires_grad_() for part in after))
    flat = [part for parts in states for part in parts]
    width = len(states[0])
    squares = torch.zeros(lags + 1, x.shape[1], dtype=torch.float64)
    done = 0
    while done < PROBES and not (done and stopped()):
        done += 1
        probe = sum((torch.randn_like(part) * part).sum() for part in states[-1])
        assert isinstance(probe, Tensor)
        gradients = torch.autograd.grad(probe, flat, retain_graph=True, materialize_grads=True)
        each = torch.stack([part.double().square().sum((0, 2)).cpu() for part in gradients])
        squares += each.reshape(lags + 1, width, -1).sum(1).flip(0)
    return _median_norm(squares / done)


def _median_norm(squares: Tensor) -> DoubleArray:
    curve: DoubleArray = squares.sqrt().median(dim=1).values.numpy()
    return curve


def correlation_time(trips: Sequence[FloatArray], longest: int = LAGS) -> DoubleArray:
    """Per signal the lag in ticks at which its autocorrelation falls below 1/e, over trips the median, at most
    ``longest``.

    A signal's own past predicts it over this time: a network with less memory cannot use that.
    """
    return np.median([_fading(trip, longest) for trip in trips], axis=0)


def _fading(trip: FloatArray, longest: int) -> DoubleArray:
    # Autocorrelation by FFT (Wiener-Khinchin), padded to twice the length so that the ends do not wrap around.
    values = np.nan_to_num(trip - np.nanmean(np.where(np.isfinite(trip), trip, 0.0), axis=0)).astype(np.float64)
    size = 2 * len(values)
    spectrum = np.abs(np.fft.rfft(values, size, axis=0)) ** 2
    correlation = np.fft.irfft(spectrum, size, axis=0)[: min(longest + 1, len(values))]
    power = np.where(correlation[0] > 0, correlation[0], 1.0)
    under = correlation / power < CORRELATED
    return np.where(under.any(axis=0), under.argmax(axis=0), longest).astype(np.float64)

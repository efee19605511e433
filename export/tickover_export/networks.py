"""The three architectures: from the network's input ``[T, B, 2F]`` to expected normalised values ``[T, B, F]``."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from tickover.core.manifest import Architecture
from tickover_export.cells import Weights, carry, dense, run, run_once
from tickover_export.nodes import Nodes, next_of
from tickover_export.spec import GraphSpec
from tickover_export.ticks_before import FAR, delay

NORMALISED: Final = "normalised"
"""The tensor of normalised values ``[T, B, F]``, 0 where missing, that every graph has."""
WINDOW: Final = "window"
"""seq2seq's state: the network's inputs of the last W-1 ticks, oldest first, zeros (= missing) before the trip."""

PREVIOUS: Final = "previous"
"""forecaster's state: the last tick's network input, zeros (= missing) before the trip."""

Architect = Callable[[Nodes, GraphSpec, Weights, str], str]


def autoencoder(nodes: Nodes, spec: GraphSpec, weights: Weights, x: str) -> str:
    """Encoder, bottleneck and decoder all advance with the tick."""
    cell, hidden = spec.network.cell, spec.network.hidden
    h = run(nodes, cell, "encoder", x, weights, carry(nodes, cell, "encoder", hidden))
    context = nodes.add("Tanh", dense(nodes, "bottleneck", h, weights), name="context")
    g = run(nodes, cell, "decoder", context, weights, carry(nodes, cell, "decoder", hidden))
    return dense(nodes, "output", g, weights)


def forecaster(nodes: Nodes, spec: GraphSpec, weights: Weights, x: str) -> str:
    """``expected(t) = previous(t) + output(h(t-1))``: it never sees the tick that it expects."""
    cell, hidden = spec.network.cell, spec.network.hidden
    states = carry(nodes, cell, "encoder", hidden)
    previous, seen = _previous(nodes, len(spec.signals), x)
    change = nodes.add("Sub", NORMALISED, previous, name="change/any")
    both = nodes.add("Mul", "mask", seen, name="change/known")
    with_change = nodes.add("Concat", x, nodes.add("Mul", change, both, name="change"), name="encoder/input", axis=-1)
    h = run(nodes, cell, "encoder", with_change, weights, states)
    learnt = dense(nodes, "output", delay(nodes, states[0], h, name="encoder/before"), weights)
    return nodes.add("Add", previous, learnt, name="expected/normalised")


def seq2seq(nodes: Nodes, spec: GraphSpec, weights: Weights, x: str) -> str:
    """Encode the window that ends at each tick from zero; the decoder's first step from that context is the tick."""
    cell = spec.network.cell
    h = run_once(nodes, cell, "encoder", _windows(nodes, spec, x), weights)
    context = nodes.add("Tanh", dense(nodes, "bottleneck", h, weights), name="context")
    g = run_once(nodes, cell, "decoder", context, weights)
    flat = dense(nodes, "output", g, weights)  # [1, T*B, F]
    return nodes.add("Reshape", flat, nodes.add("Shape", "x", name="x/shape"), name="output/by_tick")


ARCHITECTS: Final[dict[Architecture, Architect]] = {
    "autoencoder": autoencoder,
    "forecaster": forecaster,
    "seq2seq": seq2seq,
}


def _previous(nodes: Nodes, signals: int, x: str) -> Sequence[str]:
    """The tick before: its normalised values and mask, ``[T, B, F]`` each. Writes the previous state's successor."""
    before = nodes.state(PREVIOUS, 2 * signals, "trip")
    last, end, time = nodes.shared("last", [-1]), nodes.shared("previous/end", [FAR]), nodes.shared("time/axis", [0])
    nodes.add("Slice", x, last, end, time, name=next_of(PREVIOUS))
    earlier = delay(nodes, before, x, name="previous/by_tick")
    halves = nodes.integers("previous/halves", [signals, signals])
    return nodes.add_many("Split", earlier, halves, names=["previous/values", "previous/seen"], axis=-1)


def _windows(nodes: Nodes, spec: GraphSpec, x: str) -> str:
    """Every tick's window side by side, ``[W, T*B, 2F]``; writes the window state's successor."""
    window, width = spec.network.window or 0, 2 * len(spec.signals)
    past = nodes.state(WINDOW, (window - 1) * width, "trip")
    batch_first = nodes.add(
        "Reshape", past, nodes.integers("window/rows", [-1, window - 1, width]), name="window/lanes"
    )
    time_first = nodes.add("Transpose", batch_first, name="window/past", perm=[1, 0, 2])
    joined = nodes.add("Concat", time_first, x, name="window/joined", axis=0)  # [W-1+T, B, 2F]
    _keep(nodes, joined, window, width)
    rows = nodes.add("Gather", joined, _rows(nodes, window, x), name="window/by_tick", axis=0)  # [W, T, B, 2F]
    return nodes.add("Reshape", rows, nodes.integers("window/flat", [window, -1, width]), name="windows")


def _keep(nodes: Nodes, joined: str, window: int, width: int) -> None:
    """The last W-1 rows become the next call's window state."""
    start, end = nodes.integers("window/start", [1 - window]), nodes.integers("window/end", [FAR])
    kept = nodes.add("Slice", joined, start, end, nodes.shared("time/axis", [0]), name="window/kept")
    batch_first = nodes.add("Transpose", kept, name="window/kept_lanes", perm=[1, 0, 2])
    nodes.add(
        "Reshape", batch_first, nodes.integers("window/state", [1, -1, (window - 1) * width]), name=next_of(WINDOW)
    )


def _rows(nodes: Nodes, window: int, x: str) -> str:
    """Row ``w + t`` at ``[w, t]``: which row of past and present stands at place w of tick t's window.

    Counting ones along time gives the ticks' numbers without an operator whose output size is data.
    """
    zeros = nodes.add("Mul", x, nodes.floats("nought", 0.0), name="window/zeros")
    flat = nodes.add("ReduceMax", zeros, nodes.integers("window/lane_axes", [1, 2]), name="window/nought", keepdims=0)
    ones = nodes.add("Add", flat, nodes.floats("one", 1.0), name="window/ones")  # [T]
    count = nodes.add("CumSum", ones, nodes.integers("window/time", 0), name="window/count")
    number = nodes.add("Cast", count, name="window/number", to=7)  # int64, from 1
    return nodes.add(
        "Add", number, nodes.integers("window/places", np.arange(window)[:, None] - 1), name="window/index"
    )

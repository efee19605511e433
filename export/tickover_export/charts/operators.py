"""Recurrent operators of the graph that are no network: they advance in chunks and batches like any other cell."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover.core.values import FloatArray
from tickover_export.cells import plain, without_directions
from tickover_export.nodes import Nodes, next_of

BLOCK: Final = 32
"""Signals of one operator: its weight matrices grow with the square of them."""


def block_sizes(signals: int) -> list[int]:
    """How many signals each operator takes."""
    return [min(BLOCK, signals - at) for at in range(0, signals, BLOCK)]


def suffixes(sizes: Sequence[int]) -> list[str]:
    """What the names of each block's operators end with."""
    return [f".{number}" for number in range(len(sizes))] if len(sizes) > 1 else [""]


def held_mean(nodes: Nodes, name: str, x: str, rates: FloatArray, routes: FloatArray) -> str:
    """Running means that hold where their signal is not valid, ``[T, B, N]``; state ``name``, never reset.

    ``x`` ``[T, B, I]``; ``rates`` ``[N, I]`` holds each mean's ``1 - decay`` in its signal's valid column; ``routes``
    ``[N, I]`` picks what it averages, which must be 0 where not valid so that the hold is exact.

    A ``GRU`` with activations ``[HardSigmoid, Affine]``: its update gate is ``1 - (1 - decay) * valid``, and its
    candidate is the value itself.
    """
    units, inputs = rates.shape
    w = np.zeros((3, units, inputs))  # ONNX's gates z, r, h
    w[0], w[2] = -rates, routes
    b = np.zeros((6, units))
    b[0] = 1.0
    state = nodes.state(name, units, "never")
    everything, _ = nodes.add_many(
        "GRU",
        x,
        nodes.floats(f"{name}.W", w.reshape(1, 3 * units, inputs)),
        nodes.floats(f"{name}.R", np.zeros((1, 3 * units, units))),
        nodes.floats(f"{name}.B", b.reshape(1, 6 * units)),
        "",
        state,
        names=[f"{name}/all", next_of(state)],
        hidden_size=units,
        **plain("HardSigmoid", "Affine"),
    )
    return without_directions(nodes, everything, name=f"{name}/means")


def clamped_sum(nodes: Nodes, name: str, x: str, routes: FloatArray) -> str:
    """Sums of ``routes @ x`` clamped to 0..1 at every tick, ``[T, B, N]``; state ``name``, never reset.

    An ``RNN`` with ``HardSigmoid``, which is the clamp. The product is a node of its own: inside the RNN, one row would
    be rounded otherwise than many (see ``cells``).
    """
    units = len(routes)
    steps = nodes.add("MatMul", x, nodes.floats(f"{name}.routes", routes.T), name=f"{name}/steps")
    unchanged = np.eye(units)[None]
    arrays = (("W", unchanged), ("R", unchanged), ("B", np.zeros((1, 2 * units))))
    state = nodes.state(name, units, "never")
    everything, _ = nodes.add_many(
        "RNN",
        steps,
        *(nodes.floats(f"{name}.{part}", array) for part, array in arrays),
        "",
        state,
        names=[f"{name}/all", next_of(state)],
        hidden_size=units,
        **plain("HardSigmoid"),
    )
    return without_directions(nodes, everything, name=f"{name}/sums")


def split(nodes: Nodes, x: str, sizes: Sequence[int], names: Sequence[str]) -> Sequence[str]:
    """Cut the last axis."""
    if len(sizes) == 1:
        return [x]
    return nodes.add_many("Split", x, nodes.integers(f"{x}/sizes", list(sizes)), names=names, axis=-1)


def concat(nodes: Nodes, parts: Sequence[str], *, name: str) -> str:
    """Join along the last axis."""
    return parts[0] if len(parts) == 1 else nodes.add("Concat", *parts, name=name, axis=-1)

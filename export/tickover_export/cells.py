"""Trained recurrent cells and dense layers as ONNX operators.

torch stacks a GRU's gates as r, z, n and an LSTM's as i, f, g, o; ONNX wants z, r, h and i, o, f, c. torch applies the
reset gate after the recurrent product, which ONNX calls ``linear_before_reset=1``. torch's own exporters got this
wrong before (pytorch#189225), so the graph is built from the weights.

A vanilla RNN is written as a GRU whose gates stand still (update 0, reset 1): onnxruntime's RNN operator multiplies a
single row with another kernel than many rows, so that ticks and batches would differ in the last bit. Its GRU does not,
and is no slower.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from tickover.core.manifest import Cell
from tickover.core.values import FloatArray
from tickover_export.nodes import Nodes, next_of

Weights = Mapping[str, FloatArray]

GATE_ORDER: Final[dict[Cell, tuple[int, ...]]] = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}
"""For each ONNX gate, its place in torch's stack."""

DIRECTIONS: Final = "one/direction"
"""The axis of ONNX's recurrent outputs ``[T, 1, B, H]`` that counts directions."""


def gates(cell: Cell) -> int:
    """How many gates' weights a cell stacks."""
    return len(GATE_ORDER[cell])


def carry(nodes: Nodes, cell: Cell, name: str, hidden: int) -> Sequence[str]:
    """Declare a cell's state tensors, new at each trip; their names: h, and for an LSTM c."""
    names = [f"{name}.h", f"{name}.c"] if cell == "lstm" else [name]
    return [nodes.state(label, hidden, "trip") for label in names]


def run(nodes: Nodes, cell: Cell, name: str, x: str, weights: Weights, states: Sequence[str]) -> str:
    """Run a cell over ``x`` ``[T, B, I]``: h after each tick ``[T, B, H]``. Writes the states' successors."""
    y, *_ = _cell(nodes, cell, name, x, weights, states, [f"{name}/all", *map(next_of, states)])
    return without_directions(nodes, y, name=f"{name}/h")


def run_once(nodes: Nodes, cell: Cell, name: str, x: str, weights: Weights) -> str:
    """Run a cell from zero over ``x`` ``[T, B, I]``: only the last h, ``[1, B, H]``."""
    _, last = _cell(nodes, cell, name, x, weights, (), ["", f"{name}/last"])
    return last


def without_directions(nodes: Nodes, y: str, *, name: str) -> str:
    """``[T, 1, B, H]`` to ``[T, B, H]``."""
    return nodes.add("Squeeze", y, nodes.shared(DIRECTIONS, [1]), name=name)


def dense(nodes: Nodes, name: str, x: str, weights: Weights) -> str:
    """``x @ weight.T + bias`` over the last axis."""
    product = nodes.add(
        "MatMul", x, nodes.floats(f"{name}.weight", weights[f"{name}.weight"].T), name=f"{name}/product"
    )
    return nodes.add("Add", product, nodes.floats(f"{name}.bias", weights[f"{name}.bias"]), name=f"{name}/sum")


def _cell(
    nodes: Nodes, cell: Cell, name: str, x: str, weights: Weights, states: Sequence[str], outputs: Sequence[str]
) -> Sequence[str]:
    hidden = weights[f"{name}.weight_hh"].shape[1]
    w, r = (_reorder(cell, weights[f"{name}.weight_{side}"]) for side in ("ih", "hh"))
    b = np.concatenate([_reorder(cell, weights[f"{name}.bias_{side}"]) for side in ("ih", "hh")])
    operator = "LSTM" if cell == "lstm" else "GRU"
    options: dict[str, Any] = {"linear_before_reset": 1} if cell == "gru" else {}
    if cell == "rnn":
        w, r, b = _still_gates(w, r, b, hidden)
        options = {"linear_before_reset": 0, **plain("HardSigmoid", "Tanh")}
    arrays = [nodes.floats(f"{name}.{part}", array[None]) for part, array in (("W", w), ("R", r), ("B", b))]
    lengths = [""] if states else []
    return nodes.add_many(operator, x, *arrays, *lengths, *states, names=outputs, hidden_size=hidden, **options)


def _still_gates(w: FloatArray, r: FloatArray, b: FloatArray, hidden: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A vanilla RNN's weights as those of a GRU (z, r, h) with HardSigmoid gates at 0 and 1."""
    gates_w, gates_r = (np.zeros((2 * hidden, side.shape[1]), np.float32) for side in (w, r))
    gates_b = np.repeat(np.array([0.0, 1.0], np.float32), hidden)
    b_input, b_state = np.split(b, 2)
    biases = np.concatenate([gates_b, b_input, 0 * gates_b, b_state])
    return np.concatenate([gates_w, w]), np.concatenate([gates_r, r]), biases


def plain(*names: str) -> dict[str, list[str] | list[float]]:
    """Activations without slope or offset of their own: HardSigmoid clamps to 0..1, Affine is the identity."""
    ones, zeros = [1.0] * len(names), [0.0] * len(names)
    return {"activations": list(names), "activation_alpha": ones, "activation_beta": zeros}


def _reorder(cell: Cell, stacked: FloatArray) -> FloatArray:
    """torch's stack of gates ``[G*H, ...]`` in ONNX's order."""
    parts = np.split(np.asarray(stacked, dtype=np.float32), gates(cell))
    return np.concatenate([parts[place] for place in GATE_ORDER[cell]])

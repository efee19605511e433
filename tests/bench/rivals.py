"""The streaming rivals of a recurrent autoencoder, as ONNX graphs: a causal transformer and a window LSTM.

They are part of the benchmark, not of the product. Both have seeded random weights: only their cost is measured.
Shapes: B trucks, F inputs per tick (values and mask), W ticks of window, D model width, L layers, H hidden.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9
GATES = 4
Made = tuple[onnx.ModelProto, int]
"""A model and its number of parameters."""


@dataclass
class Builder:
    """Collects nodes and weights; ``parameters`` counts the weights."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    parameters: int = 0

    def weight(self, name: str, *shape: int) -> str:
        """A random float32 weight, scaled by the root of its first dimension."""
        values = self.rng.normal(size=shape) / np.sqrt(shape[0])
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        self.parameters += int(np.prod(shape))
        return name

    def constant(self, name: str, values: object, dtype: type = np.int64) -> str:
        """A constant that is no weight."""
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        """One node with one output, named ``name``."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def dense(self, x: str, name: str, rows: int, columns: int) -> str:
        """x W + b."""
        product = self.op("MatMul", [x, self.weight(f"{name}.w", rows, columns)], f"{name}.product")
        return self.op("Add", [product, self.weight(f"{name}.b", columns)], name)

    def model(self, inputs: dict[str, list[int | str]], outputs: dict[str, list[int | str]]) -> onnx.ModelProto:
        """The finished, checked model."""
        graph = helper.make_graph(
            self.nodes,
            "rival",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            self.weights,
        )
        return finished(graph)


def finished(graph: onnx.GraphProto) -> onnx.ModelProto:
    """The graph as a checked model."""
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(built, full_check=True)
    return built


def transformer(inputs: int, window: int, width: int, layers: int, *, cached: bool) -> Made:
    """A pre-norm causal transformer with one head; returns the model and its number of parameters.

    Without a cache it reads ``x [B, W, F]`` and runs again over the whole window at each tick. With one it reads
    ``x [B, 1, F]`` and, per layer, ``k`` and ``v`` ``[B, N, D]`` of the N ticks before, and returns the longer ones.
    """
    b = Builder(np.random.default_rng(0))
    rows = 1 if cached else window
    h = b.dense("x", "embed", inputs, width)
    b.constant("scale", 1 / np.sqrt(width), np.float32)
    if not cached:
        future = np.triu(np.full((window, window), -1e9), 1)
        b.constant("causal", future, np.float32)
    caches_in: dict[str, list[int | str]] = {}
    caches_out: dict[str, list[int | str]] = {}
    for layer in range(layers):
        h = _block(b, h, f"l{layer}", width, cached=cached)
        if cached:
            for name in ("k", "v"):
                caches_in[f"l{layer}.{name}.past"] = ["b", "n", width]
                caches_out[f"l{layer}.{name}.all"] = ["b", "m", width]
    b.dense(h, "expected", width, inputs // 2)
    model = b.model({"x": ["b", rows, inputs], **caches_in}, {"expected": ["b", rows, inputs // 2], **caches_out})
    return model, b.parameters


def _norm(b: Builder, x: str, name: str, width: int) -> str:
    return b.op("LayerNormalization", [x, b.weight(f"{name}.g", width), b.weight(f"{name}.o", width)], name)


def _block(b: Builder, h: str, name: str, width: int, *, cached: bool) -> str:
    """Attention and a 4 D feed-forward layer, each around a residual."""
    normed = _norm(b, h, f"{name}.n1", width)
    q, k, v = (b.dense(normed, f"{name}.{part}", width, width) for part in "qkv")
    if cached:
        k = b.op("Concat", [f"{name}.k.past", k], f"{name}.k.all", axis=1)
        v = b.op("Concat", [f"{name}.v.past", v], f"{name}.v.all", axis=1)
    keys = b.op("Transpose", [k], f"{name}.kt", perm=[0, 2, 1])
    attention = b.op("Mul", [b.op("MatMul", [q, keys], f"{name}.qk"), "scale"], f"{name}.scaled")
    if not cached:
        attention = b.op("Add", [attention, "causal"], f"{name}.masked")
    mixed = b.op("MatMul", [b.op("Softmax", [attention], f"{name}.soft", axis=-1), v], f"{name}.mixed")
    h = b.op("Add", [h, b.dense(mixed, f"{name}.out", width, width)], f"{name}.r1")
    hidden = b.dense(_norm(b, h, f"{name}.n2", width), f"{name}.up", width, 4 * width)
    down = b.dense(b.op("Relu", [hidden], f"{name}.relu"), f"{name}.down", 4 * width, width)
    return b.op("Add", [h, down], f"{name}.r2")


def _lstm(b: Builder, x: str, name: str, inputs: int, hidden: int) -> str:
    """An LSTM from zero over ``x [T, B, inputs]``; returns the name of its last h ``[1, B, hidden]``."""
    feeds = [
        x,
        b.weight(f"{name}.w", 1, GATES * hidden, inputs),
        b.weight(f"{name}.r", 1, GATES * hidden, hidden),
        b.weight(f"{name}.b", 1, 2 * GATES * hidden),
    ]
    outputs = [f"{name}.all", f"{name}.last"]
    b.nodes.append(helper.make_node("LSTM", feeds, outputs, name=name, hidden_size=hidden))
    return outputs[1]


def window_lstm(inputs: int, window: int, hidden: int) -> Made:
    """The usual sliding-window LSTM autoencoder: encode W ticks, repeat the context W times, decode, all anew.

    Encoder and decoder have H units each, a dense layer follows at every tick (after Malhotra et al. 2016; the repeated
    context is that of Keras' ``RepeatVector``). Reads ``x [W, B, F]`` (the last W ticks) at every tick; its state is
    that window.
    """
    b = Builder(np.random.default_rng(0))
    last = _lstm(b, "x", "encoder", inputs, hidden)
    b.op("Expand", [last, b.constant("repeat", [window, 1, 1])], "context")
    _lstm(b, "context", "decoder", hidden, hidden)
    b.op("Squeeze", ["decoder.all", b.constant("axis", [1])], "decoded")
    b.dense("decoded", "expected", hidden, inputs // 2)
    return b.model({"x": [window, "b", inputs]}, {"expected": [window, "b", inputs // 2]}), b.parameters

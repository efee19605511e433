"""What each allowed operator does to shapes, and what it costs: no tensor of an accepted graph can surprise memory.

Shapes are plain numbers for one choice of T and B. Every rule checks its inputs, attributes and constants itself, as
onnxruntime may read past a weight matrix that is smaller than an attribute says.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
Kind = Literal["float", "int", "bool"]


class MisfitError(Exception):
    """An operator's inputs or attributes do not fit it; the message says how."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor as far as it is known: ``data`` holds an initialiser's, or a ``Shape``'s result.

    ``steady``: its numbers follow from sizes and constants, whatever the readings and states are.
    """

    kind: Kind
    shape: Shape
    data: npt.NDArray[Any] | None = None
    steady: bool = False

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Node:
    """An operator with its attributes; absent inputs are None. ``outputs`` is how many it names."""

    inputs: Sequence[Value | None]
    outputs: int
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def value(self, place: int) -> Value:
        """An input that must be there."""
        found = self.inputs[place] if place < len(self.inputs) else None
        return found if found is not None else _misfit(f"input {place} is missing")

    def floats(self, place: int) -> Value:
        """An input that must be floating."""
        value = self.value(place)
        return value if value.kind == "float" else _misfit(f"input {place}: expected float, got {value.kind}")

    def constant(self, place: int) -> npt.NDArray[Any]:
        """An integer input that must be an initialiser."""
        value = self.value(place)
        if value.data is None or value.kind != "int":
            raise MisfitError(f"input {place}: expected integer constants")
        return value.data

    def axis(self, rank: int) -> int:
        """The attribute ``axis``, counted from the front."""
        axis = int(self.attributes.get("axis", 0))
        return axis % rank if -rank <= axis < rank else _misfit(f"axis {axis} of a tensor with {rank}")


Rule = Callable[[Node], list[Value]]


def _misfit(message: str) -> Any:
    raise MisfitError(message)


def _broadcast(*shapes: Shape) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return tuple(_misfit(f"shapes {', '.join(map(str, shapes))} do not fit together"))


def _arity(node: Node, least: int, most: int | None = None) -> None:
    if not least <= len(node.inputs) <= (most or least):
        _misfit(f"expected {least} inputs, got {len(node.inputs)}")


def _unary(node: Node) -> list[Value]:
    _arity(node, 1)
    return [Value("float", node.floats(0).shape)]


def _is_nan(node: Node) -> list[Value]:
    _arity(node, 1)
    return [Value("bool", node.floats(0).shape)]


def _arithmetic(node: Node) -> list[Value]:
    _arity(node, 2)
    left, right = node.value(0), node.value(1)
    if left.kind != right.kind or left.kind == "bool":
        _misfit(f"expected two tensors of one type, got {left.kind} and {right.kind}")
    return [Value(left.kind, _broadcast(left.shape, right.shape))]


def _floating(node: Node) -> list[Value]:
    node.floats(0)
    return _arithmetic(node)


def _greater(node: Node) -> list[Value]:
    return [Value("bool", _floating(node)[0].shape)]


def _where(node: Node) -> list[Value]:
    _arity(node, 3)
    if node.value(0).kind != "bool":
        _misfit("input 0: expected bool")
    return [Value("float", _broadcast(node.value(0).shape, node.floats(1).shape, node.floats(2).shape))]


def _clip(node: Node) -> list[Value]:
    _arity(node, 3)
    for place in (1, 2):
        if node.floats(place).shape != ():
            _misfit(f"input {place}: expected a scalar")
    return [Value("float", node.floats(0).shape)]


def _cast(node: Node) -> list[Value]:
    _arity(node, 1)
    to = node.attributes.get("to")
    kinds: dict[Any, tuple[Kind, Kind]] = {1: ("bool", "float"), 7: ("float", "int")}
    if to not in kinds or node.value(0).kind != kinds[to][0]:
        _misfit(f"expected bool to float or float to int64, got {node.value(0).kind} to type {to}")
    return [Value(kinds[to][1], node.value(0).shape)]


def _concat(node: Node) -> list[Value]:
    first = node.floats(0).shape
    axis = node.axis(len(first))
    shapes = [node.floats(place).shape for place in range(len(node.inputs))]
    if any(_without(shape, axis) != _without(first, axis) for shape in shapes):
        _misfit(f"shapes {shapes} do not join along axis {axis}")
    return [Value("float", _with(first, axis, sum(shape[axis] for shape in shapes)))]


def _split(node: Node) -> list[Value]:
    _arity(node, 2)
    shape, sizes = node.floats(0).shape, node.constant(1)
    axis = node.axis(len(shape))
    if sizes.shape != (node.outputs,) or (sizes <= 0).any() or sizes.sum() != shape[axis]:
        _misfit(f"sizes {sizes.tolist()} do not cut {shape} along axis {axis} into {node.outputs}")
    return [Value("float", _with(shape, axis, int(size))) for size in sizes]


def _matmul(node: Node) -> list[Value]:
    _arity(node, 2)
    left, right = node.floats(0), node.floats(1)
    if right.data is None or len(right.shape) != 2 or len(left.shape) < 2 or left.shape[-1] != right.shape[0]:
        _misfit(f"expected [..., K] by constants [K, N], got {left.shape} by {right.shape}")
    return [Value("float", (*left.shape[:-1], right.shape[1]))]


def _squeeze(node: Node) -> list[Value]:
    _arity(node, 2)
    shape, axes = node.floats(0).shape, node.constant(1)
    if axes.tolist() != [1] or len(shape) < 2 or shape[1] != 1:
        _misfit(f"expected to drop axis 1 of length 1, got axes {axes.tolist()} of {shape}")
    return [Value("float", _without(shape, 1))]


def _shape(node: Node) -> list[Value]:
    _arity(node, 1)
    shape = node.value(0).shape
    return [Value("int", (len(shape),), np.array(shape, np.int64))]


def _reshape(node: Node) -> list[Value]:
    _arity(node, 2)
    value, wanted = node.floats(0), node.constant(1).tolist()
    if node.constant(1).ndim != 1 or any(item < -1 or item == 0 for item in wanted) or wanted.count(-1) > 1:
        _misfit(f"expected a shape of positive numbers and at most one -1, got {wanted}")
    known = math.prod(item for item in wanted if item > 0)
    shape = tuple(value.size // known if item == -1 else item for item in wanted)
    if math.prod(shape) != value.size:
        _misfit(f"{value.shape} does not reshape to {wanted}")
    return [Value("float", shape)]


def _transpose(node: Node) -> list[Value]:
    _arity(node, 1)
    shape, order = node.floats(0).shape, list(node.attributes.get("perm", ()))
    if sorted(order) != list(range(len(shape))):
        _misfit(f"order {order} of {shape}")
    return [Value("float", tuple(shape[place] for place in order))]


def _slice(node: Node) -> list[Value]:
    _arity(node, 4)
    shape = node.floats(0).shape
    start, end, axis = (node.constant(place) for place in (1, 2, 3))
    if start.shape != (1,) or end.shape != (1,) or axis.tolist() != [0] or not shape:
        _misfit(f"expected one start and end along axis 0, got {start.tolist()}, {end.tolist()}, {axis.tolist()}")
    length = len(range(shape[0])[start[0] : end[0]])
    return [Value("float", _with(shape, 0, length))] if length else _misfit(f"nothing of {shape} is left")


def _gather(node: Node) -> list[Value]:
    _arity(node, 2)
    shape, index = node.floats(0).shape, node.value(1)
    if index.kind != "int" or not shape or node.axis(len(shape)) != 0:
        _misfit("expected integers to pick along axis 0")
    if not index.steady:  # a reading could point beyond the end: onnxruntime fails, long after the checks
        _misfit("expected places that do not depend on readings")
    return [Value("float", (*index.shape, *shape[1:]))]


def _cum_sum(node: Node) -> list[Value]:
    _arity(node, 2)
    if node.constant(1).tolist() != 0 or len(node.floats(0).shape) != 1:
        _misfit("expected one axis")
    return [Value("float", node.floats(0).shape)]


def _reduce_max(node: Node) -> list[Value]:
    _arity(node, 2)
    shape, axes = node.floats(0).shape, node.constant(1).tolist()
    if not isinstance(axes, list) or any(not -len(shape) <= axis < len(shape) for axis in axes):
        _misfit(f"axes {axes} of {shape}")
    if node.attributes.get("keepdims") != 0 or not axes or len({axis % len(shape) for axis in axes}) < len(axes):
        _misfit(f"expected different axes to drop, got {axes}")
    return [
        Value(
            "float",
            tuple(size for place, size in enumerate(shape) if place - len(shape) not in axes and place not in axes),
        )
    ]


def _recurrent(gates: int, outputs: int, states: int, activations: tuple[tuple[str, ...], ...]) -> Rule:
    def rule(node: Node) -> list[Value]:
        x, hidden = node.floats(0).shape, int(node.attributes.get("hidden_size", 0))
        _arity(node, 4, 5 + states)
        if len(x) != 3 or hidden < 1:
            _misfit(f"expected [T, B, I] and a hidden size, got {x} and {hidden}")
        weights = ((1, gates * hidden, x[2]), (1, gates * hidden, hidden), (1, 2 * gates * hidden))
        for place, wanted in enumerate(weights, 1):
            if node.floats(place).shape != wanted or node.floats(place).data is None:
                _misfit(f"input {place}: expected constants of shape {wanted}, got {node.value(place).shape}")
        _check_states(node, states, (1, x[1], hidden))
        _check_activations(node.attributes, activations)
        if node.attributes.get("linear_before_reset", 0) not in (0, 1):
            _misfit(f"linear_before_reset: expected 0 or 1, got {node.attributes['linear_before_reset']}")
        if node.outputs > outputs:
            _misfit(f"expected at most {outputs} outputs, got {node.outputs}")
        return [Value("float", (x[0], 1, x[1], hidden)), *[Value("float", (1, x[1], hidden))] * (node.outputs - 1)]

    return rule


def _check_states(node: Node, states: int, shape: Shape) -> None:
    """Sequence lengths are never given; initial states are all given or none."""
    given = node.inputs[4:]
    if given and (given[0] is not None or len(given) != 1 + states):
        _misfit(f"expected no sequence lengths and {states} initial states")
    for place in range(5, 5 + states if given else 5):
        if node.floats(place).shape != shape:
            _misfit(f"input {place}: expected an initial state of shape {shape}, got {node.value(place).shape}")


def _check_activations(attributes: Mapping[str, Any], allowed: tuple[tuple[str, ...], ...]) -> None:
    names = tuple(attributes.get("activations", ()))
    if names not in allowed:
        _misfit(f"expected activations {allowed}, got {names}")
    for name, value in (("activation_alpha", 1.0), ("activation_beta", 0.0)):
        if list(attributes.get(name, ())) != [value] * len(names):
            _misfit(f"{name}: expected {value} for each activation")


RULES: Final[dict[str, Rule]] = {
    "Abs": _unary,
    "Add": _arithmetic,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "CumSum": _cum_sum,
    "Div": _floating,
    "GRU": _recurrent(3, 2, 1, ((), ("HardSigmoid", "Affine"), ("HardSigmoid", "Tanh"))),
    "Gather": _gather,
    "Greater": _greater,
    "IsNaN": _is_nan,
    "LSTM": _recurrent(4, 3, 2, ((),)),
    "MatMul": _matmul,
    "Max": _floating,
    "Mul": _floating,
    "RNN": _recurrent(1, 2, 1, (("HardSigmoid",),)),
    "ReduceMax": _reduce_max,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _unary,
    "Squeeze": _squeeze,
    "Sub": _floating,
    "Tanh": _unary,
    "Transpose": _transpose,
    "Where": _where,
}
"""The operators that a model may use."""

_RECURRENT: Final = {
    "hidden_size": "i",
    "activations": "strings",
    "activation_alpha": "floats",
    "activation_beta": "floats",
}
ATTRIBUTES: Final[dict[str, dict[str, str]]] = {
    "Cast": {"to": "i"},
    "Concat": {"axis": "i"},
    "Gather": {"axis": "i"},
    "GRU": _RECURRENT | {"linear_before_reset": "i"},
    "LSTM": {"hidden_size": "i"},
    "RNN": _RECURRENT,
    "ReduceMax": {"keepdims": "i"},
    "Split": {"axis": "i"},
    "Transpose": {"perm": "ints"},
}
"""The attributes that an operator may bear, and the field of each; operators not listed bear none."""


def is_steady(operator: str, node: Node) -> bool:
    """Whether what an operator makes is the same whatever the readings are; nought times any number is nought."""
    if operator == "Shape":
        return True
    given = [value for value in node.inputs if value is not None]
    if operator == "Mul" and any(value.data is not None and not value.data.any() for value in given):
        return True
    return all(value.steady for value in given)


def work(operator: str, node: Node, made: Sequence[Value]) -> int:
    """Multiplications, or numbers written, of one node."""
    if operator in ("GRU", "LSTM", "RNN"):
        ticks, rows, _ = node.value(0).shape
        return ticks * rows * (node.value(1).size + node.value(2).size)
    if operator == "MatMul":
        return made[0].size * node.value(1).shape[0]
    return sum(value.size for value in (*made, *filter(None, node.inputs)))


def _with(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])

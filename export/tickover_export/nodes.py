"""A small notebook in which a graph is written down: initialisers and nodes, in order."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tickover.core.manifest import NEXT_PREFIX, StateTensor

Dimensions = Sequence[int | str]


class Nodes:
    """Collects nodes and initialisers; every method returns the name of what it made."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, npt.NDArray[Any]] = {}
        self._taken: set[str] = set()
        self.states: list[StateTensor] = []

    def state(self, name: str, size: int, reset: Literal["trip", "never"]) -> str:
        """Declare a state tensor ``[1, B, size]`` that starts at 0; some node must make ``next_of(name)``."""
        self._take(name)
        self.states.append(StateTensor(name=name, size=size, reset=reset))
        return name

    def floats(self, name: str, values: npt.ArrayLike) -> str:
        """A float32 initialiser; ValueError when a value is not finite."""
        array = np.asarray(values, dtype=np.float32)
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers")
        return self._constant(name, array)

    def integers(self, name: str, values: npt.ArrayLike) -> str:
        """An int64 initialiser (axes, shapes, indices)."""
        return self._constant(name, np.asarray(values, dtype=np.int64))

    def shared(self, name: str, values: npt.ArrayLike) -> str:
        """An int64 initialiser that several nodes use; made at the first call."""
        return name if name in self._constants else self.integers(name, values)

    def add(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """A node with one output, which bears the node's name."""
        return self.add_many(operator, *inputs, names=[name], **attributes)[0]

    def add_many(self, operator: str, *inputs: str, names: Sequence[str], **attributes: Any) -> Sequence[str]:
        """A node with several outputs; an empty name leaves an output out."""
        for name in filter(None, names):
            self._take(name)
        label = next(filter(None, names))
        self._nodes.append(helper.make_node(operator, list(inputs), list(names), name=label, **attributes))
        return names

    def graph(self, name: str, inputs: Mapping[str, Dimensions], outputs: Mapping[str, Dimensions]) -> GraphProto:
        """The finished graph: the given inputs and outputs, then the states'; all float32."""
        before: dict[str, Dimensions] = {state.name: (1, "B", state.size) for state in self.states}
        after = {next_of(state): shape for state, shape in before.items()}
        return helper.make_graph(
            self._nodes,
            name,
            [_value(*item) for item in {**inputs, **before}.items()],
            [_value(*item) for item in {**outputs, **after}.items()],
            [numpy_helper.from_array(array, label) for label, array in self._constants.items()],
        )

    def _constant(self, name: str, array: npt.NDArray[Any]) -> str:
        self._take(name)
        self._constants[name] = np.array(array, order="C")
        return name

    def _take(self, name: str) -> None:
        if name in self._taken:
            raise ValueError(f"expected each name once in the graph, got {name} twice")
        self._taken.add(name)


def next_of(state: str) -> str:
    """The output that carries a state tensor's successor."""
    return NEXT_PREFIX + state


def _value(name: str, shape: Dimensions) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

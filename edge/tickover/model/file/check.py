"""Checks a model's structure before onnxruntime sees it, and writes the checked part again for onnxruntime to read."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tickover.core.manifest import (
    CHART,
    EXPECTED,
    INPUT,
    KEY_GOLDEN,
    KEY_MANIFEST,
    KEY_SEAL,
    NEXT_PREFIX,
    SCORE,
    Manifest,
)
from tickover.errors import ModelError
from tickover.model.file.proto import parse
from tickover.model.file.shapes import (
    ATTRIBUTES,
    RULES,
    Kind,
    MisfitError,
    Node,
    Shape,
    Value,
    is_steady,
    work,
)

OPSETS: Final = range(18, 22)
IR_VERSIONS: Final = range(8, 11)
MAX_NUMBERS: Final = 2**26
"""Numbers in all tensors that one call makes."""
MAX_WORK: Final = 2**26
"""Multiplications per tick and vehicle."""
IDLE_NUMBERS: Final = 2**14
"""Numbers of initialisers that no output hangs on."""
IDLE_OPERATORS: Final = 128
"""Operators that no output hangs on."""
MAX_RANK: Final = 8
"""Axes of a tensor; tickover's own models have four at most."""
MAX_INTEGERS: Final = 1024
"""Numbers of one integer initialiser: they are sizes, axes and places, and each operator that takes them reads all."""

_NAME: Final = re.compile(rb"[A-Za-z0-9_./\-]{1,200}")
_FLOAT, _INT64 = 1, 7
_TYPES: Final[dict[int, tuple[Kind, str]]] = {_FLOAT: ("float", "<f4"), _INT64: ("int", "<i8")}
_ATTRIBUTE_TYPES: Final = {"i": 2, "floats": 6, "ints": 7, "strings": 8}
"""AttributeProto.AttributeType of the fields in use."""


class Structure:
    """A model as ``protobuf`` reads it: ``metadata`` holds its texts, ``check`` accepts or refuses the rest."""

    def __init__(self, data: bytes) -> None:
        self._model = parse(data)
        self.metadata = _metadata(self._model)

    def check(self, manifest: Manifest, call_size: int) -> bytes:
        """The model as onnxruntime may read it, without metadata; ModelError when it does not fit the manifest.

        ``call_size`` is the largest T * B of a call.
        """
        _check_versions(self._model)
        graph = self._model.graph
        constants = _constants(graph)
        interface = _interface(manifest)
        _check_values("input", graph.input, interface[0])
        _check_values("output", graph.output, interface[1])
        nodes = [_read_node(node) for node in graph.node]
        _check_names(nodes, [*interface[0], *constants])
        for ticks, rows in ((1, 1), (3, 5), (call_size, 1), (1, call_size)):
            _infer(nodes, constants, interface, ticks, rows)
        _check_used(nodes, constants, interface[1])
        self._model.ClearField("metadata_props")
        checked: bytes = self._model.SerializeToString(deterministic=True)
        return checked


_Interface = tuple[dict[str, tuple[str | int, ...]], dict[str, tuple[str | int, ...]]]
_Parsed = tuple[str, list[str], list[str], dict[str, Any]]
"""Operator, inputs, outputs, attributes."""


def _text(raw: bytes, what: str) -> str:
    if not _NAME.fullmatch(raw):
        raise ModelError(f"structure: {what}: expected a plain name, got {raw[:40]!r}")
    return raw.decode("ascii")


def _metadata(model: Any) -> dict[str, str]:
    """The three entries of a tickover model, each once."""
    found = [entry.key for entry in model.metadata_props]
    wanted = [key.encode() for key in (KEY_MANIFEST, KEY_GOLDEN, KEY_SEAL)]
    if sorted(found) != sorted(wanted):
        raise ModelError(f"metadata: expected {KEY_MANIFEST}, {KEY_GOLDEN} and {KEY_SEAL} once each, got {found[:8]!r}")
    try:
        return {entry.key.decode(): entry.value.decode() for entry in model.metadata_props}
    except UnicodeDecodeError as error:
        raise ModelError(f"metadata: expected UTF-8 text: {error.reason}") from error


def _check_versions(model: Any) -> None:
    if model.ir_version not in IR_VERSIONS:
        raise ModelError(f"IR version: expected {_range(IR_VERSIONS)}, got {model.ir_version}")
    domains = [(item.domain, item.version) for item in model.opset_import]
    if len(domains) != 1 or domains[0][0] != b"":
        raise ModelError(f"opset: expected ONNX's own operators alone, got {domains[:4]!r}")
    if domains[0][1] not in OPSETS:
        raise ModelError(f"opset: expected {_range(OPSETS)}, got {domains[0][1]}")


def _range(numbers: range) -> str:
    return f"{numbers[0]} to {numbers[-1]}"


def _interface(manifest: Manifest) -> _Interface:
    """Names and shapes of the graph's inputs and outputs, in order, as the manifest has them."""
    signals = len(manifest.signals)
    before: dict[str, tuple[str | int, ...]] = {state.name: (1, "B", state.size) for state in manifest.states}
    outputs: dict[str, tuple[str | int, ...]] = {SCORE: ("T", "B"), CHART: ("T", "B", len(manifest.charts))}
    outputs |= {EXPECTED: ("T", "B", signals)}
    return {INPUT: ("T", "B", signals), **before}, outputs | {NEXT_PREFIX + k: shape for k, shape in before.items()}


def _check_values(what: str, values: Any, wanted: Mapping[str, tuple[str | int, ...]]) -> None:
    """The declared inputs or outputs are those of the manifest."""
    names = [_text(value.name, what) for value in values]
    if names != list(wanted):
        raise ModelError(f"{what}s: expected {list(wanted)} as in the manifest, got {names[:64]}")
    for value in values:
        name, type_ = value.name.decode(), value.type.tensor_type
        shape = tuple(dim.dim_param.decode("latin-1") if dim.dim_param else dim.dim_value for dim in type_.shape.dim)
        if type_.elem_type != _FLOAT or shape != wanted[name]:
            raise ModelError(
                f"{what} {name}: expected float32 {list(wanted[name])}, got type {type_.elem_type} {list(shape)[:8]}"
            )


def _constants(graph: Any) -> dict[str, Value]:
    """Every initialiser, finite."""
    constants: dict[str, Value] = {}
    for tensor in graph.initializer:
        name = _text(tensor.name, "initialiser")
        if name in constants:
            raise ModelError(f"structure: expected one initialiser of each name, got two called {name}")
        constants[name] = _constant(name, tensor)
    return constants


def _constant(name: str, tensor: Any) -> Value:
    if tensor.data_type not in _TYPES:
        raise ModelError(f"initialiser {name}: expected float32 or int64, got type {tensor.data_type}")
    kind, code = _TYPES[tensor.data_type]
    shape = tuple(tensor.dims)
    if len(shape) > 4 or any(size <= 0 for size in shape):
        raise ModelError(f"initialiser {name}: expected up to four positive sizes, got {list(shape)[:8]}")
    data: npt.NDArray[Any] = np.frombuffer(tensor.raw_data, np.uint8)
    size = math.prod(shape) * np.dtype(code).itemsize
    if len(data) != size:
        raise ModelError(f"initialiser {name}: expected {size} bytes for shape {list(shape)}, got {len(data)}")
    if kind == "int" and math.prod(shape) > MAX_INTEGERS:
        raise ModelError(f"initialiser {name}: expected at most {MAX_INTEGERS} integers, got {math.prod(shape)}")
    values = data.view(code).reshape(shape)
    if kind == "float" and not np.isfinite(values).all():
        raise ModelError(f"initialiser {name}: expected finite numbers")
    return Value(kind, shape, values, steady=True)


def _read_node(node: Any) -> _Parsed:
    operator = _text(node.op_type, "operator")
    if node.domain or operator not in RULES:
        domain = f"{node.domain.decode('latin-1')}." if node.domain else ""
        raise ModelError(f"operator {domain}{operator}: expected an allowed operator")
    inputs = [_text(name, f"input of {operator}") if name else "" for name in node.input]
    outputs = [_text(name, f"output of {operator}") if name else "" for name in node.output]
    if not any(outputs):
        raise ModelError(f"operator {operator}: expected some outputs, got none")
    return operator, inputs, outputs, _attributes(operator, node.attribute)


def _attributes(operator: str, attributes: Any) -> dict[str, Any]:
    allowed = ATTRIBUTES.get(operator, {})
    found: dict[str, Any] = {}
    for attribute in attributes:
        name = _text(attribute.name, f"attribute of {operator}")
        if name not in allowed or name in found:
            raise ModelError(f"operator {operator}: attribute {name}: expected one that is allowed, once")
        found[name] = _attribute(f"operator {operator}: attribute {name}", attribute, allowed[name])
    return found


def _attribute(what: str, attribute: Any, field: str) -> Any:
    """The one value that its type announces."""
    filled = [item.name for item, _ in attribute.ListFields() if item.name not in ("name", "type")]
    if filled not in ([field], []) or attribute.type != _ATTRIBUTE_TYPES[field]:
        raise ModelError(f"{what}: expected one value {field}, got {filled} of type {attribute.type}")
    value = getattr(attribute, field)
    if field == "strings":
        return [_text(item, what) for item in value]
    return value if field == "i" else list(value)


def _check_names(nodes: Sequence[_Parsed], known: Sequence[str]) -> None:
    """Every name is made once, before it is used: no cycles, nothing from nowhere."""
    made = set(known)
    if len(made) != len(known):
        raise ModelError("structure: expected initialisers with names of their own, got one called like an input")
    for operator, inputs, outputs, _ in nodes:
        for name in filter(None, inputs):
            if name not in made:
                raise ModelError(f"operator {operator}: its input {name}: expected it to be made before it is used")
        for name in filter(None, outputs):
            if name in made:
                raise ModelError(f"operator {operator}: expected outputs to be made once, got {name} twice")
            made.add(name)


def _check_used(nodes: Sequence[_Parsed], constants: Mapping[str, Value], outputs: Mapping[str, object]) -> None:
    """No ballast: weights that no output hangs on cost memory, since onnxruntime drops them only after reading them.

    A few are usual: a model whose only chart is that of a frozen bus scales residuals that nothing looks at.
    """
    wanted, idle_operators = set(outputs), 0
    for _, inputs, made, _ in reversed(nodes):
        if wanted.isdisjoint(filter(None, made)):
            idle_operators += 1
        else:
            wanted.update(filter(None, inputs))
    if idle_operators > IDLE_OPERATORS:
        raise ModelError(f"operators: expected at most {IDLE_OPERATORS} that no output hangs on, got {idle_operators}")
    idle = {name: value.size for name, value in constants.items() if name not in wanted}
    if (numbers := sum(idle.values())) > IDLE_NUMBERS:
        raise ModelError(
            f"initialisers: expected at most {IDLE_NUMBERS} numbers that no output hangs on, got {numbers}, "
            f"most of them in {max(idle, key=idle.__getitem__)}"
        )


def _infer(
    nodes: Sequence[_Parsed], constants: Mapping[str, Value], interface: _Interface, ticks: int, rows: int
) -> None:
    """Walk the graph for one choice of T and B; ModelError when a shape, a size or the work does not fit."""
    values = dict(constants) | {name: Value("float", shape) for name, shape in _fill(interface[0], ticks, rows)}
    total = numbers = 0
    for operator, inputs, outputs, attributes in nodes:
        node = Node([values[name] if name else None for name in inputs], len(outputs), attributes)
        made = [replace(value, steady=is_steady(operator, node)) for value in _apply(operator, outputs, node)]
        numbers += sum(value.size for value in made)
        if numbers > MAX_NUMBERS:
            raise ModelError(f"operator {operator}: expected at most {MAX_NUMBERS} numbers in all, got {numbers}")
        total += work(operator, node, made)
        values |= {name: value for name, value in zip(outputs, made, strict=True) if name}
    if total > MAX_WORK * ticks * rows:
        raise ModelError(f"structure: expected at most {MAX_WORK} multiplications a tick, got {total // ticks // rows}")
    for name, shape in _fill(interface[1], ticks, rows):
        got = values.get(name)
        if got is None or got.kind != "float" or got.shape != shape or name in interface[0]:
            raise ModelError(
                f"output {name}: expected float32 {list(shape)}, got {got and (got.kind, list(got.shape))}"
            )


def _apply(operator: str, outputs: Sequence[str], node: Node) -> list[Value]:
    label = next(filter(None, outputs))
    try:
        made = RULES[operator](node)
    except MisfitError as error:
        raise ModelError(f"operator {operator} of {label}: {error}") from error
    if any(len(value.shape) > MAX_RANK for value in made):
        raise ModelError(f"operator {operator} of {label}: expected at most {MAX_RANK} axes")
    if len(made) != len(outputs):
        raise ModelError(f"operator {operator} of {label}: expected {len(made)} outputs, got {len(outputs)}")
    return made


def _fill(shapes: Mapping[str, tuple[str | int, ...]], ticks: int, rows: int) -> Iterator[tuple[str, Shape]]:
    sizes = {"T": ticks, "B": rows}
    for name, shape in shapes.items():
        yield name, tuple(sizes[size] if isinstance(size, str) else size for size in shape)

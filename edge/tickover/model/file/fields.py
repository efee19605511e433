"""The part of ONNX's protobuf format that a tickover model uses, and how much of each field a model file may hold.

Field numbers are those of onnx.proto (github.com/onnx/onnx, IR version 9). What is not described here is refused, so
a model that passes has no functions, subgraphs, external or sparse tensors. No message of it holds itself: nesting has
an end. Strings are read as bytes: protobuf would raise on each that is not UTF-8. Held against the ``onnx`` package in
``tests/export``.

The largest model that ``tickover train`` makes (512 signals, four charts each) has 4,800 fields, 280 nodes, 190
initialisers, 40 inputs, and 350 kB of manifest.
"""

from typing import Final

from tickover.core.protobuf import BYTES, FLOAT, INT32, INT64, Field

MAX_FIELDS: Final = 65_536
"""Fields of all messages together: what the bounded reading of a file costs, about 1 microsecond each."""
MAX_NODES: Final = 2048
MOST: Final[dict[tuple[str, str], int]] = {
    ("Graph", "node"): MAX_NODES,
    ("Graph", "initializer"): 2048,
    ("Graph", "input"): 512,
    ("Graph", "output"): 512,
    ("Model", "metadata_props"): 64,
    ("Model", "opset_import"): 64,
}
"""How often a field may occur in the whole file; the others are bounded by ``MAX_FIELDS`` alone."""

MAX_NAME_BYTES: Final = 256
MAX_LIST_BYTES: Final = 1024
"""A packed list of numbers: sizes of a tensor, an attribute's numbers."""
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
"""The manifest, and the golden vectors."""
LONG: Final[dict[tuple[str, str], int | None]] = {("Entry", "value"): MAX_TEXT_BYTES, ("Tensor", "raw_data"): None}
"""The bytes of the fields that are no names; None: the file's size is bound enough."""

MESSAGES: Final[dict[str, tuple[Field, ...]]] = {
    "Entry": (Field("key", 1, BYTES), Field("value", 2, BYTES)),
    "OperatorSet": (Field("domain", 1, BYTES), Field("version", 2, INT64)),
    "Dimension": (Field("dim_value", 1, INT64), Field("dim_param", 2, BYTES)),
    "Shape": (Field("dim", 1, "Dimension", repeated=True),),
    "TensorType": (Field("elem_type", 1, INT32), Field("shape", 2, "Shape")),
    "Type": (Field("tensor_type", 1, "TensorType"),),
    "ValueInfo": (Field("name", 1, BYTES), Field("type", 2, "Type")),
    "Tensor": (
        Field("dims", 1, INT64, repeated=True),
        Field("data_type", 2, INT32),
        Field("name", 8, BYTES),
        Field("raw_data", 9, BYTES),
    ),
    "Attribute": (
        Field("name", 1, BYTES),
        Field("f", 2, FLOAT),
        Field("i", 3, INT64),
        Field("s", 4, BYTES),
        Field("floats", 7, FLOAT, repeated=True),
        Field("ints", 8, INT64, repeated=True),
        Field("strings", 9, BYTES, repeated=True),
        Field("type", 20, INT32),
    ),
    "Node": (
        Field("input", 1, BYTES, repeated=True),
        Field("output", 2, BYTES, repeated=True),
        Field("name", 3, BYTES),
        Field("op_type", 4, BYTES),
        Field("attribute", 5, "Attribute", repeated=True),
        Field("domain", 7, BYTES),
    ),
    "Graph": (
        Field("node", 1, "Node", repeated=True),
        Field("name", 2, BYTES),
        Field("initializer", 5, "Tensor", repeated=True),
        Field("input", 11, "ValueInfo", repeated=True),
        Field("output", 12, "ValueInfo", repeated=True),
    ),
    "Model": (
        Field("ir_version", 1, INT64),
        Field("producer_name", 2, BYTES),
        Field("graph", 7, "Graph"),
        Field("opset_import", 8, "OperatorSet", repeated=True),
        Field("metadata_props", 14, "Entry", repeated=True),
    ),
}

KNOWN_BUT_REFUSED: Final[dict[tuple[str, int], str]] = {
    ("Tensor", 3): "a segmented tensor",
    ("Tensor", 13): "external data",
    ("Tensor", 14): "external data",
    ("Attribute", 5): "a tensor attribute",
    ("Attribute", 6): "a subgraph",
    ("Attribute", 11): "subgraphs",
    ("Attribute", 21): "a reference to a function's attribute",
    ("Graph", 15): "sparse tensors",
    ("Model", 20): "training information",
    ("Model", 25): "functions",
}

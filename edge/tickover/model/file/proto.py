"""The part of ONNX's protobuf format that a tickover model uses, described by hand.

onnxruntime brings ``protobuf`` but no Python classes for ONNX, and the ``onnx`` package is too large for the device.
Field numbers are those of onnx.proto (github.com/onnx/onnx, IR version 9). What is not described here is refused, so
a model that passes has no functions, subgraphs, external or sparse tensors. Strings are read as bytes: protobuf would
raise on each that is not UTF-8. Held against the ``onnx`` package in ``tests/export``.
"""

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from tickover.core.protobuf import BYTES, FLOAT, INT32, INT64, Field, message_class
from tickover.errors import ModelError

_MESSAGES: Final[dict[str, tuple[Field, ...]]] = {
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

_KNOWN_BUT_REFUSED: Final[dict[tuple[str, int], str]] = {
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


_Model: Final = message_class("tickover.onnx", _MESSAGES, "Model")


def parse(data: bytes) -> Any:
    """The model message; ModelError when the bytes are no protobuf or hold anything that is not described here."""
    model = _Model()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelError("protobuf: expected an ONNX model, the bytes cannot be read as one") from error
    _refuse_unknown(model)
    return model


def _refuse_unknown(message: Any) -> None:
    """Walk all messages; those of the format are nested at most six deep."""
    name = message.DESCRIPTOR.name
    for field in UnknownFieldSet(message):
        number = field.field_number
        what = _KNOWN_BUT_REFUSED.get((name, number), f"field {number} of {name}")
        raise ModelError(f"protobuf: expected a plain tickover model, found {what}")
    for described, value in message.ListFields():
        if described.message_type is not None:
            for part in value if isinstance(value, Iterable) else (value,):
                _refuse_unknown(part)

"""The part of ONNX's protobuf format that a tickover model uses, described by hand.

onnxruntime brings ``protobuf`` but no Python classes for ONNX, and the ``onnx`` package is too large for the device.
Field numbers are those of onnx.proto (github.com/onnx/onnx, IR version 9). What is not described here is refused, so
a model that passes has no functions, subgraphs, external or sparse tensors. Strings are read as bytes: protobuf would
raise on each that is not UTF-8. Held against the ``onnx`` package in ``tests/export``.
"""

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from tickover.errors import ModelError

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "tickover.onnx"

_INT64, _INT32 = _FIELD.TYPE_INT64, _FIELD.TYPE_INT32
_BYTES, _FLOAT = _FIELD.TYPE_BYTES, _FIELD.TYPE_FLOAT

_Field = tuple[str, int, int | str, bool]
"""Name, number, scalar type or message name, repeated."""

_MESSAGES: Final[dict[str, tuple[_Field, ...]]] = {
    "Entry": (("key", 1, _BYTES, False), ("value", 2, _BYTES, False)),
    "OperatorSet": (("domain", 1, _BYTES, False), ("version", 2, _INT64, False)),
    "Dimension": (("dim_value", 1, _INT64, False), ("dim_param", 2, _BYTES, False)),
    "Shape": (("dim", 1, "Dimension", True),),
    "TensorType": (("elem_type", 1, _INT32, False), ("shape", 2, "Shape", False)),
    "Type": (("tensor_type", 1, "TensorType", False),),
    "ValueInfo": (("name", 1, _BYTES, False), ("type", 2, "Type", False)),
    "Tensor": (
        ("dims", 1, _INT64, True),
        ("data_type", 2, _INT32, False),
        ("name", 8, _BYTES, False),
        ("raw_data", 9, _BYTES, False),
    ),
    "Attribute": (
        ("name", 1, _BYTES, False),
        ("f", 2, _FLOAT, False),
        ("i", 3, _INT64, False),
        ("s", 4, _BYTES, False),
        ("floats", 7, _FLOAT, True),
        ("ints", 8, _INT64, True),
        ("strings", 9, _BYTES, True),
        ("type", 20, _INT32, False),
    ),
    "Node": (
        ("input", 1, _BYTES, True),
        ("output", 2, _BYTES, True),
        ("name", 3, _BYTES, False),
        ("op_type", 4, _BYTES, False),
        ("attribute", 5, "Attribute", True),
        ("domain", 7, _BYTES, False),
    ),
    "Graph": (
        ("node", 1, "Node", True),
        ("name", 2, _BYTES, False),
        ("initializer", 5, "Tensor", True),
        ("input", 11, "ValueInfo", True),
        ("output", 12, "ValueInfo", True),
    ),
    "Model": (
        ("ir_version", 1, _INT64, False),
        ("producer_name", 2, _BYTES, False),
        ("graph", 7, "Graph", False),
        ("opset_import", 8, "OperatorSet", True),
        ("metadata_props", 14, "Entry", True),
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


def _model_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="tickover_onnx.proto", package=_PACKAGE, syntax="proto2")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            field = described.field.add(name=name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))


_Model: Final = _model_class()


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

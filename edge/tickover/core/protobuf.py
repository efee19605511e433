"""Protobuf message classes from tables of fields, for formats that have no generated Python classes on the device.

onnxruntime brings ``protobuf``, but neither ONNX's nor Sparkplug's classes. A module that needs some of a format's
messages lists their fields with the specification's numbers. Importing this module imports ``google.protobuf``, which
costs start-up time: only a module that is itself loaded on demand should import it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD: Final = descriptor_pb2.FieldDescriptorProto

BOOL: Final[int] = _FIELD.TYPE_BOOL
BYTES: Final[int] = _FIELD.TYPE_BYTES
DOUBLE: Final[int] = _FIELD.TYPE_DOUBLE
FLOAT: Final[int] = _FIELD.TYPE_FLOAT
INT32: Final[int] = _FIELD.TYPE_INT32
INT64: Final[int] = _FIELD.TYPE_INT64
STRING: Final[int] = _FIELD.TYPE_STRING
UINT32: Final[int] = _FIELD.TYPE_UINT32
UINT64: Final[int] = _FIELD.TYPE_UINT64


class Field(NamedTuple):
    """One field of a message: ``kind`` is a scalar type from above or the name of a message in the same table.

    ``one_of`` names the group of fields of which at most one is set.
    """

    name: str
    number: int
    kind: int | str
    repeated: bool = False
    one_of: str = ""


def message_class(package: str, messages: Mapping[str, Iterable[Field]], name: str) -> Any:
    """The class of the message ``name`` (proto2), with the other ``messages`` inside; ``package`` sets them apart."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for field in fields:
            _describe(described, field, package)
    # A pool of our own: in protobuf's default pool, another library's copy of a format would clash with ours.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


def _describe(message: Any, field: Field, package: str) -> None:
    label = _FIELD.LABEL_REPEATED if field.repeated else _FIELD.LABEL_OPTIONAL
    described = message.field.add(name=field.name, number=field.number, label=label)
    if isinstance(field.kind, str):
        described.type, described.type_name = _FIELD.TYPE_MESSAGE, f".{package}.{field.kind}"
    else:
        described.type = field.kind
    if field.one_of:
        groups = [group.name for group in message.oneof_decl]
        if field.one_of not in groups:
            message.oneof_decl.add(name=field.one_of)
            groups.append(field.one_of)
        described.oneof_index = groups.index(field.one_of)

"""Sparkplug B payloads (Eclipse Sparkplug 3.0, section 6.4): births name the metrics, data carries aliases.

The protobuf descriptor is built here from the specification's field numbers; fields that carry no number (metadata,
properties, data sets, templates) are left out, and protobuf skips them.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tickover.payloads.base import (
    BESIDE,
    MAX_BYTES,
    MAX_ROWS,
    TOPIC,
    Input,
    PayloadError,
    Row,
    event_time,
    finite,
    vehicle_name,
)

BIRTHS: Final = frozenset({"NBIRTH", "DBIRTH"})
DATA: Final = frozenset({"NDATA", "DDATA"})
DEATHS: Final = frozenset({"DDEATH"})
"""Numbered like births and data; an NDEATH is not."""
REBIRTH: Final = "Node Control/Rebirth"
BOOLEAN: Final = 11
"""Sparkplug datatype Boolean."""
SEQUENCE: Final = 256
"""Sequence numbers count to 255 and begin again."""
MAX_METRICS: Final = 4096
"""The most metrics remembered of one birth."""
MAX_SOURCES: Final = 10_000
"""The most nodes and devices whose births are remembered."""
SIGNED_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}
"""Sparkplug datatype Int8 … Int64 to its width: sent as two's complement in an unsigned field."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_METRIC_FIELDS: Final = (
    ("name", 1, _FIELD.TYPE_STRING),
    ("alias", 2, _FIELD.TYPE_UINT64),
    ("timestamp", 3, _FIELD.TYPE_UINT64),
    ("datatype", 4, _FIELD.TYPE_UINT32),
    ("is_null", 7, _FIELD.TYPE_BOOL),
)
_VALUE_FIELDS: Final = (
    ("int_value", 10, _FIELD.TYPE_UINT32),
    ("long_value", 11, _FIELD.TYPE_UINT64),
    ("float_value", 12, _FIELD.TYPE_FLOAT),
    ("double_value", 13, _FIELD.TYPE_DOUBLE),
    ("boolean_value", 14, _FIELD.TYPE_BOOL),
    ("string_value", 15, _FIELD.TYPE_BYTES),
)


def _payload_class() -> Any:
    """The class of ``Payload``, from a descriptor of our own."""
    file = descriptor_pb2.FileDescriptorProto(name="tickover_sparkplug_b.proto", package="tickover", syntax="proto2")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    optional, repeated = _FIELD.LABEL_OPTIONAL, _FIELD.LABEL_REPEATED
    for name, number, kind in _METRIC_FIELDS:
        metric.field.add(name=name, number=number, type=kind, label=optional)
    for name, number, kind in _VALUE_FIELDS:
        metric.field.add(name=name, number=number, type=kind, label=optional, oneof_index=0)
    payload.field.add(name="timestamp", number=1, type=_FIELD.TYPE_UINT64, label=optional)
    payload.field.add(
        name="metrics", number=2, type=_FIELD.TYPE_MESSAGE, label=repeated, type_name=".tickover.Payload.Metric"
    )
    payload.field.add(name="seq", number=3, type=_FIELD.TYPE_UINT64, label=optional)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tickover.Payload"))


Payload: Final = _payload_class()
"""The Sparkplug B message, as far as numbers need it."""


class Known(msgspec.Struct, array_like=True, frozen=True):
    """What a birth said of one metric."""

    name: str
    datatype: int


class SparkplugB:
    """Births teach aliases and datatypes; a metric becomes a row at its own time (payload's time when it has none).

    The topic's ``{kind}`` says NBIRTH, DBIRTH, NDATA, DDATA; other kinds carry no readings. Metrics under an alias
    that no birth has named are counted ``unknown_alias``, a hole in a node's sequence numbers ``sequence_gap``. Who
    must be asked for its births again is in ``wanted``, by the topic of the node's commands, when the fields hold the
    message's own ``topic``. Fields with ``beside`` are of a message that is only numbered with the others.
    """

    def __init__(self, spec: Input, columns: Mapping[str, int]) -> None:
        self._spec = spec
        self._width = len(columns)
        self._columns = {name: column for name, column in columns.items() if name not in spec.signals.values()}
        self._columns.update({name: columns[ours] for name, ours in spec.signals.items() if ours in columns})
        self._births: dict[str, dict[int, Known]] = {}
        self._kind_level = spec.topic.split("/").index("{kind}")
        self._next: dict[str, int] = {}
        self.wanted: set[str] = set()

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """Rows of one message, one per distinct time."""
        kind, beside, node = fields["kind"], BESIDE in fields, self._commands(fields)
        if kind == "NDEATH":
            self._next.pop(node, None)
        if kind not in BIRTHS | DATA | DEATHS:
            counts["other_kind"] += not beside
            return []
        vehicle = "" if beside else vehicle_name(fields["vehicle"])
        message = _parse(payload)
        if len(message.metrics) > MAX_METRICS:
            raise PayloadError("too_many_rows")
        if node and self._has_gap(node, kind, message) and not beside:
            counts["sequence_gap"] += 1
        if beside or kind in DEATHS:
            return []
        source = f"{fields.get('group', '')}/{vehicle}/{fields.get('device', '')}"
        if kind in BIRTHS:
            self._learn(source, message)
        unknown = counts["unknown_alias"]
        rows = self._rows(vehicle, self._births.get(source, {}), message, counts)
        if node and counts["unknown_alias"] > unknown:
            self._want(node)
        return rows

    def _want(self, node: str) -> None:
        if len(self.wanted) < MAX_SOURCES:
            self.wanted.add(node)

    def _commands(self, fields: Mapping[str, str]) -> str:
        """The topic of the node's commands: the message's, up to the node's level, with NCMD as its kind."""
        topic = fields.get(TOPIC, "") if self._spec.rebirth_s else ""
        levels = topic.split("/")[: self._kind_level + 2]
        if len(levels) < self._kind_level + 2:
            return ""
        levels[self._kind_level] = "NCMD"
        return "/".join(levels)

    def _has_gap(self, node: str, kind: str, message: Any) -> bool:
        """Follow a node's sequence numbers, which its devices share; a repeated number is a repeated message.

        A node that is met in the middle (its birth came before our start) is asked too: its aliases may be new.
        """
        if kind == "NBIRTH":
            self.wanted.discard(node)
        if not message.HasField("seq") or (node not in self._next and len(self._next) >= MAX_SOURCES):
            return False
        expected = self._next.get(node)
        if kind != "NBIRTH" and expected is not None and message.seq == (expected - 1) % SEQUENCE:
            return False
        self._next[node] = (message.seq + 1) % SEQUENCE
        if kind == "NBIRTH" or expected == message.seq:
            return False
        self._want(node)
        return expected is not None

    def _learn(self, source: str, message: Any) -> None:
        if source not in self._births and len(self._births) >= MAX_SOURCES:
            raise PayloadError("too_many_vehicles")
        known = {m.alias: Known(_name(m), m.datatype) for m in message.metrics if m.HasField("alias") and m.name}
        self._births[source] = known

    def _rows(self, vehicle: str, known: dict[int, Known], message: Any, counts: Counter[str]) -> list[Row]:
        rows: dict[int | None, list[float]] = {}
        for metric in message.metrics:
            column, datatype = self._column(metric, known, counts)
            if column is None:
                continue
            stamp = metric.timestamp if metric.HasField("timestamp") else message.timestamp
            has_time = metric.HasField("timestamp") or message.HasField("timestamp")
            time = event_time(stamp, "ms") if has_time else None
            if time not in rows and len(rows) >= MAX_ROWS:
                raise PayloadError("too_many_rows")
            values = rows.setdefault(time, [math.nan] * self._width)
            values[column] = finite(_value(metric, datatype), counts)
        return [Row(vehicle, time, values) for time, values in rows.items()]

    def _column(self, metric: Any, known: dict[int, Known], counts: Counter[str]) -> tuple[int | None, int]:
        name, datatype = _name(metric), metric.datatype
        if not name:
            birth = known.get(metric.alias)
            if birth is None:
                counts["unknown_alias"] += 1
                return None, 0
            name, datatype = birth.name, datatype or birth.datatype
        column = self._columns.get(name)
        if column is None and name != "bdSeq" and not name.startswith("Node Control/"):
            counts["unknown_signal"] += 1
        return column, datatype

    def state(self) -> bytes:
        """The aliases of all births."""
        return msgspec.msgpack.encode(self._births)

    def restore(self, state: bytes) -> None:
        """Take the aliases back, so that a restart needs no rebirth."""
        try:
            self._births = msgspec.msgpack.decode(state, type=dict[str, dict[int, Known]]) if state else {}
        except msgspec.DecodeError:
            self._births = {}


def rebirth_request(time: int) -> bytes:
    """The body of a node command that asks for all births again; ``time`` in microseconds."""
    message = Payload(timestamp=time // 1000)
    message.metrics.add(name=REBIRTH, timestamp=time // 1000, datatype=BOOLEAN, boolean_value=True)
    body: bytes = message.SerializeToString()
    return body


def _parse(payload: bytes) -> Any:
    if len(payload) > MAX_BYTES:
        raise PayloadError("too_large")
    message = Payload()
    try:
        message.ParseFromString(payload)
    except (DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise PayloadError("bad_protobuf") from None
    return message


def _name(metric: Any) -> str:
    name = metric.name
    if not isinstance(name, str):  # a proto2 string that is not UTF-8 is read as bytes
        raise PayloadError("bad_protobuf")
    return name


def _value(metric: Any, datatype: int) -> object:
    """The metric's value as Python has it: int, float, bool, bytes, or None when null or of another kind."""
    field = metric.WhichOneof("value")
    if field is None or metric.is_null:
        return None
    value: object = getattr(metric, field)
    bits = SIGNED_BITS.get(datatype)
    if bits and isinstance(value, int) and field in ("int_value", "long_value"):
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value
    return value

"""Sparkplug B payloads (Eclipse Sparkplug 3.0, section 6.4): births name the metrics, data carries aliases.

The message is described below with the specification's field numbers; fields that carry no number (metadata,
properties, data sets, templates) are left out, and protobuf skips them.
"""

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from sys import intern
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError

from tickover.core.protobuf import BOOL, BYTES, DOUBLE, FLOAT, STRING, UINT32, UINT64, Field, message_class
from tickover.payloads.base import MAX_BYTES, MAX_ROWS, Decoder, Input, PayloadError, Requests, Row, unless_all
from tickover.payloads.remembered import Remembered
from tickover.payloads.sparkplug_nodes import Nodes, neighbour_topics
from tickover.payloads.values import event_time, number_of, vehicle_name

BIRTHS: Final = frozenset({"NBIRTH", "DBIRTH"})
READ: Final = BIRTHS | {"NDATA", "DDATA"}
"""The kinds of message that carry readings."""
COMPRESSED: Final = b"SPBV1.0_COMPRESSED"
"""The ``uuid`` of a payload whose ``body`` is another one, compressed (Eclipse Tahu)."""
NUMBERED: Final = READ | {"DDEATH"}
NODE_DEATH: Final = "NDEATH"
"""The only kind about a node's data that has no sequence number: the broker sends it as the node's will."""
REBIRTH: Final = "Node Control/Rebirth"
BOOLEAN: Final = 11
"""Sparkplug datatype Boolean."""
BIRTHS_BYTES, BIRTH_BYTES = 16 * 2**20, 2**20
"""Of the aliases of all births, and of one: about 60 metrics of 1,000 devices. The least used are forgotten."""
METRIC_BYTES: Final = 250
"""Of one alias in memory, beside its name."""
MAX_METRICS: Final = 4096
"""The most metrics remembered of one birth."""
SIGNED_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}
"""Sparkplug datatype Int8 … Int64 to its width: sent as two's complement in an unsigned field."""

_MESSAGES: Final = {
    "Metric": (
        Field("name", 1, STRING),
        Field("alias", 2, UINT64),
        Field("timestamp", 3, UINT64),
        Field("datatype", 4, UINT32),
        Field("is_null", 7, BOOL),
        Field("int_value", 10, UINT32, one_of="value"),
        Field("long_value", 11, UINT64, one_of="value"),
        Field("float_value", 12, FLOAT, one_of="value"),
        Field("double_value", 13, DOUBLE, one_of="value"),
        Field("boolean_value", 14, BOOL, one_of="value"),
        Field("string_value", 15, BYTES, one_of="value"),
    ),
    "Payload": (
        Field("timestamp", 1, UINT64),
        Field("metrics", 2, "Metric", repeated=True),
        Field("seq", 3, UINT64),
        Field("uuid", 4, BYTES),
    ),
}
Payload: Final = message_class("tickover.sparkplug_b", _MESSAGES, "Payload")
"""The Sparkplug B message, as far as numbers need it."""


class Known(msgspec.Struct, array_like=True, frozen=True):
    """What a birth said of one metric."""

    name: str
    datatype: int


class SparkplugB(Decoder):
    """Births teach aliases and datatypes; a metric becomes a row at its own time (payload's time when it has none).

    The topic's ``{kind}`` says NBIRTH, DBIRTH, NDATA, DDATA; other kinds carry no readings. Metrics under an alias
    that no birth has named are counted ``unknown_alias``, a hole in a node's sequence numbers ``sequence_gap``; then
    the node is asked for its births again.
    """

    def __init__(self, spec: Input, columns: Mapping[str, int]) -> None:
        super().__init__(spec, columns)
        if spec.rebirth_s:
            self.requests = Requests(spec.rebirth_s, rebirth_request)
            self.neighbours = neighbour_topics(spec.topic)
        self._nodes = Nodes(spec.topic, self.requests)
        self._births: Remembered[dict[int, Known]] = Remembered(BIRTHS_BYTES, BIRTH_BYTES)
        self._state: bytes | None = b""
        """What `state` gives; None when a birth has changed it."""

    @classmethod
    def problem(cls, spec: Input, fields: tuple[str, ...]) -> str | None:
        """The topic must name the kind and the vehicle."""
        expected = "expected a topic like spBv1.0/+/{kind}/{vehicle} or …/{kind}/{vehicle}/{device}"
        return None if {"kind", "vehicle"} <= set(fields) else expected

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """Rows of one message, one per distinct time."""
        kind, node = fields["kind"], self._nodes.of(fields)
        if kind == NODE_DEATH:
            self._nodes.died(node)
        if kind not in NUMBERED:
            counts["other_kind"] += 1
            return []
        vehicle = vehicle_name(fields["vehicle"])
        message = _parse(payload)
        if self._nodes.has_gap(node, kind, _seq(message)):
            counts["sequence_gap"] += 1
        if kind not in READ:
            return []
        source = f"{fields.get('group', '')}/{vehicle}/{fields.get('device', '')}"
        if kind in BIRTHS and (forgotten := self._learn(source, message)):
            counts["births_forgotten"] += forgotten
        unknown = counts["unknown_alias"]
        rows = self._rows(vehicle, self._births.get(source) or {}, message, counts)
        if counts["unknown_alias"] > unknown:
            self._nodes.want(node)
        return rows

    def overhear(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """A message that is only numbered with those that are read."""
        kind, node = fields["kind"], self._nodes.of(fields)
        if kind == NODE_DEATH:
            self._nodes.died(node)
        if kind in NUMBERED:
            self._nodes.has_gap(node, kind, _seq(_parse(payload)))
        return []

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The metrics that carry a name and a number."""
        if fields["kind"] not in READ:
            return []
        named = ((_name(metric), number_of(_value(metric, metric.datatype))[0]) for metric in _parse(payload).metrics)
        return self._renamed(name for name, number in named if name and number == number and not _is_control(name))

    def _learn(self, source: str, message: Any) -> int:
        """Keep a birth's aliases; how many births were forgotten for want of room."""
        # Devices of one make have the same names: each is kept once.
        known = {
            m.alias: Known(intern(_name(m)), m.datatype) for m in message.metrics if m.HasField("alias") and m.name
        }
        self._state = None
        return self._births.put(source, known, _size(source, known))

    def _rows(self, vehicle: str, known: dict[int, Known], message: Any, counts: Counter[str]) -> list[Row]:
        rows: dict[int | None, list[float]] = {}
        refused: list[PayloadError] = []
        for metric in message.metrics:
            name, column, datatype = self._column(metric, known, counts)
            if column is None:
                continue
            try:
                time = _time(metric, message)
            except PayloadError as error:
                refused.append(error)
                self.drops.add(name, error.reason)
                continue
            if time not in rows and len(rows) >= MAX_ROWS:
                raise PayloadError("too_many_rows")
            number, reason = number_of(_value(metric, datatype))
            if reason:
                self._drop(name, reason, counts)
            rows.setdefault(time, [math.nan] * self._width)[column] = number
        return unless_all([Row(vehicle, time, values) for time, values in rows.items()], refused, counts)

    def _column(self, metric: Any, known: dict[int, Known], counts: Counter[str]) -> tuple[str, int | None, int]:
        """The metric's name (the model's when it has one), column and datatype."""
        name, datatype = _name(metric), metric.datatype
        if not name:
            birth = known.get(metric.alias)
            if birth is None:
                counts["unknown_alias"] += 1
                return "", None, 0
            name, datatype = birth.name, datatype or birth.datatype
        column = self._columns.get(name)
        if column is None and not _is_control(name):
            self._drop(name, "unknown_signal", counts)
        return self._renames.get(name, name), column, datatype

    def state(self) -> bytes:
        """The aliases of all births."""
        if self._state is None:
            self._state = msgspec.msgpack.encode(dict(self._births.items()))
        return self._state

    def restore(self, state: bytes) -> None:
        """Take the aliases back, so that a restart needs no rebirth; as many as there is room for.

        A state that grew before there was a bound is left out: its nodes are asked for their births.
        """
        births: dict[str, dict[int, Known]] = {}
        if 0 < len(state) <= BIRTHS_BYTES:
            with suppress(msgspec.DecodeError):
                births = msgspec.msgpack.decode(state, type=dict[str, dict[int, Known]])
        self._births, self._state = Remembered(BIRTHS_BYTES, BIRTH_BYTES), None if births else b""
        for source, known in births.items():
            self._births.put(source, known, _size(source, known))


def _size(source: str, known: dict[int, Known]) -> int:
    """Bytes of memory of a birth, about."""
    return 2 * len(source) + sum(METRIC_BYTES + len(metric.name) for metric in known.values())


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
    if message.uuid == COMPRESSED:
        raise PayloadError("bad_protobuf", "the payload is compressed; switch compression off at the sender")
    if len(message.metrics) > MAX_METRICS:
        raise PayloadError("too_many_rows")
    return message


def _time(metric: Any, message: Any) -> int | None:
    """The metric's own time, or the message's; None when neither has one."""
    for one in (metric, message):
        if one.HasField("timestamp"):
            return event_time(one.timestamp, "ms")
    return None


def _seq(message: Any) -> int | None:
    return message.seq if message.HasField("seq") else None


def _name(metric: Any) -> str:
    name: str | bytes = metric.name  # a proto2 string that is not UTF-8 is read as bytes
    return name if isinstance(name, str) else name.decode("utf-8", "replace")


def _is_control(name: str) -> bool:
    """Whether a metric is of the protocol itself, and no signal."""
    return name == "bdSeq" or name.startswith("Node Control/")


def _value(metric: Any, datatype: int) -> object:
    """The metric's value as Python has it: int, float, bool, bytes; None when null, an empty object for other kinds."""
    field = metric.WhichOneof("value")
    if metric.is_null:
        return None
    if field is None:  # a data set, a template, bytes, a file, or nothing
        return {}
    value: object = getattr(metric, field)
    bits = SIGNED_BITS.get(datatype)
    if bits and isinstance(value, int) and field in ("int_value", "long_value"):
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value
    return value

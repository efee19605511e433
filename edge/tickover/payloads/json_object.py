"""One JSON object of signals, and what all JSON payloads share."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tickover.payloads.base import FORMAT_KEYS, MAX_NAME, MAX_ROWS, Decoder, Input, PayloadError, Row, unless_all
from tickover.payloads.paths import MISSING, Path
from tickover.payloads.plain_object import PlainObject
from tickover.payloads.strict_json import opened, parse_json
from tickover.payloads.topic_template import TopicTemplate
from tickover.payloads.values import (
    FLOAT32_MAX,
    NO_NUMBER,
    elements,
    event_time,
    in_unit,
    number_of,
    only_member,
    vehicle_name,
    with_point,
    with_unit,
)

MAX_INNER: Final = 4096
"""The most values in nested objects and lists of one message."""
TIME, VALUES = "time", "values"
"""What ``optional`` may name."""
MAX_PREFIXES: Final = 256
"""The most names in a topic's ``{signal}`` whose columns are remembered."""


class JsonDecoder(Decoder):
    """What the JSON formats share: where time, vehicle and signals are in an object.

    Objects in objects are signals too: ``{"engine": {"rpm": 812}}`` names ``engine.rpm``, and a list's members are
    ``cell[0]``, ``cell[1]``. A ``{signal}`` in the topic comes before the names: ``engine.rpm`` of ``…/engine`` with
    ``{"rpm": 812}``, or ``rpm`` alone when only that is known.
    """

    KEYS = frozenset(FORMAT_KEYS) - {"signal", "rows"}
    CONVERTS = True

    def __init__(self, spec: Input, columns: Mapping[str, int], units: Mapping[str, str] | None = None) -> None:
        super().__init__(spec, columns, units)
        self._time_path, self._vehicle_path = _path(spec.time), _path(spec.vehicle_field)
        self._values_path, self._name_path, self._value_path = _path(spec.values), _path(spec.name), Path(spec.value)
        self._about = _about(spec)
        self._optional = frozenset(spec.optional)
        self._comma = spec.decimal == ","
        self._lists = _lists(self._columns)
        self._is_prefixed = "signal" in TopicTemplate(spec.topic).fields
        self._expressions = [(path, ours) for name, ours in spec.signals.items() if (path := Path(name)).is_expression]
        self._by_prefix: dict[str, dict[str, int]] = {"": self._columns}
        self._inner_left = MAX_INNER

    def _parsed(self, payload: bytes) -> Any:
        """The payload's value; the budget of nested values begins anew."""
        self._inner_left = MAX_INNER
        return parse_json(payload)

    def _count_inner(self) -> None:
        """Count one nested value: names are made for each, so that many cost more than their bytes."""
        self._inner_left -= 1
        if self._inner_left < 0:
            raise PayloadError("too_many_values", f"more than {MAX_INNER} values in nested objects and lists")

    # ---- rows

    def _rows(self, fields: Mapping[str, str], item: object, whole: object, counts: Counter[str]) -> list[Row]:
        """The rows of one object; what it does not hold is looked for in the ``whole`` payload."""
        if not isinstance(item, dict):
            raise PayloadError("not_an_object", f"got {_kind(item)}")
        signals = self._signals(item)
        if self._name_path is not None:
            if signals is MISSING:
                raise PayloadError("no_signals", f"nothing at {self._spec.values!r}")
            return self._pairs(fields, signals if type(signals) is list else [signals], (item, whole), counts)
        vehicle, time = self._vehicle(fields, item, whole), self._time(item, whole)
        if type(signals) is not dict:
            got = f"nothing at {self._spec.values!r}" if signals is MISSING else f"got {_kind(signals)}"
            raise PayloadError("no_signals", got)
        return [Row(vehicle, time, self._values(fields, signals, counts))]

    def _signals(self, item: object) -> Any:
        """What stands at ``values``, or the item itself; an object in a text is read."""
        if self._values_path is None:
            return item
        signals = self._values_path.find(item)
        if type(signals) is str:
            return opened(signals)
        return item if signals is MISSING and VALUES in self._optional else signals

    def _vehicle(self, fields: Mapping[str, str], *items: object) -> str:
        if self._vehicle_path is not None and any(type(item) is dict for item in items):
            name = _first(self._vehicle_path, items)
            if name is MISSING:
                raise PayloadError("bad_vehicle", f"nothing at {self._spec.vehicle_field!r}")
            return vehicle_name(name if isinstance(name, str | int) else None)
        return vehicle_name(fields.get("vehicle", self._spec.vehicle))

    def _time(self, *items: object) -> int | None:
        if self._time_path is None:
            return None
        item = items[0]
        value = item.get(self._time_path.text, MISSING) if type(item) is dict else MISSING
        if value is MISSING and (value := _first(self._time_path, items)) is MISSING:
            if TIME in self._optional:
                return None
            raise PayloadError("bad_time", f"nothing at {self._spec.time!r}")
        if value is None and TIME in self._optional:
            return None
        return event_time(value, self._spec.time_unit)

    # ---- values by key

    def _values(self, fields: Mapping[str, str], signals: dict[str, Any], counts: Counter[str]) -> list[float]:
        values = [math.nan] * self._width
        columns, known = self._columns_of(fields) if self._is_prefixed else self._columns, False
        for name, value in signals.items():
            column = columns.get(name)
            # The common case, a plain float, is decided here: this loop runs for every value of every message.
            if column is not None and type(value) is float and -FLOAT32_MAX <= value <= FLOAT32_MAX:
                values[column] = value
                known = True
            elif column is not None and type(value) is not dict:
                values[column] = self._number(name, column, value, counts)
                known = True
            elif name not in self._about:
                known |= self._inner(name, value, columns, values, counts)
        if self._expressions:
            known |= self._found(signals, values, counts)
        if not known:
            raise PayloadError("no_signals")
        return values

    def _inner(
        self, name: str, value: object, columns: Mapping[str, int], values: list[float], counts: Counter[str]
    ) -> bool:
        """A name without a column of its own: its value may be an object, or a list, of signals. True: one is known."""
        known = False
        for inner, leaf in self._split(_leaves(name, value, self._spec.value, columns)):
            self._count_inner()
            column = columns.get(inner)
            if column is not None:
                values[column] = self._number(inner, column, leaf, counts)
                known = True
            elif inner not in self._about:
                self._drop(inner, "unknown_signal", counts)
        return known

    def _split(self, leaves: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """The same with the numbers of a text like ``220,221`` one by one, where a signal is one of them."""
        for name, leaf in leaves:
            if type(leaf) is str and name in self._lists and (parts := elements(leaf)):
                yield from ((f"{name}[{place}]", part) for place, part in enumerate(parts))
            else:
                yield name, leaf

    def _found(self, signals: object, values: list[float], counts: Counter[str]) -> bool:
        """The signals that ``signals`` of the configuration finds by an expression."""
        known = False
        for path, _ in self._expressions:
            column = self._columns.get(path.text)
            value = path.find(signals) if column is not None else MISSING
            if column is not None and value is not MISSING:
                values[column] = self._number(path.text, column, value, counts)
                known = True
        return known

    def _number(self, name: str, column: int, value: object, counts: Counter[str]) -> float:
        if self._comma and type(value) is str:
            value = with_point(value)
        number, reason = number_of(value)
        if column in self._units and number == number:
            number, reason = in_unit(value, number, self._units[column])
        if reason:
            self._drop(self._renames.get(name, name), reason, counts)
        return number

    def _columns_of(self, fields: Mapping[str, str]) -> Mapping[str, int]:
        """Names to columns, for the topic's ``{signal}``."""
        prefix = fields.get("signal", "") if self._is_prefixed else ""
        columns = self._by_prefix.get(prefix)
        if columns is None:
            inner = {
                name[len(prefix) + 1 :]: column
                for name, column in self._columns.items()
                if name.startswith(f"{prefix}.")
            }
            columns = self._columns | inner
            if len(self._by_prefix) < MAX_PREFIXES:
                self._by_prefix[prefix] = columns
        return columns

    # ---- values by a key that names them

    def _pairs(
        self, fields: Mapping[str, str], pairs: list[Any], around: tuple[object, ...], counts: Counter[str]
    ) -> list[Row]:
        """Rows of objects that hold one signal each: those of one vehicle and time are one row."""
        assert self._name_path is not None
        if len(pairs) > MAX_ROWS:
            raise PayloadError("too_many_rows")
        rows: dict[tuple[str, int | None], Row] = {}
        full: list[Row] = []
        refused: list[PayloadError] = []
        columns = self._columns_of(fields)
        for pair in pairs:
            try:
                self._take_pair(fields, pair, around, columns, rows, full, counts)
            except PayloadError as error:
                refused.append(error)
        found = [*full, *rows.values()]
        return unless_all(found, refused, counts)

    def _take_pair(
        self,
        fields: Mapping[str, str],
        pair: object,
        around: tuple[object, ...],
        columns: Mapping[str, int],
        rows: dict[tuple[str, int | None], Row],
        full: list[Row],
        counts: Counter[str],
    ) -> None:
        name, value = self._pair(pair)
        column = columns.get(name)
        if column is None and type(value) is not dict:
            self.drops.add(name, "unknown_signal")
            raise PayloadError("unknown_signal", f"got {name[:MAX_NAME]!r}")
        key = self._vehicle(fields, pair, *around), self._time(pair, *around)
        if column is None or (type(value) is dict and len(value) > 1):
            full.append(Row(*key, self._inside(name, value, columns, counts)))
            return
        row = rows.setdefault(key, Row(*key, [math.nan] * self._width))
        if not math.isnan(row.values[column]):  # two values at one time are no repeat: the next stage compares them
            full.append(row)
            row = rows[key] = Row(*key, [math.nan] * self._width)
        row.values[column] = self._number(name, column, value, counts)

    def _inside(
        self, name: str, value: dict[str, Any], columns: Mapping[str, int], counts: Counter[str]
    ) -> list[float]:
        """The signals of an object where one value is usual, behind the pair's name or without it."""
        values = [math.nan] * self._width
        behind = {inner: columns[f"{name}.{inner}"] for inner in value if f"{name}.{inner}" in columns}
        if not self._inner("", value, {**columns, **behind}, values, counts):
            raise PayloadError("no_signals")
        return values

    def _pair(self, pair: object) -> tuple[str, Any]:
        assert self._name_path is not None
        if type(pair) is not dict:
            raise PayloadError("not_an_object", f"got {_kind(pair)}")
        name, value = self._name_path.find(pair), with_unit(self._value_path.find(pair), pair)
        if type(name) is int:
            name = str(name)
        if type(value) is dict and type(name) is not str:
            name = ""
        if type(name) is not str or not (name or type(value) is dict):
            raise PayloadError("no_name", f"nothing at {self._spec.name!r}")
        if value is MISSING:
            raise PayloadError("no_value", f"nothing at {self._spec.value!r}")
        known = name in self._columns or name in self._renames
        return name if known else name.replace("/", "."), value

    # ---- names

    def _names(self, fields: Mapping[str, str], items: Iterable[object]) -> list[str]:
        """What in these objects reads as a number, by name; what is no object names nothing."""
        prefix, names = fields.get("signal", "") if self._is_prefixed else "", dict[str, None]()
        for item in items:
            signals = self._signals(item)
            if self._name_path is not None:
                names.update(dict.fromkeys(self._named(signals if type(signals) is list else [signals])))
            elif type(signals) is dict:
                for name, leaf in _leaves("", signals, self._spec.value, self._renames):
                    self._count_inner()
                    if _is_number(leaf) and name.split(".")[0] not in self._about and name not in self._about:
                        names[f"{prefix}.{name}" if prefix and name not in self._renames else name] = None
                found = (path.text for path, _ in self._expressions if _is_number(path.find(signals)))
                names.update(dict.fromkeys(found))
        return self._renamed(names)

    def _named(self, pairs: list[Any]) -> Iterator[str]:
        for pair in pairs:
            try:
                name, value = self._pair(pair)
            except PayloadError:
                continue
            if type(value) is dict and (not name or only_member(value) is None):
                for inner, leaf in _leaves("", value, self._spec.value, self._renames):
                    self._count_inner()
                    if _is_number(leaf):
                        yield f"{name}.{inner}" if name and inner not in self._renames else inner
            elif _is_number(value) and len(name) <= MAX_NAME:
                yield name


class JsonObject(JsonDecoder):
    """``{"time": 1500000000.0, "engine_speed": 812, "coolant": 88.5}``."""

    def __init__(self, spec: Input, columns: Mapping[str, int], units: Mapping[str, str] | None = None) -> None:
        super().__init__(spec, columns, units)
        elsewhere = spec.values or spec.name or spec.vehicle_field or self._expressions or self._is_prefixed
        fits = not elsewhere and not self._lists and PlainObject.fits(self._columns, spec.time)
        self._plain = PlainObject(self._columns, spec.time) if fits else None

    def decode(self, fields: Mapping[str, str], payload: bytes, counts: Counter[str]) -> list[Row]:
        """One row; several when ``name`` is set and the signals have times of their own."""
        if self._plain is not None and (plain := self._plain.read(payload)) is not None:
            vehicle = self._vehicle(fields)
            time = None if self._time_path is None else event_time(plain.time, self._spec.time_unit)
            for name in plain.strangers:
                self._drop(name, "unknown_signal", counts)
            return [Row(vehicle, time, plain.values)]
        item = self._parsed(payload)
        if self._plain is not None and type(item) is dict:
            self._plain.learn(item)
        return self._rows(fields, item, item, counts)

    def names(self, fields: Mapping[str, str], payload: bytes) -> list[str]:
        """The object's keys with a number."""
        return self._names(fields, [self._parsed(payload)])


def _leaves(name: str, value: Any, number: str, known: Mapping[str, object]) -> Iterator[tuple[str, Any]]:
    """Every value under ``value`` that is no object and no list, with its path, in the payload's order.

    An object of a known name that holds a ``number`` is that number: ``{"rpm": {"value": 812, "unit": "1/min"}}``.
    """
    stack = [(name, value)]
    while stack:
        name, value = stack.pop()
        # A path grows by each level's key: without a bound, long keys would be copied once for every leaf.
        if len(name) > MAX_NAME or type(value) not in (dict, list):
            yield name, value
        elif type(value) is list:
            stack += [(f"{name}[{place}]", value[place]) for place in range(len(value) - 1, -1, -1)]
        elif name in known and number in value:
            yield name, with_unit(value[number], value)
        elif name in known and only_member(value) is not None and f"{name}.{next(iter(value))}" not in known:
            yield name, value
        else:
            stack += [(f"{name}.{key}" if name else key, value[key]) for key in reversed(value)]


def _lists(names: Iterable[str]) -> frozenset[str]:
    """The lists of which some of these name an element: ``tyre`` of ``tyre[0]``, also as seen behind a prefix."""
    lists = {name.rpartition("[")[0] for name in names if name.endswith("]")} - {""}
    return frozenset(name.split(".", cut)[-1] for name in lists for cut in range(name.count(".") + 1))


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _about(spec: Input) -> frozenset[str]:
    """The keys among the signals that are about them: the time and the vehicle, as seen from there."""
    keys = [key for key in (spec.time, spec.vehicle_field) if key]
    inner = [key.removeprefix(f"{spec.values}.") for key in keys] if spec.values else []
    return frozenset(keys + inner)


def _first(path: Path, items: Iterable[object]) -> Any:
    """What stands at the path in the first item that has it, or MISSING."""
    for item in items:
        found = path.find(item)
        if found is not MISSING:
            return found
    return MISSING


def _is_number(value: object) -> bool:
    number, reason = number_of(value)
    return number == number or (reason != "" and reason != NO_NUMBER)


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")

"""Where the rows are in a JSON value, and what stands for one value in a row.

Exports nest their rows (``{"status": "ok", "result": {"data": [...]}}``), turn them by column (``{"time": [...], "rpm":
[...]}``), or name the columns once (``{"columns": [...], "data": [[...], ...]}``, as pandas and InfluxDB do).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

Table = Mapping[str, Any]

DEEPEST: Final = 6
LEAST_COLUMN: Final = 2
"""A list of so many values may be a column."""
NAME_KEYS: Final = ("name", "signal", "id", "key", "n", "param", "parameter", "field", "metric", "sensor", "pid")
VALUE_KEYS: Final = ("value", "val", "v", "reading")
UNIT_KEYS: Final = ("unit", "units", "uom")
BESIDE_VALUE: Final = frozenset(("quality", "q", "status", "timestamp", "ts", "t", "time", "type", *UNIT_KEYS))
"""What may stand beside a value in an object that is one reading."""
EXTENDED: Final = ("$date", "$numberLong", "$numberDouble", "$numberInt", "$numberDecimal", "$oid", "$timestamp")
"""MongoDB's extended JSON: objects of one key that are one value."""
_NANOS: Final = ("nanos", "nanoseconds", "nsec", "nanosec")
_SECONDS: Final = ("seconds", "sec", "secs")


def rows_in(value: Any, depth: int = DEEPEST) -> list[Any] | None:
    """The rows of a whole JSON value, as objects; None when there are none."""
    if isinstance(value, list):
        return _rows_of_list(value, depth)
    if not isinstance(value, dict) or not depth:
        return None
    named = _named_once(value)
    if named is not None:
        return named
    columns = _columns(value)
    if columns is not None:
        return columns
    found = [rows for inner in value.values() if (rows := rows_in(inner, depth - 1))]
    return max(found, key=len) if found else None


def named_rows(rows: Iterator[Any]) -> Iterator[Any]:
    """Rows that are arrays, under the names in the first of them; others as they are."""
    first = next(rows, None)
    if isinstance(first, list) and first and all(isinstance(name, str) for name in first):
        for row in rows:
            yield dict(zip(first, row, strict=False)) if isinstance(row, list) else row
    elif first is not None:
        yield from chain([first], rows)


def plain(value: Any) -> Any:
    """An object that stands for one value, as that value; anything else as it is."""
    if not isinstance(value, dict) or not value:
        return value
    if len(value) == 1:
        (key, inner), *_ = value.items()
        if key in EXTENDED:
            return plain(inner)
    seconds = next((value[key] for key in _SECONDS if key in value), None)
    nanos = next((value[key] for key in _NANOS if key in value), None)
    if len(value) == 2 and isinstance(seconds, int | float) and isinstance(nanos, int):
        return seconds + nanos / 1e9
    return value


def reading_of(value: Table) -> tuple[Any, str] | None:
    """The value and unit of an object such as ``{"value": 88.5, "unit": "°C"}``; None for other objects."""
    key = next((key for key in VALUE_KEYS if key in value), None)
    if key is None or not BESIDE_VALUE.issuperset(value.keys() - {key}):
        return None
    if isinstance(value[key], dict | list):
        return None
    unit = next((value[key] for key in UNIT_KEYS if isinstance(value.get(key), str)), "")
    return value[key], unit


def named_values(items: Sequence[Any]) -> dict[str, Any] | None:
    """The values of a list such as ``[{"name": "rpm", "value": 1400}, …]`` by name; None for other lists."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    name = next((key for key in NAME_KEYS if key in items[0]), None)
    value = next((key for key in VALUE_KEYS if key in items[0]), None)
    if name is None or value is None:
        return None
    return {str(item[name]): item.get(value) for item in items if isinstance(item.get(name), str | int)}


def _rows_of_list(value: list[Any], depth: int) -> list[Any] | None:
    if not value or not depth:
        return None
    if isinstance(value[0], dict):
        inner = [rows for item in value if (rows := _named_once(item)) is not None] if len(value) < DEEPEST**3 else []
        if inner:
            return list(chain.from_iterable(inner))
        deeper = rows_in(value[0], depth - 1) if len(value) == 1 else None
        return deeper if deeper and len(deeper) > 1 else value
    if isinstance(value[0], list):
        named = list(named_rows(iter(value)))
        return named if named and isinstance(named[0], dict) else None
    return None


def _named_once(value: Any) -> list[Any] | None:
    """Rows of an object that names its columns once; its tags are columns of one value."""
    if not isinstance(value, dict):
        return None
    columns = value.get("columns")
    rows = next((value[key] for key in ("data", "values", "rows") if isinstance(value.get(key), list)), None)
    if not isinstance(columns, list) or rows is None or not all(isinstance(row, list) for row in rows):
        return None
    names = [str(column.get("name", "")) if isinstance(column, dict) else str(column) for column in columns]
    tags: dict[str, Any] = value["tags"] if isinstance(value.get("tags"), dict) else {}
    return [{**tags, **dict(zip(names, row, strict=False))} for row in rows] if rows else None


def _columns(value: Table) -> list[Any] | None:
    """Rows of an object that holds a list for each column, or an object of row numbers."""
    lists = {key: inner for key, inner in value.items() if isinstance(inner, list)}
    if len(lists) >= LEAST_COLUMN:
        lengths = {len(inner) for inner in lists.values()}
        scalars = all(not isinstance(inner[0], dict | list) for inner in lists.values() if inner)
        if len(lengths) == 1 and lengths.pop() >= LEAST_COLUMN and scalars:
            return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    tables = [inner for inner in value.values() if isinstance(inner, dict)]
    if len(tables) < LEAST_COLUMN or len(tables) != len(value) or len(tables[0]) < LEAST_COLUMN:
        return None
    rows = list(tables[0])
    if not all(row.isdigit() for row in rows) or any(list(inner) != rows for inner in tables):
        return None
    return [{key: inner[row] for key, inner in value.items()} for row in rows]

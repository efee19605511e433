"""Columns of Parquet that hold names with values: maps, and lists of pairs. Each name is made a column of its own."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from tickover.logs.formats.base import MAX_COLUMNS

KEYS: Final = frozenset(("key", "name", "signal"))
VALUE: Final = "value"


def is_map(kind: Any) -> bool:
    """Whether a type is a map, or a list of pairs of a name and a value."""
    if pa.types.is_map(kind):
        return _is_text(kind.key_type)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
        return False
    fields = [kind.value_type.field(place) for place in range(kind.value_type.num_fields)]
    return len(fields) == 2 and fields[0].name in KEYS and fields[1].name == VALUE and _is_text(fields[0].type)


def holds_map(kind: Any) -> bool:
    """Whether a type is a map, or an object with one in it."""
    if pa.types.is_struct(kind):
        return any(holds_map(kind.field(place).type) for place in range(kind.num_fields))
    return is_map(kind)


def spread(table: Any) -> Any:
    """The table with each map as columns ``map.key``; of the keys of a batch the first ``MAX_COLUMNS`` and one more."""
    if not any(is_map(field.type) for field in table.schema):
        return table
    found: dict[str, Any] = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if is_map(field.type):
            found |= {f"{field.name}.{key}": part for key, part in _columns(column.combine_chunks()).items()}
        else:
            found[field.name] = column
    return pa.table(found)


def _columns(maps: Any) -> dict[str, Any]:
    """The values of each key, a row a map; null where a map has no such key, the last where it has it twice."""
    maps = maps.combine_chunks() if isinstance(maps, pa.ChunkedArray) else maps
    if not len(maps):
        return {}
    if pa.types.is_map(maps.type):
        keys, values = maps.keys, maps.items
    else:
        keys, values = maps.values.field(0), maps.values.field(1)
    offsets = maps.offsets.to_numpy()
    place = np.arange(offsets[0], offsets[-1])
    row = np.repeat(np.arange(len(maps)), np.diff(offsets))
    codes = keys.dictionary_encode() if not pa.types.is_dictionary(keys.type) else keys
    code = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)[place]
    found = {}
    for number, name in enumerate(codes.dictionary.to_pylist()[: MAX_COLUMNS + 1]):
        mine = code == number
        index = np.full(len(maps), -1, np.int64)
        index[row[mine]] = place[mine]
        found[str(name)] = values.take(pa.array(index, mask=index < 0))
    return found


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))

"""The header of a log against its mapping: which column holds what, and what kind of time it is."""

from collections.abc import Mapping as Table
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tickover.errors import LogError
from tickover.logs.formats import times
from tickover.logs.formats.base import Head
from tickover.logs.mapping import Mapping, TimeColumn, TimeKind

SHOWN_COLUMNS: Final = 40
SHOWN_CHARACTERS: Final = 60

Key = int | str


class Keys(NamedTuple):
    """Where a row holds what: positions (CSV) or names (JSON Lines). ``signals`` is empty for long rows."""

    time: Key | None
    vehicle: Key | None
    signals: tuple[Key, ...]
    signal: Key | None
    value: Key | None


def clean_column(text: str) -> str:
    """A column's name without spaces around it, and with UTF-8 that was read as Windows-1252 put right (``Â°``)."""
    text = text.strip()
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


def settle(mapping: Mapping, head: Head, name: str) -> Mapping:
    """Check the header against the mapping and settle the time column and its kind; LogError names the columns.

    For a format with times of its own, the mapping's ``time`` is of no account: one mapping fits logs of both sorts.
    """
    columns = [clean_column(column) for column in head.columns]
    time = TimeColumn(kind=head.own_time) if head.own_time else mapping.time
    if not head.own_time and time.kind != "rate":
        column = clean_column(time.column) or _time_column(columns, mapping, name)
        time = msgspec.structs.replace(time, column=column)
    wanted = [*([time.column] if time.column else []), *_wanted(mapping)]
    where = name if head.own_time else f"{name}:1"
    any_of: Sequence[str] = mapping.columns if head.sparse and mapping.log.layout == "wide" else ()
    if head.qualifier:
        wanted, any_of = ([_plain(column, head.qualifier) for column in given] for given in (wanted, any_of))
    _check_columns(list(dict.fromkeys(wanted)), columns, where, any_of)
    if time.kind == "auto":
        kind = _time_kind([row[columns.index(time.column)] for row in head.samples], time.column, name)
        time = msgspec.structs.replace(time, kind=kind)
    return msgspec.structs.replace(mapping, time=time)


def _plain(column: str, qualifier: str) -> str:
    """A mapped column without what follows its qualifier."""
    name, mark, _ = column.rpartition(qualifier)
    return name if mark else column


def keys_of(mapping: Mapping, columns: Sequence[str]) -> Keys:
    """Positions of the mapped columns in a settled header."""
    position = {clean_column(column): index for index, column in reversed(list(enumerate(columns)))}
    return _keys(mapping, position)


def names_of(mapping: Mapping) -> Keys:
    """The mapped columns by name, for rows that carry their own names."""
    wanted = [mapping.time.column, *_wanted(mapping)]
    return _keys(mapping, {clean_column(column): column for column in wanted})


def shown(cell: object) -> str:
    """A cell for a message: quoted, printable, short."""
    text = ascii(cell) if not isinstance(cell, str) or not cell.isprintable() else repr(cell)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def listed(columns: Sequence[str]) -> str:
    """Column names for a message."""
    names = [shown(column).strip("'") for column in columns[:SHOWN_COLUMNS]]
    more = len(columns) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _wanted(mapping: Mapping) -> list[str]:
    """The columns that a log must have besides its time."""
    log = mapping.log
    vehicle = [log.vehicle_column] if log.vehicle_column else []
    return vehicle + ([log.signal_column, log.value_column] if log.layout == "long" else list(mapping.columns))


def _keys(mapping: Mapping, key: Table[str, Key]) -> Keys:
    log, long = mapping.log, mapping.log.layout == "long"
    return Keys(
        time=key[clean_column(mapping.time.column)] if mapping.time.kind != "rate" else None,
        vehicle=key[clean_column(log.vehicle_column)] if log.vehicle_column else None,
        signals=() if long else tuple(key[clean_column(column)] for column in mapping.columns),
        signal=key[clean_column(log.signal_column)] if long else None,
        value=key[clean_column(log.value_column)] if long else None,
    )


def _time_column(columns: Sequence[str], mapping: Mapping, name: str) -> str:
    """The column with a name of the time."""
    taken = {clean_column(column) for column in _wanted(mapping)}
    found = times.called_time([column for column in columns if column not in taken])
    if found:
        return found[0]
    raise LogError(
        f"{name}:1: expected a time column named one of {', '.join(times.TIME_NAMES)}, or given as the mapping's "
        f"time.column, got {listed(columns)}"
    )


def _time_kind(cells: Sequence[str], column: str, name: str) -> TimeKind:
    """The kind of time that most of the first cells hold; a log without rows has none to tell."""
    kind = times.kind_of(cells, column)
    if kind:
        return kind
    if cells:
        expected = "ISO, epoch, time of day or seconds"
        raise LogError(f"{name}:2: column '{column}': expected a time ({expected}), got {shown(cells[0])}")
    return "iso"


def _check_columns(wanted: Sequence[str], columns: Sequence[str], where: str, any_of: Sequence[str]) -> None:
    """Every wanted column exactly once; of those in ``any_of``, one is enough."""
    wanted = [clean_column(column) for column in wanted]
    missing = [column for column in wanted if column not in columns]
    twice = [column for column in wanted if columns.count(column) > 1]
    optional = {clean_column(column) for column in any_of}
    if optional.intersection(columns):
        missing = [column for column in missing if column not in optional]
    if missing or twice:
        found = [column for column in wanted if column not in missing]
        problem = f"twice: {listed(twice)}" if twice else _lacking(missing, found)
        raise LogError(f"{where}: expected columns {listed(wanted)}; {problem}; got {listed(columns)}")


def _lacking(missing: Sequence[str], found: Sequence[str]) -> str:
    """The columns that are missing, or those that were found when they are fewer."""
    if len(missing) <= len(found):
        return f"missing: {listed(missing)}"
    return f"found only: {listed(found)}" if found else "found: none of them"

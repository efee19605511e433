"""The header of a log against its mapping: which column holds what, and what kind of time it is."""

import difflib
import re
from collections import Counter
from collections.abc import Mapping as Table
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tickover.errors import LogError
from tickover.logs import dates
from tickover.logs.formats import times
from tickover.logs.formats.base import Head, shown
from tickover.logs.formats.cells import MISSING
from tickover.logs.mapping import Mapping, TimeColumn, TimeKind

SHOWN_COLUMNS: Final = 40
SHOWN_MATCHES: Final = 8
MATCHED_COLUMNS: Final = 200

Key = int | str


class Keys(NamedTuple):
    """Where a row holds what: positions (CSV) or names (JSON Lines). ``signals`` is empty for long rows."""

    time: Key | None
    date: Key | None
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
    there = set(columns)
    time = TimeColumn(kind=head.own_time) if head.own_time else mapping.time
    if mapping.log.zone and not time.zone:
        time = msgspec.structs.replace(time, zone=mapping.log.zone)
    if mapping.log.by_name and not head.qualifier:
        mapping, time = _by_name(mapping, time, there)
    if not head.own_time and time.kind != "rate":
        column = clean_column(time.column) or _time_column(columns, mapping, name)
        time = msgspec.structs.replace(time, column=column)
    timed = [column for column in (time.column, time.date_column) if column]
    where = name if head.own_time else f"{name}:1"
    any_of: Sequence[str] = mapping.columns if head.sparse and mapping.log.layout == "wide" else ()
    wanted: Sequence[str] = [*timed, *_wanted(mapping)]
    if head.qualifier:
        wanted, any_of = ([_unqualified(column, head.qualifier) for column in given] for given in (wanted, any_of))
    hint = "; name the DBC of this bus with --dbc" if head.qualifier and not mapping.log.dbc else ""
    _check_columns(list(dict.fromkeys(wanted)), columns, where, any_of, hint)
    if time.column and not head.own_time:
        time = _settled_time(time, head, columns, name, again=mapping.log.by_name)
    return msgspec.structs.replace(mapping, time=time)


def _unqualified(column: str, qualifier: str) -> str:
    """A mapped column without what follows its qualifier."""
    name, mark, _ = column.rpartition(qualifier)
    return name if mark else column


def _by_name(mapping: Mapping, time: TimeColumn, there: set[str]) -> tuple[Mapping, TimeColumn]:
    """The mapping of a model for a log of another logger: columns that it lacks are looked for by signal name."""
    signals = {
        name: msgspec.structs.replace(signal, column="", scale=1.0, offset=0.0)
        if clean_column(signal.column or name) not in there and name in there
        else signal
        for name, signal in mapping.signals.items()
    }
    log = mapping.log
    if log.vehicle_column and clean_column(log.vehicle_column) not in there:
        log = msgspec.structs.replace(log, vehicle_column="")
    if log.layout == "long" and clean_column(log.signal_column) not in there:
        log = msgspec.structs.replace(log, layout="wide")
    lost = [column for column in (time.column, time.date_column) if column and clean_column(column) not in there]
    return msgspec.structs.replace(mapping, signals=signals, log=log), TimeColumn(zone=time.zone) if lost else time


def _settled_time(time: TimeColumn, head: Head, columns: Sequence[str], name: str, *, again: bool) -> TimeColumn:
    """The kind of the time column, its order of day and month, and whether its zone is of account."""
    place = columns.index(clean_column(time.column))
    cells = [cell for cell in head.cells(place) if cell.strip().lower() not in MISSING]
    if time.date_column and time.kind in ("auto", "date", "iso"):
        day = columns.index(clean_column(time.date_column))
        pairs = zip(head.cells(day), head.cells(place), strict=True)
        cells = [f"{date} {clock}" for date, clock in pairs if clock.strip() and date.strip()]
    decimal = head.evidence.column(time.column).decimal
    if again and time.kind != "auto" and cells and not _any_stamp(cells, time, decimal):
        time = msgspec.structs.replace(time, kind="auto", format="")
    if time.kind == "auto":
        typed = head.kinds.get(head.columns[place]) if cells else None
        kind = "date" if time.format else typed or _time_kind(cells, time.column, name, decimal)
        time = msgspec.structs.replace(time, kind=kind)
    if time.kind == "date" and not time.format:
        time = msgspec.structs.replace(time, format=_order(cells))
    if time.zone and any(times.has_offset(cell, time.kind, time.format) for cell in cells):
        time = msgspec.structs.replace(time, zone="")
    return time


def _any_stamp(cells: Sequence[str], time: TimeColumn, decimal: str) -> bool:
    return any(times.parse_stamp(cell, time.kind, decimal, time.format) is not None for cell in cells[:SHOWN_COLUMNS])


def _order(cells: Sequence[str]) -> str:
    """The order of day and month where the texts themselves do not show it; empty where they do, or nothing does."""
    if all(dates.parse_date(cell) for cell in cells):
        return ""
    return dates.order_of(cells) or ""


def keys_of(mapping: Mapping, columns: Sequence[str], places: Sequence[int] | None = None) -> Keys:
    """Positions of the mapped columns in a settled header; ``places``: each column's cell, where not its number."""
    position = {
        clean_column(column): place for column, place in zip(columns, places or range(len(columns)), strict=True)
    }
    return _keys(mapping, position)


def names_of(mapping: Mapping) -> Keys:
    """The mapped columns by name, for rows that carry their own names."""
    wanted = [mapping.time.column, mapping.time.date_column, *_wanted(mapping)]
    return _keys(mapping, {clean_column(column): column for column in wanted})


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
        date=key[clean_column(mapping.time.date_column)] if mapping.time.date_column else None,
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
        f"{name}:1: expected a time column named like {', '.join(times.TIME_NAMES[:6])}, got {listed(columns)}; name "
        "it as time.column in a mapping (--time-column), or give the rows' rate as time.rate_hz (--rate-hz)"
    )


def _time_kind(cells: Sequence[str], column: str, name: str, decimal: str) -> TimeKind:
    """The kind of time that most of the first cells hold; a log without rows has none to tell."""
    kind = times.kind_of(cells, column, decimal)
    if kind:
        return kind
    if cells:
        expected = "ISO, epoch, time of day or seconds"
        raise LogError(f"{name}:2: column '{column}': expected a time ({expected}), got {shown(cells[0])}")
    return "iso"


def _check_columns(wanted: Sequence[str], columns: Sequence[str], where: str, any_of: Sequence[str], hint: str) -> None:
    """Every wanted column exactly once; of those in ``any_of``, one is enough."""
    wanted = [clean_column(column) for column in wanted]
    number = Counter(columns)
    missing = [column for column in wanted if column not in number]
    twice = [column for column in wanted if number[column] > 1]
    optional = {clean_column(column) for column in any_of}
    if optional.intersection(columns):
        missing = [column for column in missing if column not in optional]
    if missing or twice:
        lost = set(missing)
        found = [column for column in wanted if column not in lost]
        problem = f"twice: {listed(twice)}" if twice else _lacking(missing, found)
        problem = f"{problem}; got {listed(columns)}{hint or _nearest(missing, columns)}"
        raise LogError(f"{where}: expected columns {listed(wanted)}; {problem}")


def _lacking(missing: Sequence[str], found: Sequence[str]) -> str:
    """The columns that are missing, or those that were found when they are fewer."""
    if len(missing) <= len(found):
        return f"missing: {listed(missing)}"
    return f"found only: {listed(found)}" if found else "found: none of them"


def _nearest(missing: Sequence[str], columns: Sequence[str]) -> str:
    """Which columns of the log are most like those that are missing, and what to do."""
    plain = {_plain(column): column for column in columns[:MATCHED_COLUMNS]}
    pairs = []
    for column in missing[:MATCHED_COLUMNS]:
        near = difflib.get_close_matches(_plain(column), plain, n=1, cutoff=0.5)
        pairs += [f"{column} is perhaps {shown(plain[near[0]])}"] if near else []
    if not missing:
        return ""
    likely = f"; {'; '.join(pairs[:SHOWN_MATCHES])}" if pairs else ""
    return f"{likely}; name the columns in a mapping (`tickover inspect LOG > map.toml`, then --map map.toml)"


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"\s*[\[(].*[\])]", "", column.lower())).strip()

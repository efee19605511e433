"""SenML (RFC 8428) in a recorded log: records whose base fields hold for the records after them, as long rows.

https://www.rfc-editor.org/rfc/rfc8428
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tickover.payloads.senml import (
    BASE_NAME,
    BASE_TIME,
    BASE_UNIT,
    BASE_VALUE,
    NAME,
    OTHERS,
    SEPARATORS,
    TIME,
    UNIT,
    UNITS,
    VALUE,
    time_of,
    value_of,
)

BASES: Final = (BASE_NAME, BASE_TIME, BASE_UNIT, BASE_VALUE)
FIELDS: Final = frozenset((*BASES, NAME, TIME, UNIT, VALUE, *OTHERS, "bver", "bs", "s", "ut", "vd"))

ONLY_BASE: Final = frozenset((*BASES, "bver"))
"""A record of nothing else measures nothing."""


def is_senml(record: Any) -> bool:
    """Whether a first record is SenML that says something of the records after it."""
    return isinstance(record, dict) and FIELDS.issuperset(record) and not record.keys().isdisjoint(BASES)


def resolved(records: Iterable[Any]) -> Iterator[Any]:
    """Each record of a pack with what the base fields before it say: its signal ``n``, time ``t`` in seconds, ``v``."""
    base: dict[str, Any] = {}
    for record in records:
        if not isinstance(record, dict):
            yield record
            continue
        base.update({key: record[key] for key in BASES if key in record})
        if not ONLY_BASE.issuperset(record):
            yield _resolved(record, base)


def _resolved(record: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    device = str(base.get(BASE_NAME, ""))
    found = {
        TIME: time_of(base.get(BASE_TIME, 0), record.get(TIME, 0)),
        NAME: record.get(NAME) or device.rstrip(SEPARATORS),
        VALUE: value_of(record, base.get(BASE_VALUE)),
    }
    unit = record.get(UNIT, base.get(BASE_UNIT))
    if isinstance(unit, str):
        found["unit"] = UNITS.get(unit, unit)
    return found if not device else found | {"device": device.rstrip(SEPARATORS)}

"""The common payload, read in one step: an object of numbers, with its time, without objects inside.

`json_object` reads every object by looking at each key. Here msgspec is told beforehand which keys there are and that
they are numbers, checks them while it parses, and gives the row (in half the time). Whatever is not as plain (text, a
nested object, a time that is missing, JSON that is none) is left to `json_object`, which counts what is wrong with it:
the two give the same rows and the same counts for every payload.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from tickover.payloads.base import MAX_BYTES, MAX_NAME
from tickover.payloads.strict_json import MAX_DEPTH
from tickover.payloads.values import FLOAT32_MAX

MOST_STRANGERS: Final = 64
"""The most names without a column that are learnt."""
MOST_FIELDS: Final = 1024
"""With more columns a payload that has a few of them is read faster key by key."""
LONGEST_REST: Final = 1023
"""The most messages that are left to `json_object` at once after several that were not plain."""
_Number = Annotated[float, msgspec.Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
_Time = int | float | str
_Scalar = float | str | bool | None
_MARKS: Final = re.compile(r"""["\\\x00-\x1f\x7f]""")
"""What msgspec takes in no name of a field."""
_BRACKETS: Final = frozenset("[]{}")


class Plain(NamedTuple):
    """What a payload holds: its time as it stands there, its values by column, names in it that have no column."""

    time: Any
    values: list[float]
    strangers: Sequence[str]


class PlainObject:
    """Reads plain objects whose names are ``columns``; ``time``: the key of the time, None when there is none.

    Names without a column are learnt as they come, a bounded number.
    """

    def __init__(self, columns: Mapping[str, int], time: str | None) -> None:
        self._columns = sorted(columns, key=columns.__getitem__)
        self._time, self._strangers = time, list[str]()
        self._nothing = [math.nan] * len(columns)
        self._missed = False
        """Whether the newest payload was tried and not plain."""
        self._rest = self._skip = 0
        self._decode = self._decoder()

    @staticmethod
    def fits(columns: Mapping[str, int], time: str | None) -> bool:
        """Whether payloads of these names can be read so: one name for each column, and the time has one of its own."""
        places = sorted(columns.values())
        one_each = places == list(range(len(places))) and time not in columns
        names = [*columns] if time is None else [*columns, time]
        return one_each and 0 < len(places) <= MOST_FIELDS and not any(map(_MARKS.search, names))

    def read(self, payload: bytes) -> Plain | None:
        """None: not plain, or nothing in it has a column."""
        self._missed = False
        if self._skip:
            self._skip -= 1
            return None
        if len(payload) > MAX_BYTES:
            return None
        try:
            found = list(astuple(self._decode(payload)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            # Senders whose messages are never plain must not pay for two parsers each time.
            self._rest = self._skip = min(LONGEST_REST, 2 * self._rest + 1)
            self._missed = True
            return None
        self._rest = 0
        time = None
        if self._time is not None:
            time = found.pop()
            if time is None or (type(time) is str and _is_odd(time)):
                return None
        strangers: Sequence[str] = ()
        if self._strangers:
            width = len(self._columns)
            others = found[width:]
            del found[width:]
            if any(map(_is_odd, others)):
                return None
            strangers = [name for name, value in zip(self._strangers, others, strict=True) if value is not UNSET]
        if found == self._nothing:
            return None
        if None in found:
            found = [math.nan if value is None else value for value in found]
        return Plain(time, found, strangers)

    def learn(self, item: Mapping[str, Any]) -> None:
        """The object of a payload that `read` did not take: its names without a column are known from now on."""
        if not self._missed:
            return
        known = {*self._columns, *self._strangers, self._time}
        new = [name for name, value in item.items() if name not in known and _can_be_learnt(name, value)]
        if new and len(self._strangers) + len(new) <= MOST_STRANGERS:
            self._strangers += new
            self._rest = self._skip = 0
            self._decode = self._decoder()

    def _decoder(self) -> Callable[[bytes], Any]:
        """Into a class with a field for each column, each stranger, and the time, in this order."""
        fields: list[tuple[str, Any, Any]] = []
        keys: dict[str, str] = {}

        def add(key: str, kind: Any, default: Any) -> None:
            name = f"f{len(fields)}"
            keys[name] = key
            fields.append((name, kind, default))

        for column in self._columns:
            add(column, _Number | None, math.nan)
        for stranger in self._strangers:
            add(stranger, _Scalar | msgspec.UnsetType, UNSET)
        if self._time is not None:
            add(self._time, _Time | None, None)
        plain = msgspec.defstruct("Plain", fields, rename=keys, forbid_unknown_fields=True, gc=False)
        return msgspec.json.Decoder(plain).decode


def _can_be_learnt(name: str, value: object) -> bool:
    return type(value) not in (dict, list) and len(name) <= MAX_NAME and not _MARKS.search(name)


def _is_odd(value: object) -> bool:
    """A text with many brackets, perhaps: `strict_json` does not tell them from nested objects, and may refuse it."""
    return type(value) is str and len(value) > MAX_DEPTH and not _BRACKETS.isdisjoint(value)

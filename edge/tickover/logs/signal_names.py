"""Names and low ends of proposed signals."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from tickover.logs.formats.header import clean_column
from tickover.logs.profile import SignalStatistics

NOT_NEGATIVE: Final = frozenset(("rpm", "1/min", "km/h", "mph", "kpa", "bar", "g/s", "kg/h", "l/h", "l", "%", "v"))
"""Units, lower case, of what is never negative on a vehicle: the proposed range starts at 0 if no reading is below."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.@\-]{0,127}")
_UNIT: Final = re.compile(r"\s*[\[(]([^\[\]()]{1,32})[\])]\s*$")


def clean_name(column: str, taken: Iterable[str] = ()) -> tuple[str, str]:
    """A signal's name, not in ``taken``, and unit from a column such as ``Engine Coolant Temperature [°C]``."""
    column = clean_column(column)
    unit = _UNIT.search(column)
    name = _UNIT.sub("", column) if unit else column
    if not _NAME.fullmatch(name):
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:100] or "signal"
        name = f"s_{name}" if name[0].isdigit() else name
    taken, unique, number = set(taken), name, 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique, unit.group(1).strip() if unit else ""


def low_end(unit: str, seen: SignalStatistics) -> float:
    """The proposed low end; 0 where the unit allows nothing below and nothing below was seen."""
    return max(0.0, seen.proposed_low) if unit.lower() in NOT_NEGATIVE and seen.low >= 0 else seen.proposed_low

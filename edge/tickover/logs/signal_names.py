"""Names of proposed signals."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from tickover.logs.formats.header import clean_column

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
    # The signals so far are a dict: a copy for each of thousands of columns would cost their square.
    taken = taken if isinstance(taken, dict | set | frozenset) else set(taken)
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique, unit.group(1).strip() if unit else ""

"""Which column of a log names the vehicle: by its name, else by rows that share their times."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tickover.logs.physics import words_of

_NOUN: Final = (
    "vehicle|vehicule|veiculo|vehiculo|voertuig|fahrzeug|fz|kfz|lkw|truck|camion|tractor|trailer|van|bus|car|wagen|fleet|asset|"
    "machine|maschine|equipment|device|tracker|terminal|obu|unit|plate|kennzeichen|registration|reg|immatriculation|"
    "matricula|kenteken|targa|imei|vin"
)
_PART: Final = "id|ids|no|nr|num|number|name|ref|reg|registration|plate|code|key|serial|uid|label|imei|vin|sn"
NAMED: Final = re.compile(rf"(?:(?:fleet|kfz|lkw|license|licence|number|my|host)_)?(?:{_NOUN})(?:_?(?:{_PART}))*")
"""What a column is called that names the vehicle, as `physics.words_of` writes it."""
NO_NAME: Final = re.compile(r"(?:unit|reg|bus|fleet)s?|fz")
"""Of these, what alone is too short to mean one."""
LEAST_SHARED: Final = 0.5
"""A column tells vehicles apart when at least this share of the rows has its time in common with another row."""
FEWEST_ROWS: Final = 8


def is_named(column: str) -> bool:
    """Whether a column is called as one that names the vehicle."""
    words = words_of(column)
    return NAMED.fullmatch(words) is not None and NO_NAME.fullmatch(words) is None


def share_times(times: Sequence[str]) -> bool:
    """Whether many rows have their time in common with another row."""
    shared = sum(count for count in Counter(times).values() if count > 1)
    return len(times) >= FEWEST_ROWS and shared >= LEAST_SHARED * len(times)


def by_times(
    times: Sequence[str],
    names: Mapping[str, Sequence[str]],
    filled: Mapping[str, Sequence[bool]],
    is_candidate: Callable[[str], bool],
) -> str:
    """The column under which no two rows have one time, where without it most share theirs; empty for none.

    ``times``: of each row, as written. ``names``: the cells of the columns that are no numbers. ``filled``: by
    column of numbers, which rows hold one: a column that tells *sources* apart has rows that hold different signals.
    """
    if not share_times(times):
        return ""
    for column, cells in names.items():
        different = set(cells)
        apart = len(set(zip(times, cells, strict=True))) == len(times)
        several = 1 < len(different) <= len(times) // 2 and "" not in different
        if not (apart and several and is_candidate(column)):
            continue
        if len({_held(filled, cells, name) for name in different}) == 1:
            return column
    return ""


def _held(filled: Mapping[str, Sequence[bool]], cells: Sequence[str], name: str) -> frozenset[str]:
    """The signals that the rows of one name hold."""
    mine = [row for row, cell in enumerate(cells) if cell == name]
    return frozenset(signal for signal, there in filled.items() if any(there[row] for row in mine))

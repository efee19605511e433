"""What the text of a cell means: a number, no value, or neither.

The decimal mark and the units in cells are facts of a column, found from the first rows by `evidence.evidence_of`: a
single cell ``1,396`` or ``5 m`` does not tell. What no rule fits is one bad cell.
"""

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover.core.values import DoubleArray

MISSING: Final = frozenset(
    (
        *("", "nan", "na", "n/a", "n.a.", "null", "none", "nil", "undefined", "-", "--", "---", "----", ".", "..", "*"),
        *(
            "?",
            "\\n",
            "#n/a",
            "#na",
            "#n/v",
            "#nv",
            "#div/0!",
            "#value!",
            "#wert!",
            "#ref!",
            "#bezug!",
            "#num!",
            "#zahl!",
        ),
        *("#null!", "#name?", "<na>", "<null>", "(null)", "nodata", "no data", "no_data", "no value", "not available"),
        *("unavailable", "unknown", "missing", "bad", "bad input", "bad data", "error", "err", "invalid", "fault"),
        *(
            "no result",
            "i/o timeout",
            "timeout",
            "nan.0",
            "-nan",
            "-nan(ind)",
            "1.#qnan",
            "-1.#ind",
            "1.#ind",
            "1.#inf",
        ),
        *("not supported", "unsupported", "n/s", "offline", "disconnected", "empty", "void", "blank", "k.a.", "tbd"),
        *(
            "inf",
            "-inf",
            "+inf",
            "infinity",
            "-infinity",
            "∞",
            "-∞",
            "–",
            "—",
            "…",
            "...",
            "***",
            "####",
            "#####",
            "sna",
        ),
        *("comm fail", "over", "overflow", "over range", "under range", "overrange", "ol", "no signal", "no reading"),
        *(
            "nosignal",
            "sensor error",
            "not a number",
            "keine daten",
            "ungültig",
            "fehler",
            "pas de données",
            "sin datos",
        ),
    )
)
"""Cells that hold no reading, in lower case; ``[log] missing`` adds to them."""
SILENT: Final = frozenset(("", "nan"))
"""Those that are not worth counting."""
WORDS: Final = {
    **dict.fromkeys(("true", "on", "yes", "t", "y", "ja", "ein", "an", "wahr", "active", "enabled", "closed"), 1.0),
    **dict.fromkeys(("false", "off", "no", "f", "n", "nein", "aus", "falsch", "inactive", "disabled", "open"), 0.0),
}
"""Words of a switch, in lower case."""

SPACES: Final = "\u00a0\u202f\u2009"
_QUOTED: Final = re.compile(r"=\"([^\"]*)\"")
"""Excel's way to keep a cell as it is: ``="0012"``."""
_FORTRAN: Final = re.compile(r"[+-]?\d+\.?\d*[dD][+-]?\d{1,3}", re.ASCII)
_MINUS: Final = str.maketrans("\u2212\ufe63\uff0d", "---")
"""Minus signs of typesetters."""
_HEX: Final = re.compile(r"0[xX][0-9a-fA-F]{1,13}")
_GROUPS: Final = {
    ".": re.compile(rf"[+-]?\d{{1,3}}(?:([,'’ {SPACES}])\d{{3}})(?:\1\d{{3}})*(?:\.\d+)?", re.ASCII),
    ",": re.compile(rf"[+-]?\d{{1,3}}(?:([.'’ {SPACES}])\d{{3}})(?:\1\d{{3}})*(?:,\d+)?", re.ASCII),
}
"""Digits in groups of three, by decimal mark."""
_MARKS: Final = re.compile(r"[^0-9.,eE+-]")
WITH_UNIT: Final = re.compile(
    rf"([+-]?(?:\d[\d.,'’{SPACES}]*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s.,;:+-][^\d;:]{{0,30}}[23]?|(?<=\s)1/[a-z]+)"
)
"""A number and its unit."""
MEMO: Final = 65_536


def parse_number(text: str) -> float | None:
    """A decimal number; None for anything else. Python's ``1_000`` and other scripts' digits are refused."""
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text.strip())
    except ValueError:
        return None


def number_of(text: str, decimal: str = ".") -> float | None:
    """A number with this decimal mark, perhaps in groups of thousands, or in hexadecimal; None for anything else."""
    plain = parse_number(text) if decimal == "." or ("," not in text and "." not in text) else None
    if plain is not None:
        return plain
    text = text.strip()
    if not text.isascii() and (plain_minus := text.translate(_MINUS)) != text:
        return number_of(plain_minus, decimal)
    if _HEX.fullmatch(text):
        return float(int(text, 16))
    if _FORTRAN.fullmatch(text):
        return parse_number(text.lower().replace("d", "e"))
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        return number_of(quoted[1], decimal)
    if _GROUPS[decimal].fullmatch(text):
        digits = _MARKS.sub("", text)
        return float(digits.replace(",", "") if decimal == "." else digits.replace(".", "").replace(",", "."))
    if decimal == ",":
        # A cell with a point alone that cannot be thousands is a number that was written in another way.
        return parse_number(text.replace(",", ".")) if text.count(",") + text.count(".") <= 1 else None
    return None


def split_unit(text: str) -> tuple[str, str] | None:
    """The number and the unit of a cell such as ``24.84%`` or ``50 km/h``; None when it is no such cell."""
    match = WITH_UNIT.fullmatch(text.strip())
    return (match[1].strip(), match[2].strip()) if match else None


class Column:
    """Reads the cells of one column; remembers what odd texts mean.

    ``decimal``: its decimal mark. ``unit``: the unit that its cells end in, or none. ``missing``: further texts, in
    lower case, that hold no reading. ``words``: whether those of a switch are numbers; in a column of numbers ``off``
    is no reading.
    """

    def __init__(
        self, decimal: str = ".", unit: str = "", missing: frozenset[str] = frozenset(), *, words: bool = True
    ) -> None:
        self.decimal = decimal
        self.unit = unit
        self._words = WORDS if words else {}
        self._missing = MISSING | missing
        self._further = missing
        self._memo: dict[str, float | None] = {}

    def value(self, cell: object) -> float | None:
        """The number in a cell; NaN when it holds no reading, None when it is neither."""
        if cell is None:
            return math.nan
        if isinstance(cell, str):
            return self._remembered(cell)
        if isinstance(cell, bool | int | float):
            try:
                return float(cell)
            except OverflowError:
                return None
        return None

    def numbers(self, cells: Sequence[object]) -> DoubleArray | None:
        """All cells at once when they are plain numbers without anything to count; None otherwise."""
        if self.decimal != "." or self.unit or self._further:
            return None
        try:
            joined = "".join(cells)  # type: ignore[arg-type]
        except TypeError:
            joined = "" if all(type(cell) in (int, float) for cell in cells) else "_"
        if "_" in joined or not joined.isascii():
            return None
        try:
            values = np.array(list(map(float, cells)), np.float64)  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            return None
        return None if np.isinf(values).any() else values

    def _remembered(self, text: str) -> float | None:
        if text not in self._memo:
            if len(self._memo) >= MEMO:
                self._memo.clear()
            self._memo[text] = self._parsed(text)
        return self._memo[text]

    def _parsed(self, text: str) -> float | None:
        plain = text.strip()
        word = plain.lower()
        if word in self._further:
            return math.nan
        number = number_of(plain, self.decimal)
        if number is None and self.unit:
            parts = split_unit(plain)
            number = number_of(parts[0], self.decimal) if parts and parts[1] == self.unit else None
        if number is not None:
            return number if math.isfinite(number) else math.nan
        return math.nan if word in self._missing else self._words.get(word)

"""Whose log a file of an archive is: by a key of its path, a column, its folder, or its name, in this order."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import unquote

from tickover.jobs.backfill.archive_file import DATE, STAMP, YEAR, ArchiveFile
from tickover.logs.formats.header import clean_column
from tickover.logs.packed import PACKED
from tickover.logs.vehicle_column import is_named

Rule = Literal["key", "column", "folder", "name", "given"]
"""How a file's vehicle was told: ``vehicle=…`` in its path, a column, its folder, its name, or an option."""
Choice = Literal["auto", "key", "column", "folder", "name"]
CHOICES: Final[tuple[str, ...]] = get_args(Choice)
NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write for an empty key."""
LONGEST_NAME: Final = 200

_DATED: Final = re.compile(rf"{YEAR}|{DATE}|(?:w|kw|week|q|month)?[-_ ]?\d{{1,2}}", re.ASCII | re.IGNORECASE)
_ONLY_YEAR: Final = re.compile(rf"{YEAR}|{DATE}", re.ASCII)
_PIECE: Final = re.compile(r"part-\d+.*|[0-9a-f]{8}-?[0-9a-f]{4}-.*|[0-9a-f]{32,}", re.ASCII | re.IGNORECASE)
"""What Spark, Dask and others call the parts of a table."""
_COUNTED: Final = re.compile(
    r"[-_ .]*(?:trip|ride|drive|tour|fahrt|log|logfile|data|record|recording|session|part|file|export|chunk)s?"
    r"[-_ .#]*\d*$",
    re.IGNORECASE,
)


class Owner(NamedTuple):
    """``vehicle``: whose log it is; empty: ``column`` says so, row by row. ``rule``: how that was told."""

    vehicle: str
    column: str
    rule: Rule


def owner_of(
    file: ArchiveFile, columns: Sequence[str], taken: Sequence[str], column: str, choice: Choice, default: str
) -> Owner:
    """Whose log a file is.

    ``columns``: those of its rows; ``taken``: those that hold signals; ``column``: the one that the mapping names;
    ``default``: whose it is when nothing says so.
    """
    if choice in ("auto", "key") and (vehicle := by_key(file, column)):
        return Owner(vehicle, "", "key")
    if choice in ("auto", "column") and (found := by_column(columns, taken, column)):
        return Owner("", found, "column")
    if choice in ("auto", "folder") and (vehicle := by_folder(file)):
        return Owner(vehicle, "", "folder")
    if choice in ("auto", "name") and (vehicle := by_name(file)):
        return Owner(vehicle, "", "name")
    return Owner(default, "", "given")


def by_key(file: ArchiveFile, column: str = "") -> str:
    """The value of the innermost ``key=value`` of the path whose key names a vehicle."""
    for part in reversed(file.where.split("/")[:-1]):
        key, mark, value = part.partition("=")
        if mark and (is_named(key) or (column and key == column)) and value not in ("", NO_VALUE):
            return unquote(value)[:LONGEST_NAME]
    return ""


def by_column(columns: Sequence[str], taken: Sequence[str], column: str) -> str:
    """The mapping's column if the log has it, else the only one that is called as one of a vehicle."""
    clean = {clean_column(name): name for name in columns}
    if column:
        return column if clean_column(column) in clean else ""
    signals = {clean_column(name) for name in taken}
    named = [name for name in clean if name not in signals and is_named(name)]
    return named[0] if len(named) == 1 else ""


def by_folder(file: ArchiveFile) -> str:
    """The outermost folder inside the archive that is neither a key nor a date."""
    dated = False
    for part in file.folders:
        if "=" in part:
            continue
        is_date = bool(_ONLY_YEAR.fullmatch(part)) or (dated and bool(_DATED.fullmatch(part)))
        if not is_date:
            return part[:LONGEST_NAME]
        dated = True
    return ""


def by_name(file: ArchiveFile) -> str:
    """The name of the file without its suffixes, its date and the number of a trip; empty when nothing is left."""
    path = PurePosixPath(file.where)
    while path.suffix.lower() in PACKED:
        path = path.with_suffix("")
    stem = path.stem
    if _PIECE.fullmatch(stem):
        return ""
    before, *after = STAMP.split(stem)
    for part in (before, *after):
        name = _COUNTED.sub("", part.strip(" -_.,+")).strip(" -_.,+")
        if name and not name.isdecimal():
            return name[:LONGEST_NAME]
    digits = before.strip(" -_.,+")
    return digits if digits.isdecimal() and after else ""

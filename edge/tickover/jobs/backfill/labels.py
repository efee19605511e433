"""Known repairs and faults: CSV with the columns ``vehicle,start,end``, and ``what`` if you like.

``vehicle`` may be ``log`` instead, the path of a log as the archive has it (its last parts are enough). Times are ISO
8601, UTC unless they say otherwise, or seconds as in the log. Without a ``start``, the time before the repair counts.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tickover.core.time_format import parse_time
from tickover.core.values import SECOND
from tickover.errors import ConfigError
from tickover.logs.formats.delimiters import DELIMITERS
from tickover.logs.formats.text import decode
from tickover.storage.files import read_bytes

MAX_BYTES: Final = 64 << 20
BEFORE_S: Final = 14 * 86_400
"""How long before a repair an episode counts for it, where its start is not known."""
LONGEST_WHAT: Final = 200


@dataclass(frozen=True, slots=True)
class Repair:
    """What was wrong with which vehicle, from ``start`` to ``end``, microseconds."""

    vehicle: str
    start: int
    end: int
    what: str = ""


def load_repairs(path: Path, logs: Iterable[tuple[str, str]]) -> list[Repair]:
    """The repairs of a file; ``logs``: vehicle and path of each log. ConfigError names the row that is wrong."""
    try:
        text = decode(read_bytes(path, MAX_BYTES)).lstrip("\ufeff")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--labels {path}: cannot be read: {error}") from error
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    rows = csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    columns = rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or ()]
    if "end" not in columns or not {"vehicle", "log"} & set(columns):
        got = ", ".join(columns) or "an empty file"
        raise ConfigError(f"--labels {path}: expected the columns vehicle (or log), start, end, got {got}")
    known = list(logs) if "vehicle" not in columns else []
    try:
        found = [_repair(row, known, f"--labels {path}:{rows.line_num}") for row in rows]
    except csv.Error as error:
        raise ConfigError(f"--labels {path}:{rows.line_num}: {error}") from error
    if not found:
        raise ConfigError(f"--labels {path}: expected rows with repairs, got none")
    return found


def _repair(row: dict[str, str | None], logs: list[tuple[str, str]], where: str) -> Repair:
    vehicle = (row.get("vehicle") or "").strip() or _vehicle_of((row.get("log") or "").strip(), logs, where)
    try:
        end = parse_time(row.get("end") or "")
        text = (row.get("start") or "").strip()
        start = parse_time(text) if text else end - BEFORE_S * SECOND
    except ValueError as error:
        got = f"{row.get('start')!r} and {row.get('end')!r}"
        raise ConfigError(f"{where}: expected ISO 8601 times or seconds, got {got}") from error
    if end < start:
        raise ConfigError(
            f"{where}: expected an end at or after the start, got {row.get('start')!r} and {row.get('end')!r}"
        )
    return Repair(vehicle, start, end, (row.get("what") or "").strip()[:LONGEST_WHAT])


def _vehicle_of(log: str, logs: list[tuple[str, str]], where: str) -> str:
    found = sorted({vehicle for vehicle, path in logs if log and (path == log or path.endswith(f"/{log}"))})
    if len(found) != 1:
        raise ConfigError(
            f"{where}: expected a log of one vehicle of the archive, got {log!r}, which is of {len(found) or 'none'}; "
            "name the vehicle in a column 'vehicle'"
        )
    return found[0]

"""Where the rows of an episode are: the log by its name, and the range of times in it, as text to copy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from tickover.core.time_format import clock, is_relative, iso_local, iso_seconds
from tickover.core.values import SECOND

SHOWN: Final = 3
"""Logs that an episode names; more than one when logs of a vehicle overlap, or one episode reaches over their ends."""


@dataclass(frozen=True, slots=True)
class LogSpan:
    """One log's readings of one vehicle, from its first to its last time, microseconds; ``alone``: it has no others."""

    name: str
    vehicle: str
    first: int
    last: int
    alone: bool = True


@dataclass(frozen=True, slots=True)
class LogRows:
    """The rows of one log that belong to an episode; ``text`` says which, for the clipboard."""

    name: str
    text: str


def rows_of(logs: Sequence[LogSpan], vehicle: str, start: int, end: int, zone: str = "") -> tuple[list[LogRows], int]:
    """The rows of each log with readings of ``vehicle`` from ``start`` to ``end``; and how many logs are not told.

    Times are in UTC, and also in ``zone`` when it is given: it may be that of the clocks in the log.
    """
    found = [log for log in logs if log.vehicle == vehicle and log.first <= end and log.last >= start]
    told = [LogRows(log.name, _text(log, max(start, log.first), min(end, log.last), zone)) for log in found[:SHOWN]]
    return told, len(found) - len(told)


def _text(log: LogSpan, first: int, last: int, zone: str) -> str:
    whose = "" if log.alone else f", vehicle {log.vehicle}"
    if is_relative(first):
        seconds = f"rows from {first / SECOND:g} s to {last / SECOND:g} s of the log"
        return f"{log.name}{whose}: {seconds} ({clock(first, True)} to {clock(last, True)})"
    there = _zone(zone) if zone and zone != "UTC" else None
    try:
        text = f"{log.name}{whose}: rows from {iso_seconds(first)} to {iso_seconds(last)}"
        return f"{text} ({iso_local(first, there)} to {iso_local(last, there)} in {zone})" if there else text
    except OverflowError:  # beyond the years that can be written
        return f"{log.name}{whose}: rows from {first / SECOND:.0f} s to {last / SECOND:.0f} s"


def _zone(name: str) -> tzinfo | None:
    """``Europe/Berlin`` or ``+02:00``; None when it is neither."""
    try:
        return datetime.strptime(name, "%z").tzinfo
    except ValueError:
        pass
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None

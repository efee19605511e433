"""Verdicts of people as labels: episodes that somebody called real, or known, in the logs of the truck."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tickover.core.ledger import Verdict
from tickover.core.time_format import parse_time
from tickover.core.values import SECOND
from tickover.errors import ConfigError, LogError
from tickover.logs.mapping import Mapping
from tickover.logs.verdict_file import verdict_lines
from tickover_train.data import trips_of_log
from tickover_train.evaluation.labels import LabelledTrip, Range

ENDINGS: Final = (".jsonl", ".ndjson")
"""How the name of a file of verdicts ends."""
TRUE: Final = (Verdict.REAL, Verdict.KNOWN)


class Line(msgspec.Struct, frozen=True):
    """What is read of a line that ``tickover state --verdicts`` or ``web`` wrote; ``at``: the newest tick then."""

    episode: str
    vehicle: str
    start: str
    verdict: Verdict
    at: int
    end: str | None = None


def is_verdicts(path: Path) -> bool:
    """Whether a file of labels is one of verdicts."""
    return path.suffix.lower() in ENDINGS


def read_ranges(paths: Iterable[Path]) -> dict[str, list[Range]]:
    """By vehicle when its real and known episodes were open; the newest verdict on an episode counts.

    ConfigError names the line that is no verdict, or says that none is real or known.
    """
    newest: dict[str, tuple[Line, str]] = {}
    for path in paths:

        def refusal(number: int, why: str, path: Path = path) -> ConfigError:
            return ConfigError(f"{path}:{number}: {why}")

        try:
            for number, line in verdict_lines(path, Line, refusal):
                newest[line.episode] = line, f"{path}:{number}"
        except LogError as error:
            raise ConfigError(str(error)) from error
    ranges: dict[str, list[Range]] = {}
    for line, where in newest.values():
        if line.verdict in TRUE:
            ranges.setdefault(line.vehicle, []).append(_range(line, where))
    if not ranges:
        raise ConfigError(f"{', '.join(map(str, paths))}: expected a verdict 'real' or 'known', got none of them")
    return ranges


def split_by_verdicts(
    logs: Sequence[Path],
    ranges: dict[str, list[Range]],
    mapping: Mapping,
    counts: Counter[str],
    on_bad: Callable[[str], None],
) -> tuple[list[Path], list[LabelledTrip]]:
    """The logs without such an episode, and the trips of the others with the ticks at which one was open.

    A log belongs to the vehicle that it names; one that names none to the only vehicle of the verdicts.
    ConfigError when no log holds an episode, or none is without.
    """
    only = next(iter(ranges.values())) if len(ranges) == 1 else []
    clean: list[Path] = []
    labelled: list[LabelledTrip] = []
    period = round(mapping.ticks.period_s * SECOND)
    for log in logs:
        trips = trips_of_log(log, mapping, counts, on_bad)
        marks = [
            np.any([one.touches(trip.time, period) for one in own], axis=0)
            if own
            else np.zeros(len(trip.time), np.bool_)
            for trip in trips
            for own in [ranges.get(trip.vehicle, only if trip.vehicle == log.stem else [])]
        ]
        if not any(mark.any() for mark in marks):
            clean.append(log)
            continue
        labelled += [LabelledTrip(log.stem, trip.values, mark) for trip, mark in zip(trips, marks, strict=True)]
    told = f"{sum(map(len, ranges.values()))} verdicts 'real' or 'known' on {', '.join(sorted(ranges))}"
    if not labelled:
        raise ConfigError(
            f"--labels: expected a log of --clean with an episode of the {told} in it, got none; logs need dates and, "
            "with several vehicles, the vehicle's name (log.vehicle_column)"
        )
    if not clean:
        raise ConfigError(f"--labels: expected logs of --clean without an episode of the {told}, got none without")
    return clean, labelled


def _range(line: Line, where: str) -> Range:
    try:
        start = parse_time(line.start)
        end = parse_time(line.end) if line.end else max(line.at, start)
    except ValueError as error:
        raise ConfigError(f"{where}: expected ISO 8601 times, got {line.start!r} and {line.end!r}") from error
    return Range(start, end, where)

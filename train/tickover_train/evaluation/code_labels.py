"""Trouble codes as labels: recordings of a bus in which a source held a code active."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from tickover.core.values import SECOND
from tickover.errors import ConfigError
from tickover.logs.bus_codes import active_codes
from tickover.logs.mapping import Mapping
from tickover_train.data import trips_of_log
from tickover_train.evaluation.labels import LabelledTrip

DM1: Final = "dm1"
"""What `evaluate --labels` is given for them, in place of a file."""


def split_by_codes(
    logs: Sequence[Path], mapping: Mapping, counts: Counter[str], on_bad: Callable[[str], None]
) -> tuple[list[Path], list[LabelledTrip]]:
    """The recordings without an active code, and the trips of the others with the ticks at which one was active.

    ConfigError when no recording has a code, or none is without.
    """
    clean: list[Path] = []
    labelled: list[LabelledTrip] = []
    period = round(mapping.ticks.period_s * SECOND)
    for log in logs:
        spans = active_codes(log, mapping.log)
        if not spans:
            clean.append(log)
            continue
        for trip in trips_of_log(log, mapping, counts, on_bad):
            marks = [(trip.time + period > span.start) & (trip.time <= span.end) for span in spans]
            labelled.append(LabelledTrip(log.stem, trip.values, np.any(marks, axis=0)))
    if not labelled:
        raise ConfigError(
            "--labels dm1: expected a recording with an active trouble code (DM1), got none; a code of conversion "
            "method 1 counts only with --spn-method"
        )
    if not clean:
        raise ConfigError("--labels dm1: expected recordings without active codes beside those with, got none without")
    return clean, labelled

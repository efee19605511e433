"""Which signals tell whether the bus as a whole stands still. No torch."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import structs

from tickover.core.values import FloatArray
from tickover_export.charts.frozen import Frozen
from tickover_export.charts.registry import Bank

MISSING: Final = 0.02
"""A signal that is missing more often would hold the chart too often."""
LEAST_SIGNALS: Final = 2
"""A bus of one signal is a sensor: ``core.sensors`` watches those."""


def resolve(banks: Sequence[Bank], trips: Sequence[FloatArray], names: Sequence[str]) -> tuple[Bank, ...]:
    """The banks with the signals of each ``frozen`` one named; those for which there are too few are left out."""
    chosen = moving(trips, names)
    resolved: list[Bank] = []
    for bank in banks:
        if isinstance(bank, Frozen) and not bank.signals:
            if len(chosen) >= LEAST_SIGNALS:
                resolved.append(structs.replace(bank, signals=chosen))
        else:
            resolved.append(bank)
    return tuple(resolved)


def moving(trips: Sequence[FloatArray], names: Sequence[str]) -> tuple[str, ...]:
    """The signals of trips ``[T, F]`` that are nearly always there and do move."""
    pooled = np.concatenate(trips)
    seen = np.isfinite(pooled)
    here = seen.mean(axis=0) >= 1.0 - MISSING
    spans = np.where(seen, pooled, -np.inf).max(axis=0) > np.where(seen, pooled, np.inf).min(axis=0)
    return tuple(name for name, is_here, moves in zip(names, here, spans, strict=True) if is_here and moves)

"""Which signals tell whether the bus as a whole stands still. No torch."""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from tickover.core.values import FloatArray
from tickover_export.charts.frozen import Frozen
from tickover_export.charts.registry import Bank
from tickover_train.stored.arrays import lengths
from tickover_train.stored.columns import Blocks, counts, extremes

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
    blocks = Blocks.of(trips)
    low, high = extremes(blocks)
    here = counts(blocks) / max(sum(lengths(trips)), 1) >= 1.0 - MISSING
    return tuple(name for name, is_here, moves in zip(names, here, high > low, strict=True) if is_here and moves)

"""Every bank's charts in the graph, as few operators as there can be.

All running means are units of one ``GRU`` and all clamped sums units of one ``RNN``: at one tick an operator costs its
call, whatever its width. Measured: one GRU of 48 units takes 0.7 us a tick in chunks, three of 16 take 1.3 us.
Operators take at most ``BLOCK`` signals, as their weight matrices grow with the square of it. A kind that is not one
chart for each signal draws its own operators.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, TypeVar

import numpy as np

from tickover.core.values import FloatArray
from tickover_export.charts.base import ChartKind, ClampedSum, HeldMean, PerSignalKind, ResidualTensors
from tickover_export.charts.operators import clamped_sum, held_mean
from tickover_export.nodes import Nodes

BLOCK: Final = 32
Unit = TypeVar("Unit", HeldMean, ClampedSum)


class _Block(NamedTuple):
    """Up to ``BLOCK`` neighbouring signals: their residuals and valid flags ``[T, B, size]``."""

    suffix: str
    residual: str
    valid: str
    size: int


def charts(nodes: Nodes, banks: Sequence[ChartKind], tensors: ResidualTensors, period_s: float) -> str:
    """Every chart over its bank's ``unit``, ``[T, B, C]``, bank by bank."""
    sizes = [min(BLOCK, len(tensors.signals) - at) for at in range(0, len(tensors.signals), BLOCK)]
    runs = _runs(banks, apart=len(sizes) > 1)
    columns: dict[str, list[str]] = {label: [] for label in runs}
    means, sums = _units(runs, HeldMean, period_s), _units(runs, ClampedSum, period_s)
    for block in _blocks(nodes, tensors, sizes) if means or sums else ():
        for label, column in (_means(nodes, means, block) | _sums(nodes, sums, block)).items():
            columns[label].append(column)
    for bank in banks:
        if not isinstance(bank, PerSignalKind):
            columns[bank.name].append(bank.draw(nodes, tensors, period_s))
    return concat(nodes, [column for parts in columns.values() for column in parts], name="charts")


def _runs(banks: Sequence[ChartKind], *, apart: bool) -> dict[str, list[ChartKind]]:
    """Neighbouring banks of one kind, by the first one's name: their charts are finished by one operator.

    Each bank ``apart`` where signals come in blocks: a bank's charts must stand together in the output.
    """

    def run_of(bank: ChartKind) -> str:
        return bank.name if apart or not isinstance(bank, PerSignalKind) else f"all {bank.kind}"

    runs = [list(run) for _, run in groupby(banks, key=run_of)]
    return {run[0].name: run for run in runs}


def _units(runs: Mapping[str, Sequence[ChartKind]], operator: type[Unit], period_s: float) -> dict[str, list[Unit]]:
    """The units of one shared operator, by run; only the runs that have any."""
    found = {
        label: [unit for bank in run if isinstance(unit := _unit(bank, period_s), operator)]
        for label, run in runs.items()
    }
    return {label: units for label, units in found.items() if units}


def _unit(bank: ChartKind, period_s: float) -> HeldMean | ClampedSum | None:
    return bank.unit_of(period_s) if isinstance(bank, PerSignalKind) else None


def _means(nodes: Nodes, runs: Mapping[str, Sequence[HeldMean]], block: _Block) -> dict[str, str]:
    """The charts of one block of signals that are running means, by run."""
    units = [unit for run in runs.values() for unit in run]
    if not units:
        return {}
    suffix, r, v, size = block
    squares = [nodes.add("Mul", r, r, name=f"squared{suffix}")] if any(unit.squared for unit in units) else []
    values = [r, *squares]
    x = concat(nodes, [*values, v], name=f"mean{suffix}/input")
    one, nought = np.eye(size), np.zeros((size, size))
    # Row by row the weights of the GRU: a unit reads its signal's residual or square, and its gate the valid flag.
    rates, routes = [], []
    for unit in units:
        rates.append(np.hstack([nought] * len(values) + [unit.share * one]))
        routes.append(np.hstack([one if place == unit.squared else nought for place in range(len(values))] + [nought]))
    means = held_mean(nodes, f"mean{suffix}", x, _float(np.vstack(rates)), _float(np.vstack(routes)))
    each = split(nodes, means, [size * len(run) for run in runs.values()], [f"{label}{suffix}/mean" for label in runs])
    return {
        label: nodes.add(run[0].finish, mean, name=f"{label}{suffix}/chart")
        for (label, run), mean in zip(runs.items(), each, strict=True)
    }


def _sums(nodes: Nodes, runs: Mapping[str, Sequence[ClampedSum]], block: _Block) -> dict[str, str]:
    """The charts of one block of signals that are clamped sums, by run, in units of their saturation."""
    if not runs:
        return {}
    suffix, r, v, size = block
    x = concat(nodes, [r, v], name=f"sum{suffix}/input")
    # All high sides of a run, then all its low sides: one Max of two slices finishes the run.
    sides = [_side(unit, sign, size) for run in runs.values() for sign in (1.0, -1.0) for unit in run]
    sums = clamped_sum(nodes, f"sum{suffix}", x, _float(np.vstack(sides)))
    labels = [f"{label}{suffix}/{side}" for label in runs for side in ("high", "low")]
    each = split(nodes, sums, [size * len(run) for run in runs.values() for _ in range(2)], labels)
    return {
        label: nodes.add("Max", each[2 * place], each[2 * place + 1], name=f"{label}{suffix}/chart")
        for place, label in enumerate(runs)
    }


def _side(unit: ClampedSum, sign: float, size: int) -> FloatArray:
    """What one side of a CUSUM adds at a tick: ``sign`` times the residual, less the allowance where valid."""
    whole, one = 1.0 / unit.saturation, np.eye(size)
    return np.hstack([sign * whole * one, -unit.allowance * whole * one])


def _blocks(nodes: Nodes, tensors: ResidualTensors, sizes: Sequence[int]) -> list[_Block]:
    residuals, valids = (
        split(nodes, x, sizes, [f"{x}/block.{number}" for number in range(len(sizes))])
        for x in (tensors.residual, tensors.valid)
    )
    suffixes = [f".{number}" for number in range(len(sizes))] if len(sizes) > 1 else [""]
    return [_Block(*block) for block in zip(suffixes, residuals, valids, sizes, strict=True)]


def split(nodes: Nodes, x: str, sizes: Sequence[int], names: Sequence[str]) -> Sequence[str]:
    """Cut the last axis."""
    if len(sizes) == 1:
        return [x]
    return nodes.add_many("Split", x, nodes.integers(f"{x}/sizes", list(sizes)), names=names, axis=-1)


def concat(nodes: Nodes, parts: Sequence[str], *, name: str) -> str:
    """Join along the last axis."""
    return parts[0] if len(parts) == 1 else nodes.add("Concat", *parts, name=name, axis=-1)


def _float(array: FloatArray) -> FloatArray:
    return array.astype(np.float32)

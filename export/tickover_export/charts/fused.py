"""Every bank's charts in the graph, as few operators as there can be.

All running means are units of one ``GRU`` and all clamped sums units of one ``RNN``: at one tick an operator costs its
call, whatever its width. Measured: one GRU of 48 units takes 0.7 us a tick in chunks, three of 16 take 1.3 us. A kind
that is not one chart for each signal draws its own operators.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, TypeVar

import numpy as np

from tickover.core.values import FloatArray
from tickover_export.charts.base import ChartKind, ClampedSum, HeldMean, PerSignalKind, ResidualTensors
from tickover_export.charts.operators import block_sizes, clamped_sum, concat, held_mean, split, suffixes
from tickover_export.nodes import Nodes
from tickover_export.ticks_before import ticks_before

Unit = TypeVar("Unit", HeldMean, ClampedSum)


class _Block(NamedTuple):
    """Up to ``BLOCK`` neighbouring signals: their residuals and valid flags ``[T, B, size]``, and those of the
    residuals' differences, by order from 0.
    """

    suffix: str
    residuals: tuple[str, ...]
    valids: tuple[str, ...]
    size: int


def charts(nodes: Nodes, banks: Sequence[ChartKind], tensors: ResidualTensors, period_s: float) -> str:
    """Every chart over its bank's ``unit``, ``[T, B, C]``, bank by bank."""
    sizes = block_sizes(len(tensors.signals))
    runs = _runs(banks, apart=len(sizes) > 1)
    columns: dict[str, list[str]] = {label: [] for label in runs}
    means, sums = _units(runs, HeldMean, period_s), _units(runs, ClampedSum, period_s)
    order = max((unit.order for units in means.values() for unit in units), default=0)
    for block in _blocks(nodes, tensors, sizes, order) if means or sums else ():
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
    suffix, residuals, valids, size = block
    orders = sorted({unit.order for unit in units})
    values: dict[tuple[int, bool], str] = {(order, False): residuals[order] for order in orders}
    for order in sorted({unit.order for unit in units if unit.squared}):
        name = f"{'squared' if not order else f'squared.{order}'}{suffix}"
        values[order, True] = nodes.add("Mul", residuals[order], residuals[order], name=name)
    read = {(unit.order, unit.squared) for unit in units}
    wanted = [part for part in values if part in read]
    x = concat(
        nodes, [*(values[part] for part in wanted), *(valids[order] for order in orders)], name=f"mean{suffix}/input"
    )
    one, nought = np.eye(size), np.zeros((size, size))
    # Row by row the weights of the GRU: a unit reads its signal's value, and its gate the valid flag of that.
    rates, routes = [], []
    for unit in units:
        gates = [unit.share * one if order == unit.order else nought for order in orders]
        rates.append(np.hstack([nought] * len(wanted) + gates))
        picks = [one if part == (unit.order, unit.squared) else nought for part in wanted]
        routes.append(np.hstack(picks + [nought] * len(orders)))
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
    suffix, residuals, valids, size = block
    x = concat(nodes, [residuals[0], valids[0]], name=f"sum{suffix}/input")
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


def _blocks(nodes: Nodes, tensors: ResidualTensors, sizes: Sequence[int], order: int) -> list[_Block]:
    residuals, valids = _differences(nodes, tensors, order)

    def cut(x: str) -> Sequence[str]:
        return split(nodes, x, sizes, [f"{x}/block.{number}" for number in range(len(sizes))])

    # Block by block, the tensor of every order.
    by_block = zip(zip(*map(cut, residuals), strict=True), zip(*map(cut, valids), strict=True), strict=True)
    return [_Block(suffix, *parts, size) for suffix, parts, size in zip(suffixes(sizes), by_block, sizes, strict=True)]


def _differences(nodes: Nodes, tensors: ResidualTensors, order: int) -> tuple[list[str], list[str]]:
    """The residual and its differences up to ``order``, and where each is valid: all its ticks are of one trip."""
    residuals, valids = [tensors.residual], [tensors.valid]
    for number in range(1, order + 1):
        name, pair = f"difference.{number}", (residuals[-1], valids[-1])
        before, known = ticks_before(nodes, name, pair, len(tensors.signals))
        valids.append(nodes.add("Mul", pair[1], known, name=f"{name}/valid"))
        step = nodes.add("Sub", pair[0], before, name=f"{name}/step")
        residuals.append(nodes.add("Mul", step, valids[-1], name=f"{name}/kept"))
    return residuals, valids


def _float(array: FloatArray) -> FloatArray:
    return array.astype(np.float32)

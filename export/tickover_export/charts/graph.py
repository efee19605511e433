"""Control charts as recurrent operators: they advance in the graph, in chunks and batches, like any other cell.

EWMA and energy are GRUs with activations ``[HardSigmoid, Affine]``: the update gate is ``1 - (1 - decay) * valid``,
so a missing signal's chart holds, and the candidate is the residual (or its square) itself. All of them share one
operator: measured, one GRU of 48 units takes 0.7 us a tick in chunks, three of 16 take 1.3 us. CUSUM (Page 1954) is
an ``RNN`` with ``HardSigmoid``, in units of its saturation: the clamp to 0..1 is the activation itself. Every chart is
bounded. Operators take at most ``BLOCK`` signals, as their weight matrices grow with the square of it.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

import numpy as np

from tickover.core.manifest import AGE
from tickover.core.values import FloatArray
from tickover_export.cells import plain, without_directions
from tickover_export.nodes import Nodes, next_of
from tickover_export.spec import ChartBank, GraphSpec, decay

BLOCK: Final = 32
BASELINE: Final = "baseline"
AGE_STEP: Final = 2.0**-20
"""The age counts ticks in steps of this and stays at 1; a power of two, so that every count is exact."""

Run = Sequence[ChartBank]
"""Neighbouring banks of one kind, whose charts are finished by one operator."""


def bound(bank: ChartBank, clip: float) -> float:
    """The largest value that a bank's charts can reach."""
    return float(bank.saturation or 0.0) if bank.kind == "cusum" else clip


def ages(nodes: Nodes, mask: str, signals: int) -> str:
    """The trip's age in steps of ``AGE_STEP``, this tick counted, ``[T, B, 1]``."""
    age = nodes.state(AGE, 1, "trip")
    w, r = nodes.floats("age.W", np.zeros((1, 1, signals))), nodes.floats("age.R", np.ones((1, 1, 1)))
    b = nodes.floats("age.B", [[AGE_STEP, 0.0]])
    all_ages, _ = nodes.add_many(
        "RNN", mask, w, r, b, "", age, names=["age/all", next_of(AGE)], hidden_size=1, **plain("HardSigmoid")
    )
    return without_directions(nodes, all_ages, name="age/ticks")


def warm(nodes: Nodes, mask: str, age: str, warm_up: int) -> str:
    """``mask`` ``[T, B, F]`` with the first ``warm_up`` ticks of a trip taken out."""
    grown = nodes.add("Greater", age, nodes.floats("warm_up", warm_up * AGE_STEP), name="age/grown")
    return nodes.add("Mul", mask, nodes.add("Cast", grown, name="age/warm", to=1), name="valid")


def cold_spread(nodes: Nodes, spec: GraphSpec, age: str) -> str:
    """How many times wider than usual each residual spreads at this age, ``[T, B, F]``: see ``ColdStart``.

    Plain arithmetic without ``Exp``: ticks, chunks and batches must agree in the last bit.
    """
    step_s = spec.tick_period_s / AGE_STEP
    per_age = nodes.floats("cold.rate", [step_s / start.fades_s for start in spec.cold])
    excess, one = nodes.floats("cold.excess", [start.excess for start in spec.cold]), nodes.floats("cold.one", 1.0)
    grown = nodes.add("Add", nodes.add("Mul", age, per_age, name="cold/age"), one, name="cold/grown")
    left = nodes.add("Div", excess, nodes.add("Mul", grown, grown, name="cold/squared"), name="cold/left")
    return nodes.add("Add", left, one, name="cold/spread")


def held_mean(nodes: Nodes, name: str, x: str, rates: FloatArray, routes: FloatArray) -> str:
    """Running means that hold where their signal is not valid, ``[T, B, N]``; state ``name``, never reset.

    ``x`` ``[T, B, I]``; ``rates`` ``[N, I]`` holds each mean's ``1 - decay`` in its signal's valid column; ``routes``
    ``[N, I]`` picks what it averages, which must be 0 where not valid so that the hold is exact.
    """
    units, inputs = rates.shape
    w = np.zeros((3, units, inputs))  # ONNX's gates z, r, h
    w[0], w[2] = -rates, routes
    b = np.zeros((6, units))
    b[0] = 1.0
    state = nodes.state(name, units, "never")
    everything, _ = nodes.add_many(
        "GRU",
        x,
        nodes.floats(f"{name}.W", w.reshape(1, 3 * units, inputs)),
        nodes.floats(f"{name}.R", np.zeros((1, 3 * units, units))),
        nodes.floats(f"{name}.B", b.reshape(1, 6 * units)),
        "",
        state,
        names=[f"{name}/all", next_of(state)],
        hidden_size=units,
        **plain("HardSigmoid", "Affine"),
    )
    return without_directions(nodes, everything, name=f"{name}/means")


def clamped_sum(nodes: Nodes, name: str, x: str, routes: FloatArray) -> str:
    """Sums of ``routes @ x`` clamped to 0..1 at every tick, ``[T, B, N]``; state ``name``, never reset.

    The product is a node of its own: inside the RNN, one row would be rounded otherwise than many (see ``cells``).
    """
    units = len(routes)
    steps = nodes.add("MatMul", x, nodes.floats(f"{name}.routes", routes.T), name=f"{name}/steps")
    unchanged = np.eye(units)[None]
    arrays = (("W", unchanged), ("R", unchanged), ("B", np.zeros((1, 2 * units))))
    state = nodes.state(name, units, "never")
    everything, _ = nodes.add_many(
        "RNN",
        steps,
        *(nodes.floats(f"{name}.{part}", array) for part, array in arrays),
        "",
        state,
        names=[f"{name}/all", next_of(state)],
        hidden_size=units,
        **plain("HardSigmoid"),
    )
    return without_directions(nodes, everything, name=f"{name}/sums")


def charts(nodes: Nodes, spec: GraphSpec, residual: str, valid: str) -> str:
    """Every chart in its own unit, ``[T, B, C]``, bank-major, then signal.

    ``residual`` ``[T, B, F]``, clipped, 0 where not ``valid``. CUSUMs come in units of their saturation.
    """
    sizes = [min(BLOCK, len(spec.signals) - at) for at in range(0, len(spec.signals), BLOCK)]
    runs = _runs(spec.banks) if len(sizes) == 1 else [[bank] for bank in spec.banks]
    columns: dict[str, list[str]] = {_label(run): [] for run in runs}
    for number, (r, v) in enumerate(zip(*(_blocks(nodes, x, sizes) for x in (residual, valid)), strict=True)):
        suffix = f".{number}" if len(sizes) > 1 else ""
        means = _smooth(nodes, spec.tick_period_s, runs, suffix, r, v, sizes[number])
        for label, column in (means | _sum(nodes, runs, suffix, r, v, sizes[number])).items():
            columns[label].append(column)
    return _concat(nodes, [column for parts in columns.values() for column in parts], name="charts")


def _runs(banks: Iterable[ChartBank]) -> list[Run]:
    """As few runs as there are: at one tick an operator costs its call, whatever its width."""
    return [list(run) for _, run in groupby(banks, key=lambda bank: bank.kind)]


def _label(run: Run) -> str:
    return run[0].name


def _smooth(
    nodes: Nodes, period_s: float, runs: Sequence[Run], suffix: str, r: str, v: str, size: int
) -> dict[str, str]:
    """The ewma and energy charts of one block of signals, by run."""
    runs = [run for run in runs if run[0].kind != "cusum"]
    banks = [bank for run in runs for bank in run]
    if not banks:
        return {}
    squared = any(bank.kind == "energy" for bank in banks)
    parts = [r, nodes.add("Mul", r, r, name=f"squared{suffix}"), v] if squared else [r, v]
    x = _concat(nodes, parts, name=f"mean{suffix}/input")
    one, nought = np.eye(size), np.zeros((size, size))
    rates, routes = [], []
    for bank in banks:
        share = 1.0 - decay(bank.span_s or 0.0, period_s)
        rates.append(np.hstack([nought] * (len(parts) - 1) + [share * one]))
        picked = [one if (place == 1) == (bank.kind == "energy") else nought for place in range(len(parts) - 1)]
        routes.append(np.hstack([*picked, nought]))
    means = held_mean(nodes, f"mean{suffix}", x, _float(np.vstack(rates)), _float(np.vstack(routes)))
    each = _split(nodes, means, [size * len(run) for run in runs], [f"{_label(run)}{suffix}/mean" for run in runs])
    finish = {"ewma": "Abs", "energy": "Sqrt"}
    return {
        _label(run): nodes.add(finish[run[0].kind], mean, name=f"{_label(run)}{suffix}/chart")
        for run, mean in zip(runs, each, strict=True)
    }


def _sum(nodes: Nodes, runs: Sequence[Run], suffix: str, r: str, v: str, size: int) -> dict[str, str]:
    """The two-sided CUSUM charts of one block of signals, by run, in units of their saturation."""
    runs = [run for run in runs if run[0].kind == "cusum"]
    if not runs:
        return {}
    x = _concat(nodes, [r, v], name=f"sum{suffix}/input")
    sides = [_side(bank, sign, size) for run in runs for sign in (1.0, -1.0) for bank in run]
    sums = clamped_sum(nodes, f"sum{suffix}", x, _float(np.vstack(sides)))
    labels = [f"{_label(run)}{suffix}/{side}" for run in runs for side in ("high", "low")]
    each = _split(nodes, sums, [size * len(run) for run in runs for _ in range(2)], labels)
    return {
        _label(run): nodes.add("Max", each[2 * place], each[2 * place + 1], name=f"{_label(run)}{suffix}/chart")
        for place, run in enumerate(runs)
    }


def _side(bank: ChartBank, sign: float, size: int) -> FloatArray:
    """What one side of a CUSUM adds at a tick: ``sign`` times the residual, less the allowance where valid."""
    unit, allowance, one = 1.0 / (bank.saturation or 1.0), bank.allowance or 0.0, np.eye(size)
    return np.hstack([sign * unit * one, -allowance * unit * one])


def _blocks(nodes: Nodes, x: str, sizes: Sequence[int]) -> Sequence[str]:
    return _split(nodes, x, sizes, [f"{x}/block.{number}" for number in range(len(sizes))])


def _split(nodes: Nodes, x: str, sizes: Sequence[int], names: Sequence[str]) -> Sequence[str]:
    """Cut the last axis."""
    if len(sizes) == 1:
        return [x]
    return nodes.add_many("Split", x, nodes.integers(f"{x}/sizes", list(sizes)), names=names, axis=-1)


def _concat(nodes: Nodes, parts: Sequence[str], *, name: str) -> str:
    """Join along the last axis."""
    return parts[0] if len(parts) == 1 else nodes.add("Concat", *parts, name=name, axis=-1)


def _float(array: FloatArray) -> FloatArray:
    return array.astype(np.float32)

"""A kind of chart for the tests, over two signals: all that a new kind takes is one class."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tickover.core.manifest import Positive
from tickover.core.values import FloatArray
from tickover_export.charts.base import (
    ChartKind,
    ChosenSignals,
    NamedChart,
    ReferenceTicks,
    ResidualTensors,
    decay,
    running_mean,
)
from tickover_export.charts.ewma import ticks_to_fall
from tickover_export.charts.operators import held_mean
from tickover_export.nodes import Nodes


class Joint(ChartKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="joint"):
    """``|E|`` with ``E' = d E + (1 - d) r1 r2``: two residuals that move together."""

    WORDS: ClassVar[str] = "running mean of the product of two residuals"

    signals: ChosenSignals
    span_s: Positive

    def charts(self, signals: Sequence[str]) -> tuple[NamedChart, ...]:
        return (NamedChart(self.name, self.signals),)

    def bound(self, clip: float) -> float:
        return clip * clip

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        return ticks_to_fall(limit / bound, decay(self.span_s, period_s))

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        one, other = (ticks.residual[:, [ticks.signals.index(name)]] for name in self.signals)
        return np.abs(running_mean(one * other, self.span_s, period_s))

    def draw(self, nodes: Nodes, tensors: ResidualTensors, period_s: float) -> str:
        pick = nodes.floats(f"{self.name}.pick", [[name == own for own in self.signals] for name in tensors.signals])
        products = []
        for x in (tensors.residual, tensors.valid):
            pair = nodes.add("MatMul", x, pick, name=f"{self.name}/{x}/pair")
            halves = nodes.integers(f"{self.name}/{x}/halves", [1, 1])
            sides = nodes.add_many("Split", pair, halves, names=[f"{pair}/one", f"{pair}/other"], axis=-1)
            products.append(nodes.add("Mul", *sides, name=f"{self.name}/{x}/product"))
        x = nodes.add("Concat", *products, name=f"{self.name}/input", axis=-1)
        share = np.float32(1.0 - decay(self.span_s, period_s))
        rates, routes = np.array([[0.0, share]], np.float32), np.array([[1.0, 0.0]], np.float32)
        return nodes.add("Abs", held_mean(nodes, self.name, x, rates, routes), name=f"{self.name}/chart")

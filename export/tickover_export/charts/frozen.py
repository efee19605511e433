"""Frozen-bus chart: for how long no signal has moved. It sees a logger or gateway that repeats its last values.

Such values are plausible, and agree with each other, so that no residual shows them.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from onnx import TensorProto

from tickover.core.manifest import MAX_SIGNALS, Name, Positive
from tickover.core.values import FloatArray
from tickover_export.charts.base import ChartKind, NamedChart, ReferenceTicks, ResidualTensors
from tickover_export.charts.operators import clamped_sum
from tickover_export.nodes import Nodes
from tickover_export.ticks_before import ticks_before


class Frozen(ChartKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="frozen"):
    """``S' = min(S + period, longest_s)`` while no signal of ``signals`` differs from the tick before, else 0.

    It holds where one of them is missing in either tick; none named: all of the model's (``train`` names those that
    move and are always there).
    """

    WORDS: ClassVar[str] = "seconds in which no signal moves"

    signals: Annotated[tuple[Name, ...], Meta(max_length=MAX_SIGNALS)] = ()
    longest_s: Positive

    def charts(self, signals: Sequence[str]) -> tuple[NamedChart, ...]:
        """One, named after the bank."""
        return (NamedChart(self.name, self.signals or tuple(signals)),)

    def bound(self, clip: float) -> float:
        """``longest_s``: it counts no further."""
        return float(self.longest_s)

    @property
    def unit(self) -> float:
        """``longest_s``: in the graph the clamp is the activation ``HardSigmoid``, which is 0 to 1."""
        return float(self.longest_s)

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        """It is 0 as soon as a signal moves."""
        return 1

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        """One chart."""
        step, top = np.float32(period_s), np.float32(self.longest_s)
        looks = [ticks.signals.index(name) for name in self.charts(ticks.signals)[0].signals]
        values = np.where(np.isfinite(ticks.residual), ticks.values, np.float32(np.nan))[:, looks]
        lasted, charts = np.float32(0.0), np.empty((len(values), 1), np.float32)
        for tick, row in enumerate(values):
            before = values[tick - 1] if tick and not ticks.starts[tick] else np.full_like(row, np.nan)
            if np.isfinite(row).all() and np.isfinite(before).all():
                lasted = min(lasted + step, top) if (row == before).all() else np.float32(0.0)
            charts[tick] = lasted
        return charts

    def draw(self, nodes: Nodes, tensors: ResidualTensors, period_s: float) -> str:
        """A clamped sum that gains the period while everything stands and loses all of itself at a move."""
        chosen = self.charts(tensors.signals)[0].signals
        own = nodes.floats(f"{self.name}.own", [[float(name in chosen)] for name in tensors.signals])
        parts = (tensors.values, tensors.valid)
        values, valid = ticks_before(nodes, f"{self.name}.before", parts, len(tensors.signals))
        step = nodes.add("Sub", tensors.values, values, name=f"{self.name}/step")
        size = nodes.add("Abs", step, name=f"{self.name}/size")
        both = nodes.add("Mul", valid, tensors.valid, name=f"{self.name}/both")
        moved = self._more(nodes, size, own, 0.0, "moved")
        here = self._more(nodes, both, own, len(chosen) - 0.5, "here")
        lost = nodes.add("Mul", moved, here, name=f"{self.name}/lost")
        x = nodes.add("Concat", here, lost, name=f"{self.name}/input", axis=-1)
        # A move takes off more than the sum can be, so that what is gained at the same tick does not matter.
        routes = np.array([[period_s / self.longest_s, -2.0]], np.float32)
        return clamped_sum(nodes, self.name, x, routes)

    def _more(self, nodes: Nodes, x: str, own: str, than: float, name: str) -> str:
        """1 where the sum of the chart's own signals in ``x`` is more than a number, else 0: ``[T, B, 1]``."""
        # However the sum is rounded, it is 0 only if all are, and a sum of flags is exact.
        total = nodes.add("MatMul", x, own, name=f"{self.name}/{name}/sum")
        more = nodes.add("Greater", total, nodes.floats(f"{self.name}.{name}", than), name=f"{self.name}/{name}/more")
        return nodes.add("Cast", more, name=f"{self.name}/{name}", to=TensorProto.FLOAT)

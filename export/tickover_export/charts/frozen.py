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
from tickover_export.charts.operators import block_sizes, clamped_sum, concat, held_mean, split, suffixes
from tickover_export.nodes import Nodes
from tickover_export.ticks_before import delay


class Frozen(ChartKind, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="frozen"):
    """``S' = min(S + period, longest_s)`` while no signal of ``signals`` differs from the newest tick in which all of
    them were there, else 0.

    It holds where one of them is missing. A bus that is read every few seconds moves from one reading to the next, with
    ticks between them that hold nothing: compared with the tick before alone, it would never be seen to move. None
    named: all of the model's (``train`` names those that move and are always there).
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
        lasted, charts, before = np.float32(0.0), np.empty((len(values), 1), np.float32), np.zeros_like(values[0])
        for tick, row in enumerate(values):
            if np.isfinite(row).all():
                lasted = min(lasted + step, top) if (row == before).all() else np.float32(0.0)
                before = row
            charts[tick] = lasted
        return charts

    def draw(self, nodes: Nodes, tensors: ResidualTensors, period_s: float) -> str:
        """A clamped sum that gains the period while everything stands and loses all of itself at a move."""
        chosen, signals = self.charts(tensors.signals)[0].signals, len(tensors.signals)
        own = nodes.floats(f"{self.name}.own", [[float(name in chosen)] for name in tensors.signals])
        here = self._more(nodes, tensors.valid, own, len(chosen) - 0.5, "here")
        # Operators of many signals are cut, as those of the other kinds: their weights grow with the square.
        sizes = block_sizes(signals)
        blocks = split(nodes, tensors.values, sizes, [f"{self.name}/block.{number}" for number in range(len(sizes))])
        held, before = [], []
        for block, width, suffix in zip(blocks, sizes, suffixes(sizes), strict=True):
            held.append(self._held(nodes, block, here, width, suffix))
            before.append(delay(nodes, f"{self.name}.row{suffix}", held[-1], name=f"{self.name}/before{suffix}"))
        now = concat(nodes, held, name=f"{self.name}/rows")
        step = nodes.add("Sub", now, concat(nodes, before, name=f"{self.name}/rows_before"), name=f"{self.name}/step")
        size = nodes.add("Abs", step, name=f"{self.name}/size")
        lost = self._more(nodes, size, own, 0.0, "moved")
        x = nodes.add("Concat", here, lost, name=f"{self.name}/input", axis=-1)
        # A move takes off more than the sum can be, so that what is gained at the same tick does not matter.
        routes = np.array([[period_s / self.longest_s, -2.0]], np.float32)
        return clamped_sum(nodes, self.name, x, routes)

    def _held(self, nodes: Nodes, values: str, here: str, size: int, suffix: str) -> str:
        """The values ``[T, B, size]`` of the newest ``here``: a running mean that keeps nothing, and holds."""
        x = nodes.add("Concat", values, here, name=f"{self.name}/row{suffix}", axis=-1)
        one, gate = np.eye(size, dtype=np.float32), np.zeros((size, 1), np.float32)
        rates, routes = np.hstack([0.0 * one, gate + 1.0]), np.hstack([one, gate])
        return held_mean(nodes, f"{self.name}.row{suffix}", x, rates, routes)

    def _more(self, nodes: Nodes, x: str, own: str, than: float, name: str) -> str:
        """1 where the sum of the chart's own signals in ``x`` is more than a number, else 0: ``[T, B, 1]``."""
        # However the sum is rounded, it is 0 only if all are, and a sum of flags is exact.
        total = nodes.add("MatMul", x, own, name=f"{self.name}/{name}/sum")
        more = nodes.add("Greater", total, nodes.floats(f"{self.name}.{name}", than), name=f"{self.name}/{name}/more")
        return nodes.add("Cast", more, name=f"{self.name}/{name}", to=TensorProto.FLOAT)

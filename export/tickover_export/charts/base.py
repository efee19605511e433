"""What a kind of control chart says of itself.

A *bank* is a kind with its settings and a name, over the signals of a model; it makes one chart or many. A new kind is
one class in a file beside this one, and one line in ``registry``: its settings are the class's fields, ``kind`` in TOML
and JSON is the class's tag. Everything else (manifest, limits, clearing times, parity, ``tickover show``) asks the
class.

Charts are in residual units; residuals are clipped to ``+-clip``. A chart holds its value, to the last bit, while any
of its signals is missing, and it is bounded: a fault of any length clears in a time that can be stated.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct, structs

from tickover.core.manifest import MAX_SIGNALS, Name
from tickover.core.values import FloatArray
from tickover_export.nodes import Nodes

Share = Annotated[float, Meta(gt=0, le=1)]
"""Of an equal share of the false-alarm budget, how much each chart of a bank takes."""

ChosenSignals = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_SIGNALS)]
"""The field ``signals`` of a kind whose user chooses them."""


class NamedChart(NamedTuple):
    """One chart of a bank: its name in alerts, and the names of the signals that it looks at."""

    name: str
    signals: tuple[str, ...]


class ResidualTensors(NamedTuple):
    """What a bank's operators read: tensors ``[T, B, F]`` and the names of the F signals.

    ``residual`` is clipped, and 0 where not ``valid``; ``valid`` is 1 where the signal is present and the trip past its
    warm-up, else 0. ``values`` are the inputs as read, only scaled and clipped, 0 where missing.
    """

    residual: str
    valid: str
    values: str
    signals: tuple[str, ...]


class ReferenceTicks(NamedTuple):
    """What a bank's reference reads, float32 ``[T, F]``: ``residual`` clipped, NaN = not valid; ``values`` as in
    ``ResidualTensors``, NaN = missing. ``starts`` bool ``[T]``: a trip's first tick; ``signals``: the names.
    """

    residual: FloatArray
    values: FloatArray
    starts: npt.NDArray[np.bool_]
    signals: tuple[str, ...]


class ChartKind(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """A bank of charts of one kind. Subclasses state ``WORDS`` and every method that raises here."""

    WORDS: ClassVar[str]
    """What a chart of this kind shows, for people."""
    LEVEL: ClassVar[bool] = False
    """Whether a residual that stays off by a constant keeps such a chart up."""
    OLD_TAGS: ClassVar[tuple[str, ...]] = ()
    """What the kind was called before; still read."""

    name: Name
    share: Share = 1.0

    @property
    def kind(self) -> str:
        """The kind's name in TOML, JSON and the manifest."""
        return str(self.__struct_config__.tag)

    @property
    def settings(self) -> dict[str, float]:
        """The kind's own numbers, as the manifest keeps them."""
        fields = structs.asdict(self)
        return {key: value for key, value in fields.items() if key not in ("name", "share", "signals")}

    def charts(self, signals: Sequence[str]) -> tuple[NamedChart, ...]:
        """The bank's charts over a model's signals, in the order of the graph's output."""
        raise NotImplementedError

    def bound(self, clip: float) -> float:
        """The largest value that a chart can reach."""
        raise NotImplementedError

    @property
    def unit(self) -> float:
        """How large a chart is where the tensor that ``draw`` makes says 1."""
        return 1.0

    def falls(self, limit: float, bound: float, period_s: float) -> int:
        """Ticks with a zero residual until a chart that is at ``bound`` is under ``limit``, ``limit <= bound``."""
        raise NotImplementedError

    def reference(self, ticks: ReferenceTicks, period_s: float) -> FloatArray:
        """The charts ``[T, C]``, tick by tick in float32.

        It shares no code with the graph: parity is proven against it. The order of float32 operations is the graph's.
        """
        raise NotImplementedError

    def draw(self, nodes: Nodes, tensors: ResidualTensors, period_s: float) -> str:
        """Write the bank's operators into the graph: the tensor ``[T, B, C]`` of its charts over their ``unit``."""
        raise NotImplementedError

    def clearing_ticks(self, limit: float, bound: float, period_s: float) -> int:
        """Ticks from the bound until under ``limit`` once the residual is zero; 0 for a chart that cannot reach it."""
        return 0 if limit > bound else self.falls(limit, bound, period_s)


class HeldMean(NamedTuple):
    """A chart as a unit of the shared operator of running means.

    The mean of the residual, or of its first or second difference (``order``), or with ``squared`` of the square of
    that; at a valid tick ``share`` of it is replaced. ``finish`` is the ONNX operator that makes a chart of the mean.
    """

    squared: bool
    share: float
    finish: str
    order: int = 0


class ClampedSum(NamedTuple):
    """A chart as two units, high and low, of the shared operator of clamped sums: see ``cusum.Cusum``."""

    allowance: float
    saturation: float


class PerSignalKind(ChartKind, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind with one chart for each signal, run by an operator that all such banks share: see ``fused``.

    Subclasses state ``unit_of`` instead of ``draw``.
    """

    def charts(self, signals: Sequence[str]) -> tuple[NamedChart, ...]:
        """One chart for each signal, named after both."""
        return tuple(NamedChart(f"{signal}.{self.name}", (signal,)) for signal in signals)

    def unit_of(self, period_s: float) -> HeldMean | ClampedSum:
        """The bank's part in a shared operator."""
        raise NotImplementedError


def decay(span_s: float, period_s: float) -> float:
    """What an EWMA keeps of itself at a tick: ``1 - 2 / (span_s / period_s + 1)``, as the float32 that the graph holds.

    ``E' = decay * E + (1 - decay) * new``, in float32 and in this order, which is that of a GRU. A span of one tick or
    less keeps nothing.
    """
    return float(np.float32(max(0.0, 1.0 - 2.0 / (span_s / period_s + 1.0))))


def smooth(mean: FloatArray, value: FloatArray, kept: np.float32) -> FloatArray:
    """A running mean's next value. Over thousands of ticks the order of float32 operations matters: this is a GRU's."""
    return kept * mean + (np.float32(1.0) - kept) * value


def running_mean(values: FloatArray, span_s: float, period_s: float) -> FloatArray:
    """The running mean of ``values`` ``[T, N]``, NaN = missing: it holds; tick by tick."""
    kept = np.float32(decay(span_s, period_s))
    mean, means = np.zeros(values.shape[1], np.float32), np.empty(values.shape, np.float32)
    for tick, row in enumerate(values):
        mean = np.where(np.isfinite(row), smooth(mean, row, kept), mean)
        means[tick] = mean
    return means


def differences(ticks: ReferenceTicks, order: int) -> FloatArray:
    """The residual's first or second difference ``[T, F]``; NaN where one of its ticks is not valid or of another
    trip.
    """
    values = ticks.residual
    for _ in range(order):
        before = np.concatenate([np.full_like(values[:1], np.nan), values[:-1]])
        before[ticks.starts] = np.nan
        values = values - before
    return values

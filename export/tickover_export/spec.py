"""What is to be built: the description that training hands to the graph builder.

Weights come beside it as a dict of float32 arrays. With F signals, H hidden, Z bottleneck, W window and
G gates (rnn 1; gru 3 in torch's order r, z, n; lstm 4 in torch's order i, f, g, o) their names and shapes are::

    scaler.center, scaler.scale      [F]         normalised = (x - center) / scale, clipped to +-input_clip
    residual.center, residual.scale  [F]         residual = (normalised - expected - center) / scale, clipped to +-clip
    encoder.weight_ih                [G*H, 2F]   its input is (normalised with 0 for missing, mask with 1 = present);
                                             forecaster: [G*H, 3F], after these the change since the tick before
    encoder.weight_hh                [G*H, H]
    encoder.bias_ih, encoder.bias_hh [G*H]
    bottleneck.weight, .bias         [Z, H], [Z]                    autoencoder and seq2seq; then tanh
    decoder.weight_ih                [G*H, Z]; weight_hh, bias_ih, bias_hh as above   autoencoder and seq2seq
    output.weight, output.bias       [F, H], [F]                    expected, normalised

- autoencoder: encoder, bottleneck and decoder all advance with the tick; expected(t) from decoder h(t).
- forecaster: encoder only; expected(t) = previous(t) + output(h(t-1)), so it never sees x(t). previous(t) is the
  normalised value of tick t-1, 0 where it was missing and at a trip's start: the network learns the change. Its input
  (change) is normalised(t) - previous(t), 0 where either is missing.
- seq2seq: at each tick the encoder runs anew (zero state) over the last W ticks (unseen ones are missing); the
  bottleneck of its last h is the context; the decoder starts at zero, reads the context at every step and
  emits the window in reverse order, so that its first step is the current tick: the graph runs just that step.
"""

from typing import Annotated, ClassVar, Final, NamedTuple

import numpy as np
from msgspec import Meta, Struct

from tickover.core.manifest import (
    ColdStart,
    Name,
    Network,
    NotNegative,
    Positive,
    Signal,
)
from tickover.core.values import FloatArray
from tickover_export.charts.registry import Bank

RARE_SHARE: Final = 1e-3
"""Of a chart's usual part of the budget, for a level that wanders: it may alarm at gross faults only."""


class InputDrift(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Each signal's usual range ``low`` to ``high``, normalised, and the span of a slow mean of how far it is outside.

    That mean, per vehicle, never reset and held while missing, is subtracted from the normalised values before the
    network sees them; each tick uses the mean of the tick before. So a winter that the network has not met is moved
    back to where it knows the signals, and inside the usual range nothing changes.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    span_s: Positive


class PlannedChart(NamedTuple):
    """One chart of the graph's output: the bank that makes it, its name, and the signals that it looks at."""

    bank: Bank
    name: str
    signals: tuple[str, ...]


class GraphSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of the graph that is not a weight or a limit.

    Residuals count as missing (charts and baseline hold) while a trip is younger than ``warm_up_ticks``: the first
    ``warm_up_ticks`` ticks of a trip. With ``baseline_span_s`` a slow per-vehicle EWMA (never reset, held while
    missing) of each residual *clipped to +-clip* is subtracted from the unclipped residual, and the difference is
    clipped; each tick uses the baseline of the tick before. So one long fault cannot carry the baseline away.

    ``cold`` (one per signal, or none) divides the standardised residual by its spread at the trip's age, this tick
    counted: what a network cannot know yet is not held against the signal. Baseline and charts see the quotient.

    ``wandering`` names signals whose residual's level differs from trip to trip; the graph does not depend on it.
    """

    OLD_KEYS: ClassVar[dict[str, str]] = {"climate": "input_drift"}

    name: Name
    signals: tuple[Signal, ...]
    network: Network
    tick_period_s: Positive
    gap_limit_s: Positive
    lateness_s: NotNegative
    warm_up_ticks: Annotated[int, Meta(ge=0)]
    banks: tuple[Bank, ...]
    clip: Positive = 8.0
    input_clip: Positive = 10.0
    baseline_span_s: Positive | None = None
    cold: tuple[ColdStart, ...] = ()
    input_drift: InputDrift | None = None
    wandering: tuple[Name, ...] = ()

    @property
    def shares(self) -> FloatArray:
        """What part of an equal share of the budget each chart takes, ``[C]``: its bank's, and of that ``RARE_SHARE``
        where it watches a level that wanders.
        """
        rare = [chart.bank.LEVEL and not set(self.wandering).isdisjoint(chart.signals) for chart in self.charts]
        return np.where(rare, RARE_SHARE, 1.0).astype(np.float32) * np.array(
            [c.bank.share for c in self.charts], np.float32
        )

    @property
    def charts(self) -> tuple[PlannedChart, ...]:
        """The charts in the order of the graph's output: bank by bank."""
        names = [signal.name for signal in self.signals]
        return tuple(PlannedChart(bank, *chart) for bank in self.banks for chart in bank.charts(names))


class Horizons(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far back the network sees, in seconds: through its output, and through its state. None: not measured."""

    memory_s: NotNegative | None = None
    state_s: NotNegative | None = None

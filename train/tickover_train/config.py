"""The training configuration: a TOML file, every key with its default and meaning here.

Durations end in ``_s`` and are seconds. Residuals and charts are in units of the residual's own spread.
The defaults come from the experiments in ``docs/training.md``.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, Struct

from tickover.core.budget import parse_budget
from tickover.core.manifest import (
    Architecture,
    Budget,
    Cell,
    EpisodePolicy,
    NotNegative,
    Positive,
)
from tickover.errors import ConfigError
from tickover.host import toml
from tickover_export.charts.change import Change
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.frozen import Frozen
from tickover_export.charts.registry import Bank
from tickover_export.charts.spike import Spike

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=100_000)]

AUTO: Final = "auto"
"""``false_alarms``: the rarest budget of the ladder that the trips support."""


class NetworkConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[network]``: kind and size. ``window_s`` is how far seq2seq looks back; the other two carry their state."""

    cell: Cell = "gru"
    arch: Architecture = "autoencoder"
    hidden: Count = 64
    bottleneck: Count = 12
    window_s: Positive = 60.0


class FitConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[fit]``: optimisation.

    Trips run side by side in ``batch_rows``, ``chunk`` ticks at a time, state carried over; Adam with ``learning_rate``
    falling along a half cosine over at most ``epochs``; the gradient is clipped to ``gradient_clip``; stops after
    ``patience`` epochs without a better held-out loss. The loss is Huber's with its corner at ``huber``
    standard deviations. ``held_out`` is the share of the trips kept from the weights. ``device``: cpu, cuda, or auto.
    ``all_trips``: the product's network is fitted on all trips, once the folds are; otherwise it is the first fold's.
    """

    OLD_KEYS: ClassVar[dict[str, str]] = {"lanes": "batch_rows"}

    epochs: Count = 20
    batch_rows: Count = 16
    chunk: Count = 64
    learning_rate: Positive = 4e-3
    gradient_clip: Positive = 1.0
    patience: Count = 6
    huber: Positive = 1.0
    held_out: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    all_trips: bool = True


class CorruptionConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[corruption]``: what happens to the inputs in training, never to the targets.

    At any tick a signal is, with these probabilities, *missing* (``missing``), *foreign* (its values come from
    another trip), or *shifted* by a constant drawn from a normal distribution of ``shift_size`` standard
    deviations. Spans last ``span_s`` on average (exponential). So each signal learns to be expected from the others.
    """

    missing: Share = 0.1
    foreign: Share = 0.03
    shifted: Share = 0.03
    shift_size: Positive = 1.5
    span_s: Positive = 60.0


DEFAULT_BANKS: Final[tuple[Bank, ...]] = (
    Ewma(name="level", span_s=12.0),
    Change(name="change", span_s=90.0, share=0.3),
    Spike(name="spike", span_s=5.0, share=0.1),
    Frozen(name="frozen_bus", longest_s=600.0),
)


class ChartsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[charts]`` and ``[[charts.banks]]``: control charts; the kinds are in ``tickover_export.charts``.

    ``warm_up_s``: residuals of a trip's first ticks are ignored. Residuals are clipped to ``clip``, inputs to
    ``input_clip``. ``baseline_span_s`` subtracts a slow per-vehicle mean of each residual; 0 turns it off.
    ``input_drift_span_s`` subtracts a slow per-vehicle mean of how far each signal is outside its usual range;
    likewise.
    """

    OLD_KEYS: ClassVar[dict[str, str]] = {"climate_span_s": "input_drift_span_s"}

    banks: Annotated[tuple[Bank, ...], Meta(min_length=1)] = DEFAULT_BANKS
    warm_up_s: NotNegative = 30.0
    clip: Positive = 16.0
    input_clip: Positive = 10.0
    baseline_span_s: NotNegative = 1800.0
    input_drift_span_s: NotNegative = 1800.0


class CalibrationConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[calibration]``: ``false_alarms`` as ``N/DURATION``, or ``auto``: the rarest budget of the ladder that the
    trips support; ``folds`` networks are fitted, each blind to other trips.

    With ``folds = 1`` the limits rest on the held-out trips of the one network only. A limit is never below
    ``floor``, in units of the chart.
    """

    false_alarms: str = AUTO
    folds: Annotated[int, Meta(ge=1, le=20)] = 4
    floor: Positive = 0.1


class TrainConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. ``name`` is the model's name; ``seed`` decides weights, splits and corruption."""

    name: str = "tickover"
    seed: int = 0
    network: NetworkConfig = NetworkConfig()
    fit: FitConfig = FitConfig()
    corruption: CorruptionConfig = CorruptionConfig()
    charts: ChartsConfig = ChartsConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    episodes: EpisodePolicy = EpisodePolicy()

    @property
    def budget(self) -> Budget | None:
        """The false-alarm budget asked for; None: the rarest that the trips support."""
        text = self.calibration.false_alarms
        return None if text.strip().lower() == AUTO else parse_budget(text, "calibration.false_alarms")


def load_config(path: Path | None) -> TrainConfig:
    """Read a config file, or the defaults when there is none; ConfigError names file and key."""
    if path is None:
        return TrainConfig()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a readable UTF-8 file: {error}") from error
    config = toml.decode(text, TrainConfig, str(path))
    names = [bank.name for bank in config.charts.banks]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"{path}: key 'charts.banks': expected a name of its own for each bank, got {', '.join(names)}"
        )
    return config

"""Settings that change how alerts are made without a new export: ``[episodes]``, ``[sensors]`` and ``[sensitivity]``,
TOML.

``[episodes]`` and ``[sensors]`` replace single keys of the model's own policies; ``[sensitivity]`` multiplies one
signal's charts: 2.0 alarms at half the deviation, 0.5 at twice, 0.0 mutes the signal and its sensor.
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from tickover.core.manifest import (
    EpisodePolicy,
    FollowBack,
    Manifest,
    NotNegative,
    Positive,
    SensorKind,
    SensorPolicy,
)
from tickover.errors import ConfigError, suggestion

Factor = Annotated[float, Meta(ge=0, le=100)]


class EpisodeOverrides(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The keys of ``manifest.EpisodePolicy``; None keeps the model's own number."""

    OLD_KEYS: ClassVar[dict[str, str]] = EpisodePolicy.OLD_KEYS

    open_after_s: NotNegative | None = None
    close_after_s: NotNegative | None = None
    close_level: Annotated[float, Meta(gt=0, le=1)] | None = None
    hold_off_s: NotNegative | None = None
    no_data_s: Positive | None = None
    update_every_s: Positive | None = None
    major_level: Annotated[float, Meta(ge=1)] | None = None
    critical_level: Annotated[float, Meta(ge=1)] | None = None
    top_signals: Annotated[int, Meta(ge=1, le=32)] | None = None
    freeze_frame_ticks: Annotated[int, Meta(ge=1, le=600)] | None = None
    update_on_signal: bool | None = None
    hold_slow_means: bool | None = None
    skip_carried: bool | None = None
    adapt_limits: bool | None = None
    persist_s: NotNegative | None = None
    follow_back: FollowBack | None = None


class SensorOverrides(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The keys of ``manifest.SensorPolicy``; None keeps the model's own."""

    kinds: tuple[SensorKind, ...] | None = None
    outside_s: Positive | None = None
    departed_s: Positive | None = None
    stale_s: Positive | None = None
    unseen_s: Positive | None = None
    frozen_s: Positive | None = None
    update_every_s: Positive | None = None


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a user may set; empty settings leave the model's own numbers."""

    episodes: EpisodeOverrides = EpisodeOverrides()
    sensors: SensorOverrides = SensorOverrides()
    sensitivity: dict[str, Factor] = {}

    def policy(self, manifest: Manifest) -> EpisodePolicy:
        """The model's episode policy with the overrides; ConfigError when they leave no room for ``major``."""
        policy = msgspec.structs.replace(manifest.episodes, **msgspec.to_builtins(self.episodes))
        if policy.major_level > policy.critical_level:
            levels = f"{policy.major_level:g} and {policy.critical_level:g}"
            raise ConfigError(f"episodes: expected major_level up to critical_level, got {levels}")
        return policy

    def sensor_policy(self, manifest: Manifest) -> SensorPolicy:
        """The model's sensor policy with the overrides."""
        set_ = {key: value for key, value in msgspec.structs.asdict(self.sensors).items() if value is not None}
        return msgspec.structs.replace(manifest.sensors, **set_)

    def check(self, manifest: Manifest, name: str = "settings") -> None:
        """ConfigError when a sensitivity names a signal that the model does not have; ``name`` is the file."""
        for signal in self.sensitivity:
            if signal not in manifest.names:
                raise ConfigError(
                    f"{name}: key 'sensitivity.{signal}': expected a signal of the model; "
                    f"{suggestion(signal, manifest.names)}"
                )

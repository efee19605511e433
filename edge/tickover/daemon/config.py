"""The daemon's configuration: one TOML file, checked whole before anything connects (`ConfigError`, exit code 78)."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct, field

from tickover.core.arrivals import DEFAULT_WINDOW
from tickover.core.gate import Gate
from tickover.core.manifest import MEMORY_MB, SENSOR_PREFIX
from tickover.core.policy import EpisodeOverrides, Factor, SensorOverrides
from tickover.core.values import SECOND
from tickover.daemon.late import REPLAYED
from tickover.daemon.shards import Fleet, number_of
from tickover.daemon.sources import Tables
from tickover.errors import ConfigError
from tickover.host import toml
from tickover.host.toml import Seconds, SecondsOrOff
from tickover.messages.notices import Kind
from tickover.payloads.base import Input
from tickover.transports.base import Level


class Model(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model file; ``detector`` names it in topics and alerts. ``memory_mb``: what it may take of memory."""

    path: str
    detector: Level = "anomaly"
    memory_mb: Annotated[int, Meta(ge=1, le=4096)] = MEMORY_MB


class State(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The state folder and when it is written; docs/daemon.md says what each costs."""

    folder: str
    commit_s: Seconds = 5.0
    idle_s: Seconds = 0.05
    checkpoint_s: Seconds = 600.0
    retry_s: Seconds = 5.0


class OutboxBounds(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The most that may wait for the broker, and how long delivered messages are kept.

    A topic that the broker refused is tried again every ``refused_retry_s``.
    """

    rows: Annotated[int, Meta(ge=10, le=10_000_000)] = 10_000
    bytes: Annotated[int, Meta(ge=100_000, le=2**40)] = 32 * 2**20
    keep_s: SecondsOrOff = 0.0
    refused_retry_s: Seconds = 60.0


class Vehicles(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How vehicles come, fall silent and go. 0 switches a limit off.

    ``gate``: readings count only while it holds (``engine_speed > 400``). ``silence_s`` without readings closes open
    ticks; ``stale_s`` without readings of one signal, while others come, raises the staleness alarm; ``sleep_s``
    unseen puts the vehicle's state to disk. ``max_ahead_s``: a reading further ahead of a synced clock is refused.
    ``commands_for_all``: whether one command may shelve, put out of service or reset every vehicle.
    ``late``: what becomes of readings from before the current ones: dropped, or run in a stream of their own.
    ``late_share``: a larger share of late readings in a minute raises the data-quality alarm.
    """

    OLD_KEYS: ClassVar[dict[str, str]] = {"most": "max"}

    gate: str | None = None
    silence_s: SecondsOrOff = 30.0
    stale_s: SecondsOrOff = 60.0
    sleep_s: SecondsOrOff = 3600.0
    max: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    max_ahead_s: Seconds = 60.0
    clock: Literal["auto", "synced", "unsynced"] = "auto"
    commands_for_all: bool = False
    late: Literal["drop", "replay"] = "drop"
    late_share: Annotated[float, Meta(gt=0, le=1)] = 0.2


class Dedup(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``window``: a reading that comes again, with its time and values, within so many seconds of the vehicle's event
    time is a repeat, whatever the broker or a gateway did; 0 = repeats are told by packet identifier only."""

    window: SecondsOrOff = DEFAULT_WINDOW / SECOND


class Out(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where messages go: ``<base>/v1/<vehicle>/…``; the daemon's own are under ``node`` (absent: the client id).

    ``score_s``: publish each vehicle's score no more often than this; 0 = never. ``bytes_per_day``: what may go up in a
    day for each vehicle, 0 = no limit; `tickover.daemon.uplink` says what is left out first. ``metrics_port``:
    Prometheus text on loopback; 0 = off.
    """

    base: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^+#\x00-\x1f\x7f-\x9f]+$(?!\n)")] = "tickover"
    node: Level | None = None
    health_s: Seconds = 60.0
    score_s: SecondsOrOff = 0.0
    bytes_per_day: Annotated[int, Meta(ge=0, le=2**40)] = 0
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 0


class Config(Tables, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    inputs: tuple[Input, ...] = ()
    models: Annotated[tuple[Model, ...], Meta(min_length=1)]
    state: State
    outbox: OutboxBounds = OutboxBounds()
    fleet: Fleet = Fleet()
    vehicles: Vehicles = Vehicles()
    dedup: Dedup = Dedup()
    out: Out = Out()
    sensitivity: dict[str, Factor] = field(default_factory=dict)
    episodes: EpisodeOverrides = EpisodeOverrides()
    sensors: SensorOverrides = SensorOverrides()

    @property
    def node(self) -> str:
        """The name of the daemon's own topics."""
        return self.out.node or self.client_id


def load_config(path: Path) -> Config:
    """Read and check a configuration file; ConfigError names file and key."""
    config = toml.decode(toml.read(path), Config, str(path))
    for where, problem in _problems(config):
        raise ConfigError(f"{path}: {where}: {problem}")
    try:
        return _of_shard(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _of_shard(config: Config) -> Config:
    """The configuration of one of several daemons: its number, and names, a folder and a port of its own."""
    if config.fleet.shards == 1:
        return config
    number, out = number_of(config.fleet), config.out
    replace = msgspec.structs.replace
    return replace(
        config,
        fleet=replace(config.fleet, shard=number),
        broker=replace(config.broker, client_id=f"{config.broker.client_id}-{number}"),
        state=replace(config.state, folder=str(Path(config.state.folder) / f"shard-{number}")),
        out=replace(
            out,
            node=f"{out.node}-{number}" if out.node else None,
            metrics_port=out.metrics_port + number if out.metrics_port else 0,
        ),
    )


def _problems(config: Config) -> list[tuple[str, str]]:
    found = config.transport_problems()
    found += [(f"inputs[{number}]", item.problem()) for number, item in enumerate(config.inputs)]
    if not config.inputs and not config.buses:
        found.append(("inputs", "expected at least one table [[inputs]], or a table [bus]; got none"))
    names = [model.detector for model in config.models]
    if len(set(names)) < len(names):
        found.append(("models", f"expected a different detector name for each, got {', '.join(names)}"))
    if taken := sorted({*names} & {*Kind}):
        found.append(("models", f"expected a detector's name that no notice has, got {', '.join(taken)}"))
    if taken := sorted(name for name in names if name.startswith(SENSOR_PREFIX)):
        found.append(("models", f"expected a detector's name that no sensor has, got {', '.join(taken)}"))
    if clash := sorted({*names} & {f"{name}{REPLAYED}" for name in names}):
        found.append(("models", f"expected no detector named as the late stream of another, got {', '.join(clash)}"))
    found.append(("vehicles.gate", Gate.problem(config.vehicles.gate)))
    return [(where, problem) for where, problem in found if problem]

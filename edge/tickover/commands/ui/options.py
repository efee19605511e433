"""Options and arguments that several commands share."""

import math
from pathlib import Path
from typing import Any, Final, get_args

import click
import msgspec

from tickover.commands.ui.files import FILE
from tickover.core.manifest import Manifest
from tickover.core.policy import Settings
from tickover.core.time_format import parse_time
from tickover.errors import ConfigError
from tickover.logs.mapping import LogLayout, Mapping, check_mapping, check_zone, completed, mapping_of
from tickover.logs.reading import load_mapping, other_dbc
from tickover.payloads.can.catalogue import J1939Mode
from tickover.payloads.can.shipped import Names

VEHICLE: Final = "truck-1"
"""Default vehicle of a log."""


BUS_KEYS: Final = ("dbc", "j1939", "names", "zone", "times", "spn_method")
"""The keys of a layout that these options set."""
_BUS_OPTIONS: Final = (
    click.option(
        "--dbc",
        type=FILE,
        multiple=True,
        metavar="FILE",
        help="Of a CAN recording: the DBC with its signals; repeatable. Default: the known J1939 and OBD signals.",
    ),
    click.option(
        "--j1939",
        type=click.Choice(get_args(J1939Mode)),
        help="Of a CAN recording: tell 29-bit messages by their PGN. Default: auto, as the DBC says.",
    ),
    click.option(
        "--names",
        type=click.Choice(get_args(Names)),
        help="Of a CAN recording: signals are called as in the DBC, by tickover's names, or by their VSS path.",
    ),
    click.option("--zone", metavar="ZONE", help="Zone of wall clocks without one, as Europe/Berlin. Default: UTC."),
    click.option(
        "--times",
        type=click.Choice(("auto", "delta", "elapsed")),
        help="Times of a candump that are not absolute: between lines (delta), or since the start (elapsed).",
    ),
    click.option(
        "--spn-method",
        type=click.IntRange(1, 3),
        help="How the SPN of trouble codes of conversion method 1 is read: 1, 2 or 3. Default: left open.",
    ),
)


def bus_options(command: Any) -> Any:
    """The options that say how a recording of a bus is read."""
    for option in reversed(_BUS_OPTIONS):
        command = option(command)
    return command


def split_bus(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of `bus_options`, and the rest."""
    bus = {name: options[name] for name in BUS_KEYS}
    return bus, {key: value for key, value in options.items() if key not in BUS_KEYS}


def with_bus(mapping: Mapping, **bus: Any) -> Mapping:
    """The mapping with the options of `bus_options` that were given."""
    if not any(bus.values()):
        return mapping
    time = msgspec.structs.replace(mapping.time, zone=bus["zone"]) if bus.get("zone") else mapping.time
    return msgspec.structs.replace(mapping, log=layout_of(mapping.log, **bus), time=time)


def layout_of(layout: LogLayout | None = None, **bus: Any) -> LogLayout:
    """A layout with the options of `bus_options` that were given; ConfigError when the zone is unknown."""
    given = {key: value for key, value in bus.items() if value}
    if "dbc" in given:
        given["dbc"] = tuple(str(path) for path in given["dbc"])
    if "zone" in given:
        check_zone(given["zone"], "--zone")
    return msgspec.structs.replace(layout or LogLayout(), **given)


_LOG_OPTIONS: Final = (
    click.option("--rate-hz", type=float, metavar="HZ", help="Rows per second of logs without a time column."),
    click.option("--time-column", metavar="NAME", help="Column that holds the time. Default: found."),
    click.option(
        "--time-format",
        metavar="FORMAT",
        help="Order of day and month in dates (dmy, mdy, ymd), or a pattern such as '%d/%m/%Y %H:%M'. Default: found.",
    ),
    click.option("--decimal", type=click.Choice((".", ",")), help="Decimal mark. Default: found."),
    click.option("--vehicle-column", metavar="NAME", help="Column that names the vehicle. Default: found."),
    click.option("--missing", multiple=True, metavar="TEXT", help="A further text for no value in cells; repeatable."),
)


def log_options(command: Any) -> Any:
    """The options that say how rows are read, where a mapping is proposed; with `bus_options`."""
    for option in reversed(_LOG_OPTIONS):
        command = option(command)
    return bus_options(command)


def given_mapping(map_file: Path | None, **options: Any) -> Mapping:
    """What a mapping file, which may be partial, and the options of `log_options` say; ConfigError when it is wrong."""
    given = load_mapping(map_file, partial=True) if map_file else Mapping()
    bus = {key: options[key] for key in BUS_KEYS}
    time = {"column": options["time_column"], "format": options["time_format"], "rate_hz": options["rate_hz"]}
    log = {key: options[key] for key in ("decimal", "vehicle_column", "missing")}
    time = {key: value for key, value in time.items() if value is not None}
    if "rate_hz" in time:
        time["kind"] = "rate"
    mapping = msgspec.structs.replace(
        with_bus(given, **bus),
        time=msgspec.structs.replace(given.time, **time),
        log=msgspec.structs.replace(layout_of(given.log, **bus), **{key: value for key, value in log.items() if value}),
    )
    check_mapping(mapping, "options" if map_file is None else f"{map_file} with options", partial=True)
    return mapping


def mapping_for(manifest: Manifest, map_file: Path | None, **bus: Any) -> Mapping:
    """The mapping for logs of a model: the one it carries, or a mapping file's; a partial file changes the model's."""
    own = mapping_of(manifest)
    given = load_mapping(map_file, partial=True) if map_file else None
    chosen = own if given is None else given if given.signals else completed(given, own)
    mapping = with_bus(chosen, **bus)
    other = other_dbc(mapping.log, own.log.trained_with)
    if other:
        click.echo(f"note: {other}", err=True)
    return mapping


def speed_of(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """The number given to --speed; ``max`` is infinity."""
    try:
        speed = math.inf if value == "max" else float(value)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise click.BadParameter(f"expected a number above 0, or max, got {value!r}")
    return speed


def settings_of(mapping: Mapping, manifest: Manifest, map_file: Path | None) -> Settings:
    """The mapping file's own ``[episodes]`` and ``[sensitivity]``; ConfigError when nothing in it fits the model."""
    name = str(map_file or "mapping")
    settings = Settings(episodes=mapping.episodes, sensors=mapping.sensors, sensitivity=mapping.sensitivity)
    settings.check(manifest, name)
    missing = [signal for signal in manifest.names if signal not in mapping.names]
    if len(missing) == len(manifest.names):
        raise ConfigError(
            f"{name}: key 'signals': expected signals of the model ({', '.join(manifest.names)}), "
            f"got {', '.join(mapping.names)}"
        )
    if missing:
        click.echo(f"{name}: not mapped, so always missing: {', '.join(missing)}", err=True)
    return settings


def start_of(ctx: click.Context, param: click.Parameter, value: str | None) -> int:
    """The time given to --start, microseconds; 0 for none."""
    try:
        return parse_time(value) if value else 0
    except ValueError:
        raise click.BadParameter(f"expected an ISO 8601 time or epoch seconds, got {value!r}") from None


map_option: Final = click.option(
    "--map",
    "map_file",
    type=FILE,
    metavar="FILE",
    help="Mapping of columns to signals. Default: the one in the model, or by name.",
)
start_option: Final = click.option(
    "--start", callback=start_of, metavar="TIME", help="Start of logs that count seconds. Default: 1970-01-01."
)

"""The mapping file (TOML): which column of a log is which signal, in which unit, within which range.

Sections: ``[time]``, ``[log]``, ``[ticks]`` and one ``[signals.<name>]`` per signal. Every key is documented
at its struct below and in docs/logs.md; unknown keys are refused with a suggestion.
"""

import math
from collections import Counter
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from tickover.core.manifest import (
    MAX_SIGNALS,
    Manifest,
    Name,
    NotNegative,
    Positive,
    Signal,
    SignalRules,
)
from tickover.core.policy import EpisodeOverrides, Factor, SensorOverrides
from tickover.errors import ConfigError
from tickover.host import toml
from tickover.logs import dates
from tickover.payloads.can.catalogue import J1939Mode
from tickover.payloads.can.shipped import Names
from tickover.payloads.can.trouble_codes import SpnMethod

TimeKind = Literal[
    "auto",
    "iso",
    "date",
    "epoch_s",
    "epoch_ms",
    "epoch_us",
    "epoch_ns",
    "excel",
    "time_of_day",
    "seconds",
    "minutes",
    "hours",
    "elapsed",
    "rate",
]
RELATIVE_KINDS: Final = ("seconds", "minutes", "hours", "elapsed", "rate")
"""The kinds that count from the start of the log."""

MIN_PERIOD_S: Final = 0.001
CELL_KEYS: Final = ("column", "source", "channel", "unit", "scale", "offset")
"""The keys of a signal that say how its cell is read."""


class TimeColumn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where the time of a row is.

    ``column`` empty: found by its name (``formats.times.TIME_NAMES``). ``kind``: ``iso``, ``date`` (other dates, in the
    order or pattern of ``format``), ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``, ``excel`` (days since
    the end of 1899), ``time_of_day`` (passes midnight; the date comes from ``--start``, or from ``date_column``),
    ``seconds``, ``minutes``, ``hours`` and ``elapsed`` (``mm:ss``, ``h:mm:ss``), which count from ``--start``, ``rate``
    (no time column: row k is at k / ``rate_hz``), ``auto`` (detected from the first values). ``zone``: where
    the clock was, for times that do not say it; empty = UTC.
    """

    column: str = ""
    kind: TimeKind = "auto"
    rate_hz: Positive | None = None
    format: Annotated[str, Meta(max_length=80)] = ""
    zone: Annotated[str, Meta(max_length=80)] = ""
    date_column: str = ""


class LogLayout(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How the rows are laid out.

    ``layout``: ``wide`` (a column per signal) or ``long`` (a row per reading, with ``signal_column`` and
    ``value_column``). ``vehicle_column``: empty when the log is of one vehicle. ``delimiter``: empty = found.
    ``decimal``: the decimal mark; empty = found. ``encoding``: empty = UTF-8, else Windows-1252. ``missing``: further
    texts that hold no reading. ``by_name``: in a log without a signal's column, one with the signal's name is read as
    it is; this is how a model reads logs of other loggers.

    Of recordings of a CAN bus: ``dbc``: the files that name its signals (a path counts from the mapping's folder);
    none = the shipped J1939 and OBD signals. ``j1939``: whether 29-bit messages are told by their PGN; ``auto`` asks
    the DBC. ``names``: what signals are called. ``zone``: that of ``time``, whose old name it is in a file. ``times``:
    what a candump's times count from, where it does not say; ``delta`` sums them. ``spn_method``: how the SPN of
    trouble codes of conversion method 1 is read; 0 leaves it open. ``trained_with``: in the mapping that a model
    carries, the DBC files it was trained with, by name and digest (`reading.dbc_marks`): which of them are to be given.
    """

    layout: Literal["wide", "long"] = "wide"
    delimiter: Literal["", ",", ";", "\t", "|", " ", "^", "~", "!", ":"] = ""
    decimal: Literal["", ".", ","] = ""
    encoding: Annotated[str, Meta(max_length=40)] = ""
    vehicle_column: str = ""
    signal_column: str = "signal"
    value_column: str = "value"
    dbc: tuple[str, ...] = ()
    j1939: J1939Mode = "auto"
    names: Names = "dbc"
    zone: Annotated[str, Meta(max_length=64)] = ""
    times: Literal["auto", "delta", "elapsed"] = "auto"
    spn_method: SpnMethod = 0
    missing: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    by_name: bool = False
    trained_with: Annotated[tuple[Annotated[str, Meta(max_length=400)], ...], Meta(max_length=100)] = ()


class TickRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fixed period of the ticks, the gap that ends a trip, and how late a reading may come; seconds."""

    period_s: Annotated[float, Meta(ge=MIN_PERIOD_S, le=86_400)] = 1.0
    gap_limit_s: Positive = 30.0
    lateness_s: NotNegative = 2.0


class SignalColumn(SignalRules, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One signal: ``value = cell * scale + offset``, in ``unit``; the rest as in a manifest.

    ``column`` empty: the column has the name of the signal (in a long log: the text in ``signal_column``). ``source``:
    the J1939 source address that it comes from; None = the first that has a value. ``channel``: the bus that it comes
    from, in a recording of several, by its name (``can1``) or number (``bus2``).
    """

    column: str = ""
    source: Annotated[int, Meta(ge=0, le=255)] | None = None
    channel: Annotated[str, Meta(max_length=64)] = ""
    scale: float = 1.0
    offset: float = 0.0


class Mapping(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole mapping; the order of ``signals`` is the order of the values in ``Readings``.

    Without ``signals`` it is partial: the rest is proposed from a log (`inspection`), or taken from a model.
    ``episodes``, ``sensors`` and ``sensitivity`` are the tables of ``core.policy.Settings``; only `replay` uses them.
    """

    signals: dict[Name, SignalColumn] = {}
    time: TimeColumn = TimeColumn()
    log: LogLayout = LogLayout()
    ticks: TickRule = TickRule()
    episodes: EpisodeOverrides = EpisodeOverrides()
    sensors: SensorOverrides = SensorOverrides()
    sensitivity: dict[str, Factor] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The signals' names, in order."""
        return tuple(self.signals)

    @property
    def columns(self) -> tuple[str, ...]:
        """The signals' columns, in order."""
        return tuple(signal.column or name for name, signal in self.signals.items())

    def manifest_signals(self) -> tuple[Signal, ...]:
        """The signals as a manifest holds them, in order."""
        return tuple(Signal(name=name, **column.rules()) for name, column in self.signals.items())

    def to_toml(self) -> str:
        """The mapping as TOML text; ``parse_mapping`` of it gives an equal mapping."""
        tables = {
            "time": self.time,
            "log": self.log,
            "ticks": self.ticks,
            "episodes": self.episodes,
            "sensors": self.sensors,
        }
        sections = {name: _plain(table) for name, table in tables.items()}
        zone = sections["log"].pop("zone", "")
        if zone:
            sections["time"].setdefault("zone", zone)
        sections["sensitivity"] = dict(self.sensitivity)
        for name, signal in self.signals.items():
            sections[toml.table_name("signals", name)] = _cell_first(_plain(signal))
        return toml.encode({name: values for name, values in sections.items() if values or "." in name})


CARRIED: Final = "the model's mapping"


def parse_mapping(text: str, name: str = "mapping", *, partial: bool = False) -> Mapping:
    """Read a mapping from TOML text; ``name`` stands for the file in messages. ``partial``: it may name no signal."""
    mapping = toml.decode(text, Mapping, name)
    if mapping.log.zone and name != CARRIED:
        toml.tell_renamed(name, "key 'log.zone'", "'time.zone'")
        if mapping.time.zone not in ("", mapping.log.zone):
            both = f"{mapping.log.zone!r} and {mapping.time.zone!r}"
            raise ConfigError(f"{name}: key 'log.zone': expected 'time.zone' alone, got {both}")
    mapping = with_zone(mapping, mapping.time.zone or mapping.log.zone)
    check_mapping(mapping, name, partial=partial)
    return mapping


def with_zone(mapping: Mapping, zone: str) -> Mapping:
    """The mapping with the zone of clocks that name none, for rows and for recordings of a bus alike."""
    time, log = (msgspec.structs.replace(table, zone=zone) for table in (mapping.time, mapping.log))
    return msgspec.structs.replace(mapping, time=time, log=log)


def mapping_of(manifest: Manifest) -> Mapping:
    """The mapping for logs of a model: the one of the logs that it was trained on, which it carries.

    A log without those columns is read by the names of the model's signals; so are all logs of a model that carries no
    mapping. The signals' rules and the ticks are the manifest's.
    """
    ticks = TickRule(period_s=manifest.tick_period_s, gap_limit_s=manifest.gap_limit_s, lateness_s=manifest.lateness_s)
    text = manifest.log_mapping
    carried = parse_mapping(text, CARRIED) if isinstance(text, str) else Mapping()
    signals = {}
    for signal in manifest.signals:
        column = carried.signals.get(signal.name, SignalColumn())
        signals[signal.name] = msgspec.structs.replace(column, **signal.rules())
    return Mapping(signals=signals, time=carried.time, log=carried.log, ticks=ticks)


def to_carry(mapping: Mapping, trained_with: tuple[str, ...] = ()) -> str:
    """The mapping as a model carries it: TOML text, read by names too where a log has other columns.

    ``trained_with``: which DBC files it names. They stay where they are, being larger than models, and often secret.
    """
    log = msgspec.structs.replace(mapping.log, by_name=True, dbc=(), trained_with=trained_with)
    return Mapping(signals=mapping.signals, time=mapping.time, log=log, ticks=mapping.ticks).to_toml()


def completed(partial: Mapping, whole: Mapping) -> Mapping:
    """A mapping without signals, with the signals of another, whose time and log it overrules."""
    time = msgspec.structs.replace(whole.time, **msgspec.to_builtins(partial.time))
    log = msgspec.structs.replace(whole.log, **msgspec.to_builtins(partial.log))
    return Mapping(
        signals=whole.signals,
        time=time,
        log=log,
        ticks=whole.ticks,
        episodes=partial.episodes,
        sensitivity=partial.sensitivity,
    )


def _plain(table: Struct) -> dict[str, toml.Scalar]:
    values: dict[str, toml.Scalar | None] = msgspec.to_builtins(table)
    return {key: value for key, value in values.items() if value is not None}


def _cell_first(table: dict[str, toml.Scalar]) -> dict[str, toml.Scalar]:
    """A signal's table with the keys in the order of docs/logs.md: first how its cell is read."""
    ordered = {key: table[key] for key in (*CELL_KEYS, *table) if key in table}
    source = ordered.get("source")
    return ordered | {"source": _Address(source)} if isinstance(source, int) else ordered


class _Address(int):
    """A source address, which people write as two hexadecimal digits."""

    def __repr__(self) -> str:
        return f"0x{self:02X}"


def check_mapping(mapping: Mapping, name: str, *, partial: bool = False) -> None:
    """ConfigError for what types alone cannot say is wrong; ``name`` stands for the mapping in it."""
    if not (partial or mapping.signals) or len(mapping.signals) > MAX_SIGNALS:
        raise ConfigError(f"{name}: key 'signals': expected 1 to {MAX_SIGNALS} signals, got {len(mapping.signals)}")
    _check_time(mapping, name)
    _check_log(mapping, name)
    for signal, column in mapping.signals.items():
        where = f"{name}: key 'signals.{signal}"
        if not (math.isfinite(column.low) and math.isfinite(column.high) and column.low < column.high):
            raise ConfigError(f"{where}.low': expected finite low < high, got {column.low} .. {column.high}")
        if not (math.isfinite(column.scale) and column.scale != 0 and math.isfinite(column.offset)):
            raise ConfigError(
                f"{where}.scale': expected a finite scale other than 0 and a finite offset, "
                f"got {column.scale} and {column.offset}"
            )


def _check_time(mapping: Mapping, name: str) -> None:
    time = mapping.time
    check_zone(time.zone, f"{name}: key 'time.zone'")
    if time.format and "%" not in time.format and time.format not in dates.ORDERS:
        raise ConfigError(
            f"{name}: key 'time.format': expected {', '.join(dates.ORDERS)} or a pattern such as %d/%m/%Y %H:%M:%S, "
            f"got '{time.format}'"
        )
    if (time.kind == "rate") != (time.rate_hz is not None):
        raise ConfigError(f"{name}: key 'time.rate_hz': expected with kind = \"rate\" and only then, got {time.kind}")
    if time.kind == "rate" and time.column:
        raise ConfigError(f"{name}: key 'time.column': expected none with kind = \"rate\", got '{time.column}'")
    if time.kind == "rate" and (mapping.log.vehicle_column or mapping.log.layout == "long"):
        raise ConfigError(
            f"{name}: key 'time.kind': a fixed rate needs a wide log of one vehicle; "
            "a log with a vehicle column or long rows needs a time column"
        )


def _check_log(mapping: Mapping, name: str) -> None:
    log = mapping.log
    check_zone(log.zone, f"{name}: key 'log.zone'")
    if log.decimal == "," and log.delimiter == ",":
        raise ConfigError(f"{name}: key 'log.decimal': expected another mark than the delimiter ','")
    columns = mapping.columns
    places = Counter(
        (column, signal.source, signal.channel)
        for column, signal in zip(columns, mapping.signals.values(), strict=True)
    )
    twice = sorted({column for (column, *_), times in places.items() if times > 1})
    if twice:
        raise ConfigError(f"{name}: key 'signals': expected one signal per column; mapped twice: {', '.join(twice)}")
    try:
        encoded = "a,b;1\n".encode(log.encoding or "utf-8")
    except (LookupError, UnicodeError) as error:
        raise ConfigError(
            f"{name}: key 'log.encoding': expected a known text encoding, got '{log.encoding}'"
        ) from error
    if encoded != b"a,b;1\n":
        raise ConfigError(
            f"{name}: key 'log.encoding': expected an encoding that keeps ASCII, got '{log.encoding}'; "
            "convert the log to UTF-8"
        )


def check_zone(zone: str, where: str) -> None:
    """ConfigError when this machine does not know the time zone; empty is UTC."""
    try:
        if zone and dates.offset_in(zone, 0) is False:
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"{where}: expected a time zone such as Europe/Berlin or +02:00, got '{zone}'; a machine without zone data "
            "needs Debian's tzdata or pip install tzdata"
        ) from error

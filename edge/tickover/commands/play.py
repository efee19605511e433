"""``tickover play``: publish a recorded log as a truck would."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tickover.commands.ui.broker import (
    SIGNALS_TOPIC,
    broker_options,
    connection_of,
    stop_like_ctrl_c,
)
from tickover.commands.ui.files import FILE
from tickover.commands.ui.options import (
    VEHICLE,
    bus_options,
    layout_of,
    mapping_for,
    speed_of,
    split_bus,
    with_bus,
)
from tickover.commands.ui.sending import Sender
from tickover.commands.ui.terminal import INTERRUPTED
from tickover.commands.ui.words import many
from tickover.core.time_format import parse_time
from tickover.core.values import SECOND, Readings
from tickover.jobs.play import Pace, messages
from tickover.logs.mapping import LogLayout, Mapping
from tickover.logs.reading import load_mapping, log_is_relative, read_log
from tickover.transports.mqtt.client import MqttClient


@click.command()
@click.argument("log", type=FILE)
@broker_options
@click.option(
    "--speed",
    callback=speed_of,
    default="1",
    metavar="N|max",
    help="Speed as a multiple of the recorded one. Default: 1.",
)
@click.option(
    "--vehicle",
    default=VEHICLE,
    show_default=True,
    metavar="NAME",
    help="Vehicle of the log, unless a column names it.",
)
@click.option(
    "--start", metavar="TIME|now", help="Shift the log so that it begins at this time (ISO 8601 or epoch seconds)."
)
@click.option(
    "--map",
    "map_file",
    type=FILE,
    metavar="FILE",
    help="Mapping. Default: the model's, or the one that `tickover inspect` proposes.",
)
@click.option(
    "--model", type=FILE, metavar="MODEL.onnx", help="Read the log as this model reads it, and send its signals' names."
)
@bus_options
@click.option(
    "--topic",
    default=SIGNALS_TOPIC,
    show_default=True,
    metavar="TOPIC",
    help="Topic to publish to; must contain {vehicle}.",
)
def play(
    log: Path,
    speed: float,
    vehicle: str,
    start: str | None,
    map_file: Path | None,
    model: Path | None,
    topic: str,
    **options: Any,
) -> None:
    """Publish the recorded LOG as a truck would: one JSON object per row, QoS 1, at the recorded pace.

    Times stay as recorded unless --start is given. A log that counts seconds from its own start begins now: the daemon
    refuses times before 2000, which are of a wrong unit. At a gap in the log the command waits for at most a minute.
    The daemon refuses readings that are far ahead of its clock: with --start now, leave --speed at 1.
    """
    bus, broker = split_bus(options)
    begin = _moment(start)
    mapping = _mapping(log, map_file, model, bus)
    counted = begin is None and log_is_relative(log, mapping)
    begin = _moment("now") if counted else begin
    counts: Counter[str] = Counter()
    stop_like_ctrl_c()
    with MqttClient(connection_of(**broker)) as client:
        if counted:
            click.echo(f"{log}: the times count from the log's start, which is now (--start sets another)", err=True)
        sender = Sender(client, topic)
        pace = Pace(speed)
        try:
            for block in _blocks(log, mapping, vehicle, begin, counts):
                for moment, payload in messages(block):
                    pace.wait(moment)
                    sender.send(block.vehicle, moment, payload)
        except KeyboardInterrupt:
            sender.finish("stopped")
            sys.exit(INTERRUPTED)
        sender.finish("played")
    if counts["bad_rows"]:
        click.echo(f"{log}: {many(counts['bad_rows'], 'bad row')} left out", err=True)


def _mapping(log: Path, map_file: Path | None, model: Path | None, bus: dict[str, Any]) -> Mapping:
    """The model's own mapping, a mapping file's, or what `inspect` proposes."""
    if model:
        from tickover.model.detector import Detector

        return mapping_for(Detector.load(model).manifest, map_file, **bus)
    return with_bus(load_mapping(map_file), **bus) if map_file else _proposed(log, layout_of(**bus))


def _proposed(log: Path, layout: LogLayout) -> Mapping:
    from tickover.logs.inspection import propose_mapping

    return propose_mapping([log], layout=layout)[0]


def _moment(text: str | None) -> int | None:
    if text == "now":
        return round(time.time() * SECOND)
    try:
        return parse_time(text) if text else None
    except ValueError:
        raise click.UsageError(f"--start: expected an ISO 8601 time, epoch seconds or now, got {text!r}") from None


def _blocks(log: Path, mapping: Mapping, vehicle: str, begin: int | None, counts: Counter[str]) -> Iterator[Readings]:
    """The log's readings, moved to ``begin`` when that is given and the log's own times say otherwise."""
    blocks = read_log(
        log, mapping, vehicle=vehicle, start=begin or 0, counts=counts, on_bad=lambda text: click.echo(text, err=True)
    )
    shift: int | None = 0 if begin is None or log_is_relative(log, mapping) else None
    for block in blocks:
        if shift is None and len(block.time):
            shift = (begin or 0) - int(block.time[0])
        yield Readings(block.vehicle, block.signals, block.time + (shift or 0), block.values)

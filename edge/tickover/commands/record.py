"""``tickover record``: record MQTT messages into one log per trip."""

import hashlib
import signal
from pathlib import Path
from typing import Any, Final, get_args

import click
import msgspec

from tickover.commands.ui.broker import SIGNALS_TOPIC, broker_options, connection_of
from tickover.commands.ui.terminal import StatusLine
from tickover.commands.ui.words import many
from tickover.core.manifest import MAX_SIGNALS
from tickover.daemon.config import load_config
from tickover.errors import suggestion
from tickover.host import toml
from tickover.host.log_fields import fields
from tickover.jobs.record import Kind, Recorder
from tickover.jobs.recording import Session
from tickover.logs.trip_files import TripFiles
from tickover.messages import remedies
from tickover.payloads.base import Input, TimeUnit
from tickover.payloads.examples import EXAMPLES, example_text
from tickover.payloads.listener import Listener
from tickover.payloads.registry import FORMATS
from tickover.payloads.topic_template import TopicTemplate
from tickover.transports.mqtt.client import MqttClient

SESSION_S: Final = 3600
"""How long the broker keeps what it could not deliver to a recorder that crashed."""
LOG_EVERY_S: Final = 60.0
"""How often a line is written where standard error is no terminal."""
TOLD: Final = frozenset({"rows", "received", "connected", "reconnected"})
"""Counts that are no losses."""
OPTIONS: Final = {
    "remove inputs.time": "give --time-key ''",
    "inputs.time_unit": "--time-unit",
    "inputs.time": "--time-key",
    "inputs.format": "--format",
}
"""The keys of a configuration that are options here."""
MEGABYTE: Final = 1_000_000
MEGABYTES: Final = click.FloatRange(min=0.01)


@click.command()
@broker_options
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write the logs to."
)
@click.option(
    "--topic",
    metavar="TOPIC",
    help=f"Topic to record, with {{vehicle}} and {{signal}} as levels. Default: {SIGNALS_TOPIC}, or the inputs of "
    "--config.",
)
@click.option(
    "--for",
    "family",
    metavar="NAME",
    help="Payloads of a well-known sender, in place of --topic and --format; see `tickover config example --list`.",
)
@click.option(
    "--format",
    "payload",
    type=click.Choice([*FORMATS]),
    default="json",
    show_default=True,
    help="Format of a message: an object of signals, a list of them, vehicles as keys, the value of one signal, Ruuvi, "
    "Sparkplug B. What needs more settings is recorded with --config.",
)
@click.option(
    "--time-key",
    default="time",
    show_default=True,
    metavar="KEY",
    help="Key, or path, of the event time; empty: use the time of arrival.",
)
@click.option(
    "--time-unit",
    type=click.Choice(get_args(TimeUnit)),
    default="s",
    show_default=True,
    help="Unit of the event time since the epoch; iso: ISO 8601 text only.",
)
@click.option(
    "--as", "kind", type=click.Choice(get_args(Kind)), default="jsonl", show_default=True, help="Format of the logs."
)
@click.option(
    "--gap",
    type=click.FloatRange(1),
    default=60,
    metavar="SECONDS",
    show_default=True,
    help="A gap longer than this ends the trip.",
)
@click.option(
    "--file-mb",
    type=MEGABYTES,
    default=32,
    metavar="MB",
    show_default=True,
    help="Start a new file at this size.",
)
@click.option(
    "--total-mb",
    type=MEGABYTES,
    default=1000,
    metavar="MB",
    show_default=True,
    help="Limit for all files together; the oldest are deleted beyond it.",
)
def record(
    out: Path,
    topic: str | None,
    family: str | None,
    payload: str,
    time_key: str,
    time_unit: TimeUnit,
    kind: Kind,
    gap: float,
    file_mb: float,
    total_mb: float,
    **broker: Any,
) -> None:
    """Record what trucks publish into OUT/<vehicle>/<start>.jsonl.gz, one file per trip, until Ctrl-C.

    `tickover train OUT/*/*.gz` reads the files. A message is acknowledged once it is on disk, so a crash loses no
    message that the broker still queues: it keeps them for an hour.
    """
    if family is not None:
        inputs = _inputs_of(family)
    elif broker["config"] and topic is None:
        inputs = load_config(broker["config"]).inputs
    else:
        inputs = (_input(topic or SIGNALS_TOPIC, payload, time_key, time_unit),)
    files = TripFiles(out, round(total_mb * MEGABYTE))
    if files.counts["repaired_files"]:
        click.echo(f"{files.counts['repaired_files']} files had an incomplete end, which was cut off", err=True)
    listener, recorder = Listener(inputs), Recorder(files, kind, gap, round(file_mb * MEGABYTE))
    name = f"tickover-record-{hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:12]}"
    client = MqttClient(connection_of(**broker), client_id=name, session_s=SESSION_S, acknowledge=False)
    with client:
        for spec in inputs:
            client.subscribe(TopicTemplate(spec.topic).filter)
        progress = _Progress(client, listener, recorder, files)
        session = Session(client, listener, recorder, tell=progress.tell, removed=_say_removed)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, session.stop)
        session.run()
        progress.say("recorded", last=True)
        client.end_session()


def _input(topic: str, payload: str, time_key: str, time_unit: TimeUnit) -> Input:
    spec = Input(topic=topic, format=payload, time=time_key or None, time_unit=time_unit)
    problem = spec.problem()
    if problem:
        raise click.UsageError(f"--topic, --format: {problem}")
    return spec


def _inputs_of(family: str) -> tuple[Input, ...]:
    """A family's inputs; its renaming is an example for the daemon, and a recording keeps the sender's names."""
    if family not in EXAMPLES:
        raise click.UsageError(f"--for: expected a name of the list, got {family!r}; {suggestion(family, EXAMPLES)}")
    tables = toml.decode(example_text(family), Tables, f"--for {family}")
    return tuple(msgspec.structs.replace(spec, signals={}) for spec in tables.inputs)


def _say_removed(path: Path) -> None:
    click.echo(f"removed {path} to stay within --total-mb", err=True)


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of ``[[inputs]]`` alone."""

    inputs: tuple[Input, ...]


class _Progress:
    """Says on standard error how far the recording is: rows, vehicles, signals, files, bytes, and what was left out."""

    def __init__(self, client: MqttClient, listener: Listener, recorder: Recorder, files: TripFiles) -> None:
        self._client = client
        self._listener = listener
        self._recorder = recorder
        self._files = files
        self._line = StatusLine(LOG_EVERY_S)
        self._told: set[str] = set()

    def tell(self) -> None:
        """Say it when it is time to; at once why a first message was refused."""
        for reason in [*self._listener.refusals.keys() - self._told]:
            self._told.add(reason)
            if reason != "unknown_signal":  # one without a number, which a log has no place for
                self._refused(reason)
        for vehicle in sorted(self._recorder.over - self._told):
            self._told.add(vehicle)
            click.echo(f"{vehicle}: more than {MAX_SIGNALS} signals; the first ones are recorded", err=True)
        if self._line.is_due():
            self.say("recording")

    def _refused(self, reason: str) -> None:
        refusal = self._listener.refusals[reason]
        why = remedies.on_reading(reason, refusal.advice)
        for key, option in OPTIONS.items():
            why = why.replace(key, option)
        shown = fields(topic=refusal.topic, payload=refusal.payload)
        click.echo(f"refused a message {shown}: {why} (said once for each reason)", err=True)

    def say(self, word: str, *, last: bool = False) -> None:
        """Say it; the ``last`` line stays."""
        counts = self._listener.counts + self._client.counts + self._recorder.counts
        left_out = {name: counts[name] for name in sorted(counts) if name not in TOLD}
        text = (
            f"{word}: {many(counts['rows'], 'row')}, {many(self._recorder.vehicles, 'vehicle')}, "
            f"{many(len(self._listener.columns), 'signal')}, {many(self._files.counts['files'], 'new file')}, "
            f"{self._files.total / 1e6:.2f} MB in all"
        )
        if left_out:
            text += "; left out: " + ", ".join(f"{name} {count:,}" for name, count in left_out.items())
        self._line.show(text, last=last)

"""``tickover config``: check a configuration file; print its JSON Schema, an example or the AsyncAPI description."""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import click
import msgspec

from tickover.daemon.config import Config, load_config
from tickover.errors import ConfigError, suggestion
from tickover.payloads.base import Input
from tickover.payloads.examples import EXAMPLES, example_text, title
from tickover.transports.mqtt.address import written

EXAMPLE: Final = "example.toml"


@click.group()
def config() -> None:
    """Check the daemon's configuration file; print its JSON Schema, an example, or the AsyncAPI description."""


@config.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Read FILE as the daemon does.

    Checks every key, and that the model files exist; `tickover doctor` also tries certificates, credentials, models
    and broker. Exit code 78 when something is wrong.
    """
    loaded = load_config(file)
    for model in loaded.models:
        if not Path(model.path).is_file():
            raise ConfigError(f"{file}: key 'models': expected an existing file, got {model.path}")
    broker = loaded.broker
    click.echo(f"{file}: good")
    for host, port in broker.addresses:
        where = f"{written(host, port)}{', WebSocket' if broker.transport == 'websockets' else ''}"
        click.echo(f"  broker  {where} as {broker.client_id}, {'TLS' if broker.tls else 'plaintext'}")
    for item in loaded.inputs:
        click.echo(f"  input   {item.topic} ({item.format}, time: {_time_of(item)})")
    for bus in loaded.buses:
        click.echo(f"  bus     {bus.interface} {bus.channel} of {bus.vehicle}")
    for model in loaded.models:
        click.echo(f"  model   {model.path} as {model.detector}")
    click.echo(f"  state   {loaded.state.folder}")
    for note in _notes(loaded):
        click.echo(f"  note    {note}")


def _notes(loaded: Config) -> Iterator[str]:
    """What works, and may surprise."""
    if loaded.broker.protocol == "3.1.1":
        yield 'MQTT 3.1.1 does not report a publish that the ACL refuses; prefer protocol = "auto"'
    names = {"inputs.topic": [item.topic for item in loaded.inputs], "out.base": [loaded.out.base]}
    names |= {"the daemon's name (out.node, broker.client_id)": [loaded.node]}
    names |= {"inputs.vehicle": [item.vehicle for item in loaded.inputs if item.vehicle]}
    for key, texts in names.items():
        if dotted := [text for text in texts if "." in text]:
            yield f"{key} holds '.': {dotted[0]}; RabbitMQ turns it into '/' in topics, other brokers keep it"
    for number, item in enumerate(loaded.inputs):
        yield from (f"inputs[{number}]: {note}" for note in _input_notes(item))


def _time_of(item: Input) -> str:
    if item.format == "sparkplug_b":
        return "of each metric"
    return f"{item.time}, {item.time_unit}" if item.time else "of arrival"


def _input_notes(item: Input) -> Iterator[str]:
    """What is allowed and probably not meant."""
    if unused := item.without_effect():
        yield f"format {item.format} does not read {', '.join(unused)}"
    if not item.time and item.time_unit != Input(topic=item.topic).time_unit:
        yield "time_unit has no effect without time: the key that holds the time"
    if not item.time and item.format != "sparkplug_b":
        yield "without time, alerts depend on the network's delays, and a replay cannot repeat them"
    if item.vehicle and "{vehicle}" in item.topic:
        yield "vehicle has no effect: {vehicle} in the topic names it"
    if item.topic.startswith("#") or item.topic == "{signal+}":
        yield "the topic takes every message of the broker, our own too"


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    click.echo(msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Config)), indent=2).decode())


@config.command()
@click.option("--for", "family", metavar="NAME", help="With the inputs of a well-known sender of readings; see --list.")
@click.option("--list", "listed", is_flag=True, help="List the names for --for.")
def example(family: str | None, listed: bool) -> None:
    """Print a commented example with every key and its default.

    `tickover config example --for telegraf > tickover.toml` begins with a sender's payloads in place of a plain JSON
    object; docs/payloads.md shows a message of each.
    """
    if listed:
        width = max(map(len, EXAMPLES))
        click.echo("\n".join(f"{name:<{width}}  {title(name)}" for name in EXAMPLES))
        return
    text = (resources.files("tickover.daemon") / EXAMPLE).read_text(encoding="utf-8")
    click.echo(_with_inputs(text, family) if family else text, nl=False)


def _with_inputs(text: str, family: str) -> str:
    """The example with another table of inputs."""
    if family not in EXAMPLES:
        raise click.UsageError(f"--for: expected a name of --list, got {family!r}; {suggestion(family, EXAMPLES)}")
    before, _, rest = text.partition("[[inputs]]\n")
    after = rest[rest.index("\n[[models]]") + 1 :]
    return f"{before}{example_text(family)}\n{after}"


@config.command()
def asyncapi() -> None:
    """Print the AsyncAPI description of all topics."""
    from tickover.daemon.asyncapi import document

    click.echo(json.dumps(document(), indent=2))

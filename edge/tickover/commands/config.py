"""``tickover config``: check a configuration file; print its JSON Schema, an example or the AsyncAPI description."""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import click
import msgspec

from tickover.daemon.config import Config, load_config
from tickover.errors import ConfigError
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
        click.echo(f"  input   {item.topic} ({item.format}, time: {item.time or 'of arrival'})")
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


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    click.echo(msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Config)), indent=2).decode())


@config.command()
def example() -> None:
    """Print a commented example with every key and its default."""
    click.echo((resources.files("tickover.daemon") / EXAMPLE).read_text(encoding="utf-8"), nl=False)


@config.command()
def asyncapi() -> None:
    """Print the AsyncAPI description of all topics."""
    from tickover.daemon.asyncapi import document

    click.echo(json.dumps(document(), indent=2))

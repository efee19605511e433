"""``tickover config``: check a configuration file, print its JSON Schema, print a commented example."""

import json
from importlib import resources
from pathlib import Path
from typing import Final

import click
import msgspec

from tickover.daemon.config import Config, load_config
from tickover.errors import ConfigError

EXAMPLE: Final = "example.toml"


@click.group()
def config() -> None:
    """The daemon's configuration file: check it, or have a schema or an example printed."""


@config.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Read FILE as the daemon would, and see that the models are there; `tickover doctor` tries certificates,
    credentials, models and broker. Exit code 78 when it is wrong.
    """
    loaded = load_config(file)
    for model in loaded.models:
        if not Path(model.path).is_file():
            raise ConfigError(f"{file}: models: no file {model.path}")
    broker = loaded.broker
    click.echo(f"{file}: good")
    click.echo(f"  broker  {broker.host}:{broker.port} as {broker.client_id}, {'TLS' if broker.tls else 'plaintext'}")
    for item in loaded.inputs:
        click.echo(f"  input   {item.topic} ({item.format}, time: {item.time or 'of arrival'})")
    for model in loaded.models:
        click.echo(f"  model   {model.path} as {model.detector}")
    click.echo(f"  state   {loaded.state.folder}")
    if broker.protocol != "5":
        click.echo('  note    MQTT 3.1.1 reports a publish that the ACL refused as done; prefer protocol = "5"')


@config.command()
def schema() -> None:
    """Print the file's JSON Schema, for editors."""
    click.echo(msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Config)), indent=2).decode())


@config.command()
def example() -> None:
    """Print a commented example: every key with its default."""
    click.echo((resources.files("tickover.daemon") / EXAMPLE).read_text(encoding="utf-8"), nl=False)


@config.command()
def asyncapi() -> None:
    """Print the AsyncAPI description of all topics and bodies, for code generators."""
    from tickover.daemon.asyncapi import document

    click.echo(json.dumps(document(), indent=2))

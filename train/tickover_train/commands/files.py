"""What the workshop's commands share: the name and mapping of their logs, writing files, warnings about bad rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from tickover.commands.ui.files import write_errors_named
from tickover.logs.inspection import propose_mapping
from tickover.logs.mapping import Mapping
from tickover.storage.files import replace_file

LOGS: Final = "LOG..."
"""Logs and folders of logs in usage lines."""


def write(path: Path, data: bytes) -> None:
    """Write a file whole; TickoverError when it cannot be written."""
    with write_errors_named(), replace_file(path) as file:
        file.write(data)


def chosen_mapping(logs: Sequence[Path], given: Mapping) -> Mapping:
    """The mapping given, or the one that `tickover inspect` proposes for the logs, completing what is given."""
    return given if given.signals else propose_mapping(logs, given)[0]


def warn(text: str) -> None:
    """Print what was wrong with a row on standard error."""
    click.echo(f"tickover: {text}", err=True)

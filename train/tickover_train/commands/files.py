"""What the workshop's commands share: the name of their logs, writing files, and warnings about bad rows."""

from pathlib import Path
from typing import Final

import click

from tickover.commands.ui.options import write_errors_named
from tickover.storage.files import replace_file

LOGS: Final = "LOG..."
"""Logs and folders of logs in usage lines."""


def write(path: Path, data: bytes) -> None:
    """Write a file whole; TickoverError when it cannot be written."""
    with write_errors_named(), replace_file(path) as file:
        file.write(data)


def warn(text: str) -> None:
    """Print what was wrong with a row on standard error."""
    click.echo(f"tickover: {text}", err=True)

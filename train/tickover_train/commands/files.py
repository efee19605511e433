"""What the workshop's commands share: how they take logs, how they write files, and how they tell of bad rows."""

from pathlib import Path
from typing import Final

import click

from tickover.commands.ui.options import write_errors_named
from tickover.storage.files import replace_file

LOGS: Final = "LOG..."
"""How usage lines call logs, and folders of them."""


def write(path: Path, data: bytes) -> None:
    """Write a file whole; TickoverError when that cannot be done."""
    with write_errors_named(), replace_file(path) as file:
        file.write(data)


def warn(text: str) -> None:
    """Say what was wrong with a row."""
    click.echo(f"tickover: {text}", err=True)

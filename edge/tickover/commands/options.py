"""What the options and arguments of several commands share."""

import math
from pathlib import Path
from typing import Final

import click

READABLE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A file that a foreign library opens; what is opened here says itself why it cannot be read."""
FILE: Final = click.Path(path_type=Path)
WRITABLE: Final = click.Path(dir_okay=False, path_type=Path)
VEHICLE: Final = "truck-1"
"""Whose log it is unless told otherwise."""


def speed_of(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """The number that --speed says; ``max`` is infinity."""
    try:
        speed = math.inf if value == "max" else float(value)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise click.BadParameter(f"expected a number above 0, or max, got {value!r}")
    return speed

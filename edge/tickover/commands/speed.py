"""The ``--speed`` option of ``replay``, ``play`` and ``simulate``."""

import math

import click


def speed_of(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """The number that --speed says; ``max`` is infinity."""
    try:
        speed = math.inf if value == "max" else float(value)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise click.BadParameter(f"expected a number above 0, or max, got {value!r}")
    return speed

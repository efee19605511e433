"""The page of a back-fill: a fleet's episodes by vehicle and month. No script, nothing loaded."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import jinja2

from tickover import __version__
from tickover.report.look import look
from tickover.report.templates import part, template

STEPS: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The heat of a month: its episodes an hour as a multiple of the budget, the step above which it is hotter."""


@dataclass(frozen=True, slots=True)
class MonthCell:
    """One vehicle's month: its ``episodes`` in ``hours`` of driving; no hours: nothing was driven."""

    episodes: int
    hours: float


@dataclass(frozen=True, slots=True)
class VehicleRow:
    """One vehicle: a cell for each month of the page; ``low`` and ``high`` are its rate's 95 % interval an hour.

    ``causes``: what most of its episodes are about, with their number. ``notes``: limits that follow it, a promise.
    """

    name: str
    logs: int
    hours: float
    episodes: int
    severe: int
    per_hour: float
    low: float
    high: float
    months: Sequence[MonthCell]
    causes: Sequence[tuple[str, int]] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True)
class RepairRow:
    """A known repair: when, how many episodes were in its time, the first, and the chance of one by the usual rate.

    ``hours`` of driving in that time; 0: nothing to judge by.
    """

    vehicle: str
    what: str
    start: str
    end: str
    hours: float
    episodes: int
    first: str
    chance: float


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """What the page shows; ``worst`` first. ``unlisted``: vehicles with episodes that are counted only."""

    title: str
    digest: str
    budget: float
    months: Sequence[str]
    fleet: VehicleRow
    worst: Sequence[VehicleRow]
    vehicles: int
    quiet: int
    unlisted: int
    failed: Sequence[tuple[str, str]] = ()
    broken: Sequence[tuple[str, str]] = ()
    dropped: Sequence[tuple[str, str, int]] = ()
    repairs: Sequence[RepairRow] = ()
    unknown: Sequence[str] = field(default_factory=tuple)


def render_archive(page: ArchivePage) -> str:
    """The page as text; everything from outside is escaped."""
    judged = [one for one in page.repairs if one.hours > 0]
    style = _style()
    return _template().render(
        page=page,
        style=style,
        digest=b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        version=__version__,
        judged=len(judged),
        recalled=sum(one.episodes > 0 for one in judged),
        by_chance=sum(one.chance for one in judged if one.chance == one.chance),
        heat=lambda cell: heat(cell, page.budget),
        steps=STEPS,
    )


def heat(cell: MonthCell, budget: float) -> str:
    """The class of a month's cell: ``none`` without driving, else ``h0`` to ``h6``."""
    if cell.hours <= 0:
        return f"h{len(STEPS)}" if cell.episodes else "none"
    times = cell.episodes / cell.hours / budget
    return f"h{sum(times > step for step in STEPS)}"


def number(value: float) -> str:
    """A rate in two digits; a dash for none."""
    return "–" if value != value else f"{value:.2g}" if value < 100 else f"{value:,.0f}"


@cache
def _style() -> str:
    """One text: its digest is what the page's policy allows, and nothing else."""
    return f"\n{look()}{part('archive.css')}\n"


@cache
def _template() -> jinja2.Template:
    return template("archive.html", {"number": number}, lstrip_blocks=True)

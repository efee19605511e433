"""Limits raised by what people said of a truck's alerts: only those of the charts that false alarms came from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tickover.core.ledger import Verdict
from tickover.core.manifest import Chart
from tickover.core.values import FloatArray
from tickover.logs.verdict_file import verdict_lines

MARGIN: Final = 1.05
"""A limit goes so far above the peak of a false episode, and stays so far below that of a real one."""
MOST: Final = 2.0
"""The most by which a limit is raised: verdicts on a few alarms must not blind a chart."""


class Said(msgspec.Struct, frozen=True):
    """What is read of a line that ``tickover state --verdicts`` wrote."""

    episode: str
    model: str
    charts: tuple[str, ...]
    peak: float
    verdict: Verdict


class Raised(NamedTuple):
    """A chart whose limit is raised: by how much, and by how many false episodes."""

    chart: str
    factor: float
    episodes: int


def read_verdicts(path: Path, digest: str) -> tuple[list[Said], int]:
    """The newest verdict on each episode of the model with this digest, and how many are on others; LogError names the
    line that is none."""
    newest: dict[str, Said] = {}
    others = set()
    for _, said in verdict_lines(path, Said):
        if said.model == digest:
            newest[said.episode] = said
        else:
            others.add(said.episode)
    return list(newest.values()), len(others)


def raise_limits(charts: Sequence[Chart], said: Sequence[Said]) -> tuple[FloatArray, list[Raised]]:
    """New limits ``[C]`` (inf = off), and the charts whose limit is another.

    A chart that opened false episodes gets a limit above the highest of their peaks; but at most ``MOST`` times the one
    that it has, below the peak of every real episode that it opened, and below what it can reach.
    """
    limits = np.array([chart.limit if chart.limit is not None else np.inf for chart in charts], np.float32)
    raised = []
    for place, chart in enumerate(charts):
        false = [one.peak for one in said if one.verdict is Verdict.FALSE and chart.name in one.charts]
        if chart.limit is None or not false:
            continue
        real = [one.peak for one in said if one.verdict in (Verdict.REAL, Verdict.KNOWN) and chart.name in one.charts]
        most = min([MOST, chart.bound / chart.limit / MARGIN, *(peak / MARGIN for peak in real)])
        factor = min(max(false) * MARGIN, most)
        if factor > 1.0:
            limits[place] = np.float32(chart.limit * factor)
            raised.append(Raised(chart.name, factor, len(false)))
    return limits, raised

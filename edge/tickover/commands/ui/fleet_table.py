"""The live view of ``tickover watch`` (rich): open episodes, recent alerts, notices, daemons by status."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tickover.core.time_format import day_clock, stopwatch
from tickover.core.values import (
    Alert,
    Contribution,
    EndReason,
    Phase,
    Severity,
)
from tickover.jobs.fleet_view import Board
from tickover.web.truck import State, Truck, lag_now

STYLES: Final = {Severity.WARNING: "yellow", Severity.MAJOR: "bold dark_orange", Severity.CRITICAL: "bold red"}
PHASES: Final = {Phase.START: "opens", Phase.UPDATE: "update", Phase.END: "ends"}
STATUS_STYLES: Final = {"online": "green", "stopped": "yellow", "offline": "red"}
FRAME_LINES: Final = 9
"""Lines of the view that are not rows: borders, headings, the last line."""
TRUCKS_LINES: Final = 4
"""Lines of the list of trucks that are not rows."""
TRUCKS_PART: Final = 4
"""The list takes one in so many lines."""
LEAST_ROWS: Final = 3
STATE_STYLES: Final = {"online": "green", "silent": "bold red", "offline": "bold red", "stopped": "yellow"}
MOST_SIGNALS: Final = 3
MOST_NOTICES: Final = 5


def render(
    board: Board, where: str, connected: bool, height: int, trucks: Sequence[Truck] = (), now: int = 0
) -> RenderableType:
    """The whole view, cut to ``height`` lines; ``trucks`` the worst first, ``now`` in microseconds."""
    notices = list({**board.notices, **board.remarks}.items())[:MOST_NOTICES]
    listed = list(trucks[: max(LEAST_ROWS, height // TRUCKS_PART)])
    rows = max(2 * LEAST_ROWS, height - FRAME_LINES - len(notices) - (len(listed) + TRUCKS_LINES if listed else 0))
    episodes = board.worst_first()
    shown = min(len(episodes), rows - LEAST_ROWS)
    recent = rows - max(shown, 1)
    return Group(
        Panel(_episodes(episodes[:shown], len(episodes)), title="open episodes", title_align="left"),
        *([Panel(_trucks(listed, len(trucks), now), title="trucks", title_align="left")] if listed else []),
        Panel(_recent(list(board.recent)[:recent]), title="recent alerts", title_align="left"),
        *(_notice(vehicle, kind, text) for (vehicle, kind), text in notices),
        _last_line(board, where, connected),
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    for column in columns:
        last = column == columns[-1]
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1 if last else None)
    return table


def _notice(vehicle: str, kind: str, text: str) -> Text:
    line = Text(plain(f"{vehicle}: {kind.replace('_', ' ')}: "), "bold red", no_wrap=True, overflow="ellipsis")
    return line.append(plain(text), "red")


def plain(text: str) -> str:
    """The text without control characters: a terminal would obey them, and any publisher may send them."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _episodes(episodes: list[Alert], of: int) -> RenderableType:
    if not episodes:
        return Text("none", style="green")
    table = _table("vehicle", "severity", "since (UTC)", "for", "score", "peak", "signals: observed (expected)")
    for alert in episodes:
        table.add_row(
            Text(plain(alert.vehicle)),
            Text(alert.severity.value, STYLES[alert.severity]),
            day_clock(alert.start),
            stopwatch(alert.time - alert.start),
            "-" if alert.score is None else f"{alert.score:.1f}",
            f"{alert.peak:.1f}",
            Text(attribution(alert)),
        )
    if of > len(episodes):
        table.add_row("", "", f"and {of - len(episodes)} more")
    return table


def _trucks(trucks: list[Truck], of: int, now: int) -> RenderableType:
    table = _table("truck", "state", "last reading", "lag", "score", "open")
    for truck in trucks:
        lag = lag_now(truck, now)
        since = f" since {day_clock(truck.since)}" if truck.state is State.SILENT else ""
        table.add_row(
            Text(plain(truck.name)),
            Text(truck.state.value + since, STATE_STYLES.get(truck.state, "dim")),
            f"{stopwatch(now - truck.fed)} ago" if truck.fed else "never",
            "-" if lag is None else f"{lag:.0f} s",
            "-" if truck.score is None else f"{truck.score:.2f}",
            plain(", ".join(sorted({name for one in truck.open.values() for name in one.signals}))),
        )
    if of > len(trucks):
        table.add_row("", f"and {of - len(trucks):,} more")
    return table


def _recent(alerts: list[Alert]) -> RenderableType:
    if not alerts:
        return Text("none yet", style="dim")
    table = _table("time (UTC)", "vehicle", "", "severity", "peak", "signals: observed (expected)")
    for alert in alerts:
        ended = f"{_ended(alert.reason)} after {stopwatch(alert.time - alert.start)}"
        table.add_row(
            day_clock(alert.time),
            Text(plain(alert.vehicle)),
            PHASES[alert.phase],
            Text(alert.severity.value, STYLES[alert.severity]),
            f"{alert.peak:.1f}",
            Text(ended, "dim") if alert.phase is Phase.END else Text(attribution(alert)),
        )
    return table


def attribution(alert: Alert) -> str:
    """``coolant_temp 118 C (92), oil_temp 131 C (104)``: observed values, and those that the model expected."""
    return plain(", ".join(_observed(part) for part in alert.signals[:MOST_SIGNALS]))


def _observed(part: Contribution) -> str:
    observed = "missing" if part.observed is None else f"{part.observed:.4g} {part.unit}".rstrip()
    return f"{part.signal} {observed}" + ("" if part.expected is None else f" ({part.expected:.4g})")


def _ended(reason: EndReason | None) -> str:
    return (reason.value if reason else "ended").replace("_", " ")


def _last_line(board: Board, where: str, connected: bool) -> Text:
    line = Text(f"{where}: ", "dim")
    line.append("connected" if connected else "not connected, reconnecting", "green" if connected else "bold red")
    for word, number in Counter(board.status.values()).most_common():
        line.append("  ")
        line.append(plain(f"{number} {word}"), STATUS_STYLES.get(word, "dim"))
    counts = [f"{number:,} {name.replace('_', ' ')}" for name, number in board.counts.items() if number]
    return line.append("  " + ", ".join([*counts, "Ctrl-C to quit"]), "dim")

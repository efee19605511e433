"""Where the outputs of a replay go: alert lines, an alerts file, a scores file, a report."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from tickover.core.values import Alert, Output, ScoredTicks
from tickover.jobs.log_segments import Segment, Segments
from tickover.logs.score_writer import Writer
from tickover.messages.alerts import alert_line, encode_alert


class Picture(Protocol):
    """What draws a replay; the report is one."""

    def add(self, scored: ScoredTicks, alerts: list[Alert]) -> None:
        """Take in a block of one vehicle's ticks and the alerts that it caused."""


class Outputs:
    """Hands each output on: readable lines to ``say``, the rest to those of the three that are set.

    ``apart``: the logs count from their own start, so a time means nothing without its log. Then a heading stands
    above the alerts of each log, and the picture is given the log's name in the vehicle's place.
    """

    def __init__(self, logs: Sequence[Path], say: Callable[[str], None], *, apart: bool) -> None:
        self.alerts: BinaryIO | None = None
        self.scores: Writer | None = None
        self.picture: Picture | None = None
        self._say = say
        self._segments = Segments() if apart else None
        self._headed = ""
        alone = Counter(log.name for log in logs)
        self._names = {log: log.name if alone[log.name] == 1 else str(log) for log in logs}

    def name_of(self, log: Path, vehicle: str) -> str:
        """Whose ticks those of a log are in the picture: the log's where logs are drawn apart, else the vehicle's."""
        return self._names[log] if self._segments else vehicle

    def title_of(self, log: Path) -> str:
        """What a log is called: by its name, or by its path where several have that name."""
        return self._names[log]

    def take(self, output: Output, log: Path | None) -> None:
        """One output; ``log`` is the one being read, None before the first."""
        if self.scores and len(output.scored.ticks.time):
            self.scores.add(output.scored)
        if self._segments and log:
            for segment in self._segments.cut(output.scored, output.alerts, self._names[log]):
                self._take_segment(segment)
        else:
            self._tell(output.alerts)
            self._draw(output.scored, output.alerts)

    def _take_segment(self, segment: Segment) -> None:
        if segment.alerts and segment.log != self._headed:
            self._say(f"{segment.log}:")
            self._headed = segment.log
        self._tell(segment.alerts)
        named = segment.under_its_name()
        self._draw(named.scored, named.alerts)

    def _tell(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self._say(alert_line(alert))
            if self.alerts:
                self.alerts.write(encode_alert(alert) + b"\n")

    def _draw(self, scored: ScoredTicks, alerts: list[Alert]) -> None:
        if self.picture:
            self.picture.add(scored, alerts)

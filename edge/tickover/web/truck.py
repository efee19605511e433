"""What the page knows of one truck, or of one daemon for many: state, lag, open episodes, notices, what it runs."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from tickover.core.values import SECOND

TRAIL: Final = 120
"""Scores that are kept of each truck, newest last."""
SILENT_S: Final = 120.0
"""Without new readings for this long a truck is silent."""
MOST_OPEN: Final = 200
"""Open episodes and active notices of one truck: every signal of a model has four sensor detectors."""


CRITICAL: Final = 2
OUT: Final = frozenset({"out_of_service", "shelved"})
"""Notices that say that a person has silenced a truck."""


class State(StrEnum):
    """``unknown``: nothing that is published tells whether readings arrive."""

    ONLINE = "online"
    STOPPED = "stopped"
    OFFLINE = "offline"
    SILENT = "silent"
    UNKNOWN = "unknown"


GONE: Final = frozenset({State.SILENT, State.OFFLINE})


@dataclass(frozen=True, slots=True)
class Open:
    """An open episode, in short; ``severity`` 0 to 2."""

    episode: str
    detector: str
    severity: int
    start: int
    time: int
    peak: float
    signals: tuple[str, ...]


@dataclass(slots=True)
class Standing:
    """A notice that stands."""

    time: int
    text: str


@dataclass(slots=True)
class Truck:
    """One row of the list. Times in microseconds of this machine's clock, 0: never.

    ``fed``: when a reading is last known to have arrived; ``awaited``: since when a daemon has said that it has none.
    ``told``: the daemon's own word, by status and last will.
    ``promises``: of each detector its rate of episodes against its budget (`tickover.messages.bodies`).
    ``version`` and ``beat`` number the last change that matters at once, and the last of numbers that always move.
    """

    name: str
    index: int
    state: State = State.UNKNOWN
    since: int = 0
    told: str = ""
    fed: int = 0
    awaited: int = 0
    heard: int = 0
    lag_s: float | None = None
    score: float | None = None
    scores: bytes = b""
    health: dict[str, Any] | None = None
    info: dict[str, Any] | None = None
    promises: list[dict[str, Any]] = field(default_factory=list)
    open: dict[str, Open] = field(default_factory=dict)
    notices: dict[str, Standing] = field(default_factory=dict)
    trail: "array[float]" = field(default_factory=lambda: array("d"))
    version: int = 0
    beat: int = 0

    def note_score(self, now: int, score: float | None) -> None:
        """One more point of the trail: pairs of milliseconds and score."""
        self.score = score
        self.trail.extend((now / 1000, float("nan") if score is None else score))
        if len(self.trail) > 4 * TRAIL:
            del self.trail[: -2 * TRAIL]

    def points(self) -> Iterator[tuple[float, float | None]]:
        """The trail, oldest first."""
        for place in range(max(0, len(self.trail) - 2 * TRAIL), len(self.trail), 2):
            score = self.trail[place + 1]
            yield self.trail[place], None if score != score else score

    @property
    def has_pulse(self) -> bool:
        """Whether what is published tells of readings: scores, or a daemon's health."""
        return self.fed > 0 or self.awaited > 0

    def settle(self, now: int, awake_since: int, silent_us: int) -> bool:
        """Find the state anew; True when it is another.

        ``awake_since``: since when the page hears the broker; silence while it did not is nobody's.
        """
        quiet = self.has_pulse and now - max(self.fed, self.awaited, awake_since) > silent_us
        if self.told in (State.STOPPED, State.OFFLINE):
            found = State(self.told)
        elif quiet or (self.state is State.SILENT and self.fed <= self.since and self.has_pulse):
            found = State.SILENT
        elif self.told or self.has_pulse:
            found = State.ONLINE
        else:
            found = State.UNKNOWN
        if found is self.state:
            return False
        self.state = found
        self.since = (self.fed or self.awaited) if found is State.SILENT else now
        return True

    @property
    def dropped(self) -> int:
        """Readings and messages that its daemon left out, all reasons together."""
        dropped = (self.health or {}).get("dropped")
        if not isinstance(dropped, dict):
            return 0
        return sum(count for reason, count in dropped.items() if isinstance(count, int) and reason != "missing")

    def encode(self) -> bytes:
        """What a restart of the page needs."""
        kept = (self.state.value, self.since, self.told, self.fed, self.heard, self.lag_s, self.health, self.info)
        return msgspec.msgpack.encode(kept)

    def restore(self, body: bytes) -> None:
        """The counterpart of `encode`; a body that cannot be read leaves the truck as new."""
        try:
            state, since, told, fed, heard, lag, health, info = msgspec.msgpack.decode(body)
            self.state, self.since, self.told = State(state), int(since), str(told)
            self.fed, self.heard, self.lag_s, self.health, self.info = int(fed), int(heard), lag, health, info
        except (msgspec.DecodeError, ValueError, TypeError):
            return


def urgency(truck: Truck) -> tuple[int, int, str]:
    """For sorting, the worst first: critical episodes, silent or offline, major and minor episodes, the others.

    Among the silent those come first that fell silent last, which is the news.
    """
    worst = max((one.severity for one in truck.open.values()), default=-1)
    is_gone = truck.state in GONE and not OUT & truck.notices.keys()
    rank = 0 if worst == CRITICAL else 1 if is_gone else 3 - worst
    return rank, -truck.since if rank == 1 else 0, truck.name


def lag_now(truck: Truck, now: int) -> float | None:
    """Seconds that the newest tick is behind this clock: as the daemon said it, and the time since then."""
    if truck.lag_s is None:
        return None
    return truck.lag_s + max(0.0, (now - truck.heard) / SECOND)

"""The signals of the trucks that somebody looks at: asked of their daemons by the command ``snapshot``.

Nothing is asked of a truck whose page is not open.
"""

from collections import OrderedDict, deque
from typing import Any, Final

from tickover.core.values import SECOND

EVERY_US: Final = 2 * SECOND
"""No truck is asked more often, however many look at it."""
POINTS: Final = 450
"""Ticks that are kept of each truck: a quarter of an hour."""
MOST_WATCHED: Final = 50
MOST_SIGNALS: Final = 300
UNANSWERED_US: Final = 10 * SECOND


class Watched:
    """One truck's newest ticks, by detector."""

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        self.trouble = ""
        self.first = 0
        self.points: dict[str, deque[dict[str, Any]]] = {}

    def take(self, detectors: Any, now: int) -> None:
        """The answer to a snapshot; a tick that is known already is not kept twice."""
        if not isinstance(detectors, dict):
            return
        self.answered, self.trouble = now, ""
        for name, tick in list(detectors.items())[:4]:
            if (
                not isinstance(tick, dict)
                or not isinstance(tick.get("time"), int)
                or not isinstance(tick.get("signals"), dict)
            ):
                continue
            points = self.points.setdefault(str(name), deque(maxlen=POINTS))
            if points and points[-1]["time"] >= tick["time"]:
                continue
            signals = dict(list(tick["signals"].items())[:MOST_SIGNALS])
            points.append({"time": tick["time"], "score": tick.get("score"), "signals": signals, "seen": now})


class Live:
    """What is known of the trucks that somebody looks at; the least recently asked is dropped."""

    def __init__(self) -> None:
        self._watched: OrderedDict[str, Watched] = OrderedDict()

    def of(self, vehicle: str) -> Watched:
        """A truck's, new or known."""
        watched = self._watched.setdefault(vehicle, Watched())
        self._watched.move_to_end(vehicle)
        if len(self._watched) > MOST_WATCHED:
            self._watched.popitem(last=False)
        return watched

    def is_due(self, vehicle: str, now: int) -> bool:
        """Whether to ask now; noted as asked."""
        watched = self.of(vehicle)
        if now - watched.asked < EVERY_US:
            return False
        watched.first = watched.first or now
        if now - max(watched.answered, watched.first) > UNANSWERED_US and not watched.trouble:
            watched.trouble = (
                "no answer: the daemon is away, or the broker's ACL lets this page ask nothing (cmd/+/request)"
            )
        watched.asked = now
        return True

    def answer(self, vehicle: str, result: Any, now: int) -> None:
        """An answer to the command ``snapshot``: vehicle to detector to tick."""
        watched = self._watched.get(vehicle)
        if watched and isinstance(result, dict):
            watched.take(result.get(vehicle), now)

    def refuse(self, vehicle: str, error: str, now: int) -> None:
        """A daemon's error; it counts when no other daemon answers for the truck."""
        watched = self._watched.get(vehicle)
        if watched and now - watched.answered > UNANSWERED_US:
            watched.trouble = error

    def since(self, vehicle: str, seen: int) -> dict[str, Any]:
        """The ticks received after ``seen`` (microseconds), by detector."""
        watched = self._watched.get(vehicle)
        if watched is None:
            return {"points": {}, "trouble": ""}
        fresh = {name: [one for one in points if one["seen"] > seen] for name, points in watched.points.items()}
        return {"points": {name: ticks for name, ticks in fresh.items() if ticks}, "trouble": watched.trouble}

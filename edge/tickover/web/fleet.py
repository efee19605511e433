"""All trucks that the page knows: messages in, rows out. No clock, no network, no disk; bounded memory.

Each change gets the next number. A browser that has seen everything up to a number is told what came after it, so the
server keeps nothing for a browser, and one that comes back resumes where it was.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from itertools import takewhile
from typing import Any, Final, NamedTuple

from tickover.core.values import SECOND, Alert, Phase
from tickover.web.marks import Marks
from tickover.web.messages import SEVERITIES, LeftOutError, Place, scores_of, status_of, table_of
from tickover.web.truck import GONE, MOST_OPEN, SILENT_S, Open, Standing, State, Truck, lag_now

MOST_TRUCKS: Final = 20_000
"""Anyone who may publish could invent trucks; further ones are counted."""
COLUMNS: Final = (
    "index", "name", "state", "since", "fed", "lag_s", "score", "open", "notices", "promise", "dropped", "model",
    "digest", "version", "vehicles", "quiet", "signals",
)  # fmt: skip
"""What a row of `Fleet.rows` holds; times in milliseconds.

``open``: episodes by severity, without those that a person has seen to, which are ``quiet``; ``signals``: of the worst.
"""


class Turn(NamedTuple):
    """A truck stopped reporting, or reports again; ``since`` in microseconds."""

    vehicle: str
    state: State
    since: int


class Fleet:
    """The trucks by name. ``counts``: what was left out, by reason. ``number``: of the last change.

    ``turns``: who stopped reporting, or reports again; the owner empties it.
    ``urgent``: of the last one that people are to see at once; scores and times of readings can wait.
    """

    def __init__(self, silent_s: float = SILENT_S, most: int = MOST_TRUCKS) -> None:
        self.trucks: dict[str, Truck] = {}
        self.counts: Counter[str] = Counter()
        self.number = self.urgent = 0
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._beating: OrderedDict[str, int] = OrderedDict()
        self._gone: OrderedDict[int, int] = OrderedDict()
        self._most, self._next = most, 0
        self.silent_s = silent_s
        self._silent_us = round(silent_s * SECOND)
        self.turns: list[Turn] = []
        self._awake_since = 0

    def truck(self, name: str) -> Truck:
        """The truck, new or known; LeftOutError when there is no room for another."""
        truck = self.trucks.get(name)
        if truck is None:
            if len(self.trucks) >= self._most:
                raise LeftOutError("too_many_trucks")
            truck = self.trucks[name] = Truck(name, self._next)
            self._next += 1
            self._touch(truck)
        return truck

    def connected(self, now: int) -> None:
        """The page hears the broker from now on: silence counts from here."""
        self._awake_since = now

    # ---- messages

    def take(self, place: Place, payload: bytes, now: int) -> bool:
        """A message about a truck's state; False when it is of another kind."""
        if place.kind == "score":
            self.score(place, payload, now)
        elif place.kind == "health":
            self.health(place, payload, now)
        elif place.kind == "status":
            self.status(place, payload, now)
        elif place.kind == "info":
            self.info(place, payload)
        else:
            return False
        return True

    def status(self, place: Place, payload: bytes, now: int) -> None:
        """A daemon's status, or its last will."""
        truck = self.truck(place.vehicle)
        truck.told, truck.heard = status_of(payload), now
        self._settle(truck, now)

    def info(self, place: Place, payload: bytes) -> None:
        """What a daemon runs."""
        truck = self.truck(place.vehicle)
        truck.info = table_of(payload)
        self._touch(truck)

    def health(self, place: Place, payload: bytes, now: int) -> None:
        """A daemon's report; more rows than in the last one are readings."""
        truck = self.truck(place.vehicle)
        report = table_of(payload)
        rows, before = report.get("rows"), (truck.health or {}).get("rows")
        rate = report.get("rows_per_s")
        if (isinstance(rate, int | float) and rate > 0) or (before is not None and rows != before and rows):
            truck.fed = now
        elif not truck.fed:
            last = report.get("last_tick")
            truck.fed = last if isinstance(last, int) and 0 < last <= now else 0
            truck.awaited = truck.awaited or now
        lag = report.get("lag_s")
        truck.lag_s = float(lag) if isinstance(lag, int | float) else None
        self._promises(report.pop("promises", None))
        truck.health, truck.heard = report, now
        self._touch(truck)
        self._settle(truck, now)

    def _promises(self, meters: Any) -> None:
        """What a daemon says of the vehicles with most of their budget used."""
        for name, of in meters.items() if isinstance(meters, dict) else ():
            if name in self.trucks and isinstance(of, list):
                self.trucks[name].promises = [one for one in of if isinstance(one, dict)]
                self._touch(self.trucks[name])

    def score(self, place: Place, payload: bytes, now: int) -> None:
        """A truck's score. The daemon repeats the last one while nothing arrives, so only another one is news."""
        score = scores_of(payload)
        truck = self.truck(place.vehicle)
        if payload == truck.scores:
            return
        truck.scores, truck.fed, truck.heard = payload[:256], now, now
        truck.note_score(now, score)
        if not self._settle(truck, now):
            self._beat(truck)

    def alert(self, alert: Alert) -> Truck:
        """An alert, also one from an alarm topic, which may be older than what is known."""
        truck = self.truck(alert.vehicle)
        before = truck.open.get(alert.detector)
        if alert.phase is Phase.END:
            if before and before.episode == alert.episode_id:
                del truck.open[alert.detector]
        elif before is None or alert.time >= before.time:
            if before is None and len(truck.open) >= MOST_OPEN:
                raise LeftOutError("too_many_open")
            names = tuple(part.signal for part in alert.signals[:3])
            severity = SEVERITIES.index(alert.severity)
            truck.open[alert.detector] = Open(
                alert.episode_id, alert.detector, severity, alert.start, alert.time, alert.peak, names
            )
        self._touch(truck)
        return truck

    def notice(self, vehicle: str, kind: str, active: bool, time: int, text: str) -> None:
        """A notice, which stands until it is over."""
        truck = self.truck(vehicle)
        if not active:
            truck.notices.pop(kind, None)
        elif kind in truck.notices or len(truck.notices) < MOST_OPEN:
            truck.notices[kind] = Standing(time, text)
        self._touch(truck)

    def cleared(self, place: Place) -> str:
        """An alarm topic was emptied; the episode that was open there, whose end was not received."""
        truck = self.trucks.get(place.vehicle)
        if truck is None:
            return ""
        open_, notice = truck.open.pop(place.rest, None), truck.notices.pop(place.rest, None)
        if open_ or notice:
            self._touch(truck)
        return open_.episode if open_ else ""

    def marked(self, name: str) -> None:
        """A person said something of a truck's episode."""
        if name in self.trucks:
            self._touch(self.trucks[name])

    def forget(self, name: str) -> bool:
        """Drop a truck from the list; False when there is none. It comes back with its next message."""
        truck = self.trucks.pop(name, None)
        if truck is None:
            return False
        self._changed.pop(name, None)
        self._beating.pop(name, None)
        self.number += 1
        self.urgent = self._gone[truck.index] = self.number
        if len(self._gone) > self._most:
            self._gone.popitem(last=False)
        return True

    def sweep(self, now: int) -> None:
        """Find who fell silent."""
        for truck in self.trucks.values():
            self._settle(truck, now)

    def restore(self, bodies: Iterable[tuple[str, bytes]]) -> None:
        """The trucks of an earlier run."""
        for name, body in bodies:
            try:
                self.truck(name).restore(body)
            except LeftOutError:
                return

    # ---- what browsers are told

    def changes(self, seen: int, now: int, marks: Marks) -> dict[str, Any]:
        """Rows that changed after ``seen``, trucks that are gone, and `beats`."""
        names = [name for name, _ in takewhile(lambda item: item[1] > seen, reversed(self._changed.items()))]
        gone = [index for index, _ in takewhile(lambda item: item[1] > seen, reversed(self._gone.items()))]
        rows = [self.row(self.trucks[name], now, marks) for name in names]
        return {"rows": rows, "gone": gone, "beats": self.beats(seen)}

    def beats(self, seen: int) -> list[tuple[int, int, float | None]]:
        """Index, last reading (ms) and score of trucks that only those changed of, since ``seen``."""
        recent = takewhile(lambda item: item[1] > seen, reversed(self._beating.items()))
        return [
            (truck.index, truck.fed // 1000, _short(truck.score)) for truck in (self.trucks[name] for name, _ in recent)
        ]

    def row(self, truck: Truck, now: int, marks: Marks) -> tuple[Any, ...]:
        """A truck as one row of the list (`COLUMNS`)."""
        counts, quiet = [0] * len(SEVERITIES), 0
        for one in truck.open.values():
            if marks.is_quiet(one.episode, truck.name, one.detector, now):
                quiet += 1
            else:
                counts[one.severity] += 1
        worst = max(truck.open.values(), key=lambda one: (one.severity, one.peak), default=None)
        health = truck.health or {}
        info = truck.info or {}
        models = info.get("models")
        model = models[0] if isinstance(models, list) and models and isinstance(models[0], dict) else {}
        lag = lag_now(truck, now)
        return (
            truck.index, truck.name, truck.state, truck.since // 1000, truck.fed // 1000,
            None if lag is None else round(lag, 1), _short(truck.score), counts, sorted(truck.notices),
            promise_of(truck.promises), truck.dropped, model.get("name"), model.get("digest"), info.get("version"),
            health.get("vehicles"), quiet, list(worst.signals) if worst else [],
        )  # fmt: skip

    def rows(self, now: int, marks: Marks) -> list[tuple[Any, ...]]:
        """Every truck."""
        return [self.row(truck, now, marks) for truck in self.trucks.values()]

    # ---- inside

    def _settle(self, truck: Truck, now: int) -> bool:
        before = truck.state
        changed = truck.settle(now, self._awake_since, self._silent_us)
        if changed:
            self._touch(truck)
            # What was never heard before is no news: a broker's retained status of trucks that left long ago.
            if before is not State.UNKNOWN and (before in GONE) != (truck.state in GONE):
                self.turns.append(Turn(truck.name, truck.state, truck.since))
        return changed

    def _touch(self, truck: Truck) -> None:
        self.number += 1
        self.urgent = truck.version = self._changed[truck.name] = self.number
        self._changed.move_to_end(truck.name)

    def _beat(self, truck: Truck) -> None:
        self.number += 1
        truck.beat = self._beating[truck.name] = self.number
        self._beating.move_to_end(truck.name)


def promise_of(meters: list[dict[str, Any]]) -> tuple[Any, Any, bool] | None:
    """Of the detector that is furthest over its budget: episodes an hour, the budget, and whether it is broken."""
    known = [one for one in meters if _is_number(one.get("per_hour")) and _is_number(one.get("budget"))]
    if not known:
        return None
    worst = max(known, key=lambda one: (one.get("broken") is True, one["per_hour"] - one["budget"]))
    return worst["per_hour"], worst["budget"], worst.get("broken") is True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

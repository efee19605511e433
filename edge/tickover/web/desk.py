"""The middle of the page: messages into the fleet and its history, and the answers to browsers, under one lock."""

import secrets
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from tickover import __version__
from tickover.core.values import SECOND, Alert
from tickover.host.clock import now_us
from tickover.messages.bodies import VerdictRecord
from tickover.storage.history import History, Mark
from tickover.web.fleet import COLUMNS, Fleet, Turn
from tickover.web.live import Live
from tickover.web.marks import Marks, mark_of, verdict_lines
from tickover.web.messages import LARGEST, LeftOutError, Place, alert_of, is_notice, notice_of, place_of, table_of

STORE_TRUCKS_US: Final = 60 * SECOND
CONFIRM_US: Final = 10 * SECOND
"""After connecting: how long the broker has to send the retained alarms; an open episode without one has ended."""
SWEEP_US: Final = SECOND
EPISODES_SHOWN: Final = 200
LIKE_SHOWN: Final = 20


class Outlet(Protocol):
    """Where new alerts are handed on (`tickover.web.hooks`)."""

    def take(self, alert: Alert, body: bytes, muted: bool) -> None:
        """Called inside the transaction that stores the alert."""

    def turn(self, turn: Turn, now: int) -> None:
        """A truck stopped reporting, or reports again; inside the transaction of the batch."""

    def report(self) -> dict[str, Any]:
        """What waits, what went, what is wrong."""


class Desk:
    """``changed`` is called, from any thread, when browsers are to be told something at once."""

    def __init__(
        self,
        history: History,
        base: str,
        fleet: Fleet,
        outlets: Iterable[Outlet] = (),
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.lock = threading.RLock()
        self.history, self.fleet, self.live = history, fleet, Live()
        self.marks = Marks(history.marks())
        self.epoch = secrets.token_hex(4)
        self.base = base
        self.changed: Callable[[], None] = lambda: None
        self.broker: dict[str, Any] = {"connected": False, "address": "", "trouble": "", "since": clock() // 1000}
        self.answers: Callable[[str, dict[str, Any]], None] = lambda vehicle, answer: None
        self._clock, self._outlets = clock, tuple(outlets)
        self._levels = len(base.split("/")) + 1
        self._unconfirmed: dict[str, tuple[str, str]] = {}
        self._confirm_at = self._stored_at = self._swept_at = 0
        self._told = self._stored_number = -1
        fleet.restore(history.trucks())
        for body in history.open_bodies():
            self._reopen(body)

    def now(self) -> int:
        """The clock, microseconds."""
        return self._clock()

    # ---- the broker

    def connected(self, address: str) -> None:
        """The broker is heard, and sends every retained alarm."""
        with self.lock:
            now = self._clock()
            self.broker = {"connected": True, "address": address, "trouble": "", "since": now // 1000}
            self.fleet.connected(now)
            self._unconfirmed = {
                one.episode: (truck.name, one.detector)
                for truck in self.fleet.trucks.values()
                for one in truck.open.values()
            }
            self._confirm_at = now + CONFIRM_US
        self.changed()

    def disconnected(self, trouble: str) -> None:
        """The broker is not heard; why."""
        with self.lock:
            if self.broker["connected"] or self.broker["trouble"] != trouble:
                since = self._clock() // 1000 if self.broker["connected"] else self.broker["since"]
                self.broker = {**self.broker, "connected": False, "trouble": trouble, "since": since}
                self._confirm_at = 0
        self.changed()

    def take(self, topic: str, payload: bytes) -> None:
        """One message. What cannot be read is counted by reason."""
        with self.lock:
            try:
                if len(payload) > LARGEST:
                    raise LeftOutError("too_large")
                self._take(place_of(topic, self._levels), payload)
            except LeftOutError as reason:
                self.fleet.counts[str(reason)] += 1

    def settle(self) -> None:
        """After a batch of messages: make it durable, find who fell silent, tell browsers."""
        with self.lock:
            now = self._clock()
            if self.broker["connected"] and now - self._swept_at >= SWEEP_US:
                self._swept_at = now
                self.fleet.sweep(now)
            if self._confirm_at and now >= self._confirm_at:
                self._end_unconfirmed(now)
            with self.history.whole():
                for turn in self.fleet.turns:
                    for outlet in self._outlets:
                        outlet.turn(turn, now)
                if now - self._stored_at >= STORE_TRUCKS_US or self.fleet.turns:
                    self.store_trucks(now)
                self.fleet.turns.clear()
                self.history.commit()
            tell = self._told != self.fleet.urgent
            self._told = self.fleet.urgent
        if tell:
            self.changed()

    def store_trucks(self, now: int) -> None:
        """Write what is known of the trucks, to be read at the next start."""
        with self.lock:
            since, number = self._stored_at - SECOND, self._stored_number
            moved = [one for one in self.fleet.trucks.values() if one.heard >= since or one.version > number]
            self.history.put_trucks((truck.name, truck.encode()) for truck in moved)
            self._stored_at, self._stored_number = now, self.fleet.number

    def _take(self, place: Place, payload: bytes) -> None:
        now, kind = self._clock(), place.kind
        if kind in ("alert", "alarm"):
            self._event(place, payload, now)
        elif kind == "cmd" and place.rest.endswith("/response"):
            self._answer(place.vehicle, payload, now)
        else:
            self.fleet.take(place, payload, now)

    def _event(self, place: Place, payload: bytes, now: int) -> None:
        if not payload:
            if place.kind == "alarm" and (episode := self.fleet.cleared(place)):
                self.history.end_unseen(episode, now)
        elif is_notice(payload) and (notice := notice_of(place.vehicle, payload)):
            self.fleet.notice(place.vehicle, notice.kind, notice.active, notice.time, notice.text)
            self.history.add_notice(notice)
        else:
            alert, row = alert_of(place.vehicle, payload, now)
            self._unconfirmed.pop(alert.episode_id, None)
            # Stored and handed on as one: a commit between them, and a kill after it, would lose what is handed on.
            with self.history.whole():
                is_new = self.history.add_alert(row)
                if is_new or place.kind == "alarm":
                    self.fleet.alert(alert)
                if is_new:
                    muted = self.marks.mute(alert.vehicle, alert.detector, now) is not None
                    for outlet in self._outlets:
                        outlet.take(alert, payload, muted)

    def _answer(self, vehicle: str, payload: bytes, now: int) -> None:
        try:
            answer = msgspec.json.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            raise LeftOutError("not_json") from None
        if not isinstance(answer, dict) or not str(answer.get("id", "")).startswith(self.epoch):
            return  # somebody else's
        if answer.get("command") == "snapshot":
            if answer.get("ok"):
                self.live.answer(vehicle, answer.get("result"), now)
                self._told = -1  # who looks at the truck is told at once
            else:
                self.live.refuse(vehicle, str(answer.get("error"))[:300], now)
        self.answers(vehicle, table_of(payload))

    def _end_unconfirmed(self, now: int) -> None:
        """The broker has no alarm of these any more: they ended while the page was away."""
        self._confirm_at = 0
        for episode, (vehicle, detector) in self._unconfirmed.items():
            truck = self.fleet.trucks.get(vehicle)
            if truck and detector in truck.open and truck.open[detector].episode == episode:
                self.fleet.cleared(Place(vehicle, "alarm", detector))
                self.history.end_unseen(episode, now)
        self._unconfirmed = {}

    def _reopen(self, body: bytes) -> None:
        """An episode that was open when the page was stopped."""
        try:
            vehicle = msgspec.json.decode(body)["data"]["vehicle"]
            alert, _ = alert_of(vehicle, body, 0)
            self.fleet.alert(alert)
        except (LeftOutError, msgspec.DecodeError, KeyError, TypeError):
            return

    # ---- what browsers ask

    @property
    def seen(self) -> str:
        """Where the stream of changes is (`tickover.web.stream`)."""
        return f"{self.epoch}-{self.fleet.number}"

    def page(self) -> dict[str, Any]:
        """What stands at the head and foot of every page."""
        with self.lock:
            return {
                "broker": self.broker,
                "counts": dict(self.fleet.counts),
                "now": self._clock() // 1000,
                "version": __version__,
                "base": self.base,
                "silent_s": self.fleet.silent_s,
                "hooks": self.hooks(),
            }

    def hooks(self) -> list[dict[str, Any]]:
        """What each way out says of itself."""
        return [outlet.report() for outlet in self._outlets]

    def fleet_view(self) -> dict[str, Any]:
        """Every truck."""
        with self.lock:
            now = self._clock()
            head = {"epoch": self.epoch, "number": self.fleet.number, "columns": COLUMNS, "page": self.page()}
            return {**head, "rows": self.fleet.rows(now, self.marks)}

    def changes(self, seen: int) -> dict[str, Any]:
        """What the list shows anew after ``seen``."""
        with self.lock:
            now = self._clock()
            return {"number": self.fleet.number, **self.fleet.changes(seen, now, self.marks)}

    def truck_view(self, name: str) -> dict[str, Any] | None:
        """All that is known of a truck; None when it is unknown."""
        with self.lock:
            truck, now = self.fleet.trucks.get(name), self._clock()
            episodes = self.history.episodes("vehicle = ?", (name,), EPISODES_SHOWN)
            if truck is None and not episodes:
                return None
            shown = self.truck_head(name)
            return {
                **shown,
                "trail": list(truck.points()) if truck else [],
                "episodes": [self._told_of(one) for one in episodes],
                "past": self.history.notices(name),
                "now": now // 1000,
                "epoch": self.epoch,
                "number": self.fleet.number,
                "page": self.page(),
            }

    def truck_head(self, name: str) -> dict[str, Any]:
        """What of a truck's page changes: its row, health, notices and mutes."""
        with self.lock:
            truck, now = self.fleet.trucks.get(name), self._clock()
            if truck is None:
                return {"name": name, "row": None, "columns": COLUMNS, "notices": [], "mutes": []}
            notices = [{"kind": k, "time": n.time, "text": n.text} for k, n in truck.notices.items()]
            row = self.fleet.row(truck, now, self.marks)
            return {
                "name": name, "columns": COLUMNS, "row": row, "health": truck.health, "info": truck.info,
                "promises": truck.promises, "notices": notices, "mutes": self.marks.muted(name, now),
                "version": truck.version,
            }  # fmt: skip

    def episode_view(self, id: str) -> dict[str, Any] | None:
        """An episode, what was said of it, and those like it; None when it is unknown."""
        seen, found = self.seen, self.history.episode(id)
        if found is None:
            return None
        summary, first, body = found
        vehicle, kind = summary["vehicle"], summary["kind"]
        here = self.history.episodes("kind = ? AND vehicle = ? AND id != ?", (kind, vehicle, id), LIKE_SHOWN)
        others = self.history.episodes("kind = ? AND vehicle != ?", (kind, vehicle), LIKE_SHOWN)
        with self.lock:
            now = self._clock()
            mute = self.marks.mute(vehicle, summary["detector"], now)
            return {
                **self._told_of(summary),
                "first": msgspec.Raw(first),
                "body": msgspec.Raw(body),
                "course": self.history.course(id),
                "marks": self.history.marks(id),
                "mute": {"until": mute.until // 1000, "reason": mute.reason, "who": mute.who} if mute else None,
                "like_here": [self._told_of(one) for one in here],
                "like_others": [self._told_of(one) for one in others],
                "page": self.page(),
                "seen": seen,
            }

    def recent(self, limit: int = 100) -> list[dict[str, Any]]:
        """The fleet's newest episodes."""
        return [self._told_of(one) for one in self.history.episodes(limit=limit)]

    def _told_of(self, summary: dict[str, Any]) -> dict[str, Any]:
        id = summary["id"]
        return {**summary, "acked": id in self.marks.acked, "verdict": self.marks.verdicts.get(id)}

    # ---- what people say

    def mark(self, id: str, body: Any) -> Mark | None:
        """Keep what a person said of an episode; None when the episode is unknown. MarkError when it cannot be."""
        found = self.history.episode(id)
        if found is None:
            return None
        mark = mark_of(body, found[0], self._clock())
        with self.lock:
            self.history.add_mark(mark)
            self.marks.note(mark)
            self.fleet.marked(mark.vehicle)
        self.changed()
        return mark

    def forget(self, name: str) -> bool:
        """Drop a truck from the list, until it publishes again."""
        with self.lock:
            done = self.fleet.forget(name)
            self.history.forget_truck(name)
            self.history.commit()
        self.changed()
        return done

    def verdicts(self) -> list[VerdictRecord]:
        """Every verdict that stands."""
        with self.lock:
            marks = [mark for mark in self.history.marks() if mark.episode in self.marks.verdicts]
            judged = ((mark, self._judged(mark.episode)) for mark in marks)
            return verdict_lines([(mark, known) for mark, known in judged if known], self.marks.verdicts)

    def _judged(self, id: str) -> dict[str, Any] | None:
        """An episode's summary with its model, and the charts that were over their limits when it opened."""
        found = self.history.episode(id)
        if found is None:
            return None
        summary, first, _ = found
        data = msgspec.json.decode(first)["data"]
        charts = [one["chart"] for one in data["signals"] if one["level"] >= 1]
        return {**summary, "digest": data["model_digest"], "charts": charts}

"""What a watcher knows: episodes, alerts, notices, daemons by status. No clock, no network, bounded memory."""

from collections import Counter, OrderedDict, deque
from typing import Final

import msgspec

from tickover.core.values import Alert, Phase, Severity
from tickover.messages.alerts import AlertError, decode_alert
from tickover.messages.notices import TYPE as NOTICE

RECENT: Final = 200
"""Alerts that are kept for the view."""
REMEMBERED: Final = 20_000
"""Ids that are kept to recognise a message that is received twice."""
REMARKS: Final = 3
"""Notices without a retained alarm that are kept: the latest."""
MOST_VEHICLES: Final = 10_000
"""Bound of each table: anyone who may publish could invent vehicles."""
SEVERITIES: Final = tuple(Severity)
LONGEST_STATUS: Final = 20


class Board:
    """Takes messages (topic and payload) and keeps what they say.

    ``open``: the last alert of each open episode. ``recent``: alerts, newest first. ``notices``: the active ones that
    are retained, by vehicle and kind. ``remarks``: the latest of those that are not retained. ``status``: the last
    status of each vehicle's daemon. ``counts``: alerts, notices, duplicates, not_an_alert, not_shown.
    """

    def __init__(self, base: str) -> None:
        self.open: dict[tuple[str, str], Alert] = {}
        self.recent: deque[Alert] = deque(maxlen=RECENT)
        self.notices: dict[tuple[str, str], str] = {}
        self.remarks: OrderedDict[tuple[str, str], str] = OrderedDict()
        self.status: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._levels = len(base.split("/")) + 1
        self._known: OrderedDict[str, None] = OrderedDict()

    def take(self, topic: str, payload: bytes) -> bool:
        """One message; True when it is an alert or a notice that was not seen before."""
        vehicle, _, rest = "/".join(topic.split("/")[self._levels :]).partition("/")
        kind, _, detector = rest.partition("/")
        if kind == "status" and (vehicle in self.status or len(self.status) < MOST_VEHICLES):
            self.status[vehicle] = status_word(payload)
        elif kind == "alarm" and not payload:
            self.open.pop((vehicle, detector), None)
            self.notices.pop((vehicle, detector), None)
        elif kind in ("alert", "alarm"):
            return self._event(vehicle, payload, news=kind == "alert")
        return False

    def worst_first(self) -> list[Alert]:
        """The open episodes, most severe first, then by peak."""
        return sorted(self.open.values(), key=lambda a: (-SEVERITIES.index(a.severity), -a.peak, a.vehicle))

    def _event(self, vehicle: str, payload: bytes, news: bool) -> bool:
        """An alert or a notice, new (``news``, from an alert topic) or still active (from an alarm topic, retained)."""
        try:
            notice = msgspec.json.decode(payload, type=NoticeEvent)
            alert = None if notice.type == NOTICE else decode_alert(payload)
        except (msgspec.DecodeError, RecursionError, AlertError):
            self.counts["not_an_alert"] += 1
            return False
        if news and not self._is_new(notice.id):
            return False
        if alert is None:
            self._notice((vehicle, notice.data.kind), notice.data, news)
        else:
            self._mark(alert)
            if news:
                self.recent.appendleft(alert)
        self.counts["notices" if alert is None else "alerts"] += news
        return news

    def _is_new(self, number: str) -> bool:
        if number in self._known:
            self.counts["duplicates"] += 1
            return False
        self._known[number] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True

    def _notice(self, key: tuple[str, str], notice: "Notice", news: bool) -> None:
        """A notice with a retained alarm is listed until it is over; every one is among the latest for a while."""
        if not notice.active:
            self.notices.pop(key, None)
            self.remarks.pop(key, None)
        elif news:
            self.remarks[key] = notice.text
            self.remarks.move_to_end(key)
            if len(self.remarks) > REMARKS:
                self.remarks.popitem(last=False)
        elif key in self.notices or len(self.notices) < MOST_VEHICLES:
            self.notices[key] = notice.text

    def _mark(self, alert: Alert) -> None:
        key = (alert.vehicle, alert.detector)
        before = self.open.get(key)
        if alert.phase is Phase.END:
            if before is None or before.episode_id == alert.episode_id:
                self.open.pop(key, None)
        elif before is None or alert.time >= before.time:
            if before is None and len(self.open) >= MOST_VEHICLES:
                self.counts["not_shown"] += 1
            else:
                self.open[key] = alert


class Notice(msgspec.Struct, frozen=True):
    """What is read of a notice's data."""

    kind: str = ""
    active: bool = False
    text: str = ""


class NoticeEvent(msgspec.Struct, frozen=True):
    """What is read of both, and of a notice's data: few keys, so that bodies of earlier releases are read too."""

    id: str
    type: str
    data: Notice


def status_word(payload: bytes) -> str:
    """``online``, ``stopped`` or ``offline``, from plain text or from a JSON object's ``state``."""
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        body = payload.decode("utf-8", "replace")
    word = body.get("state", "?") if isinstance(body, dict) else body
    return str(word)[:LONGEST_STATUS]

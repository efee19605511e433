"""What a watcher knows: open episodes, recent alerts and who is there. No clock, no network, bounded memory."""

from collections import Counter, OrderedDict, deque
from typing import Final

import msgspec

from tickover.core.values import Alert, Phase, Severity
from tickover.messages.alerts import AlertError, decode_alert
from tickover.messages.notices import TYPE as NOTICE

RECENT: Final = 200
"""Alerts kept for the view."""
REMEMBERED: Final = 20_000
"""Alert ids kept to recognise a message that comes twice."""
REMARKS: Final = 3
MOST_VEHICLES: Final = 10_000
SEVERITIES: Final = tuple(Severity)


class Board:
    """Takes messages, topic and payload, and holds what they say.

    ``open``: the last alert of each open episode. ``recent``: alerts, newest first. ``notices``: what is wrong with a
    daemon or its inputs now, by vehicle and kind. ``remarks``: the latest of what daemons said happened. ``status``:
    the last word of each vehicle's daemon. ``counts``: alerts, notices, duplicates, not_an_alert, not_shown.
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
        """An alert or a notice: what happened (``news``), or what stands (a retained alarm)."""
        try:
            notice = msgspec.json.decode(payload, type=_NoticeEvent)
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

    def _notice(self, key: tuple[str, str], notice: "_Notice", news: bool) -> None:
        """What stands comes as a retained alarm; what is only told, as news."""
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


class _Notice(msgspec.Struct, frozen=True):
    kind: str = ""
    active: bool = False
    text: str = ""


class _NoticeEvent(msgspec.Struct, frozen=True):
    """What alerts and notices share, and a notice's own data."""

    id: str
    type: str
    data: _Notice


def status_word(payload: bytes) -> str:
    """``online``, ``stopped`` or ``offline``, from plain text or from a JSON object's ``state``."""
    try:
        said = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        said = payload.decode("utf-8", "replace")
    word = said.get("state", "?") if isinstance(said, dict) else said
    return str(word)[:20]

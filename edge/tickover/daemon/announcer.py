"""What is told where: topics, and alerts and notices turned into messages for the store."""

from collections.abc import Callable, Iterable
from typing import Final

from tickover.core.values import Alert, Phase, Severity
from tickover.messages.alerts import encode_alert
from tickover.messages.notices import Kind, Notice, encode_notice
from tickover.messages.topics import Topics
from tickover.storage.store import Change, Message

RANK: Final = {Severity.WARNING: 1, Severity.MAJOR: 2, Severity.CRITICAL: 3}
"""Severity as the outbox orders it."""
NOTICE_RANK: Final = 2
OVERFLOW_RANK: Final = 4
"""Above every alert: what says that alerts were dropped is not dropped for one."""
EVENTS: Final = frozenset({Kind.STORE_DAMAGED, Kind.STATE_LOST, Kind.MODEL_CHANGED})
"""Notices of something that happened once: an alert, but no alarm that stands."""
STANDING: Final = tuple(kind for kind in Kind if kind not in EVENTS)
"""Notices with an alarm that stands until they are over."""


class Announcer:
    """Gathers what the next commit stores; ``muted`` says whose alerts are not told."""

    def __init__(self, topics: Topics, muted: Callable[[str], bool]) -> None:
        self._topics, self._muted = topics, muted
        self._messages: list[Message] = []
        self._retained: dict[str, bytes] = {}
        self._state: dict[Kind, tuple[bool, str]] = {}
        self._node = topics.status.split("/")[-2]
        self.muted = 0

    @property
    def waiting(self) -> bool:
        """True when something is to be stored and told."""
        return bool(self._messages or self._retained)

    def alert(self, alert: Alert) -> None:
        """An alert, and the alarm topic as it leaves it."""
        ended = alert.phase is Phase.END
        topic = self._topics.of(alert.vehicle, f"alarm/{alert.detector}")
        if self._muted(alert.vehicle):
            self.muted += 1
            if ended:
                self._retained[topic] = b""
            return
        body = encode_alert(alert)
        where = self._topics.of(alert.vehicle, f"alert/{alert.detector}")
        self._messages.append(Message(alert.alert_id, where, body, RANK[alert.severity]))
        self._retained[topic] = b"" if ended else body

    def notice(self, notice: Notice) -> None:
        """A notice, and its alarm topic."""
        body = encode_notice(notice)
        where = self._topics.of(notice.vehicle, f"alert/{notice.kind}")
        rank = OVERFLOW_RANK if notice.kind is Kind.OUTBOX_OVERFLOW else NOTICE_RANK
        self._messages.append(Message(notice.id, where, body, rank))
        if notice.kind not in EVENTS:
            self._retained[self._topics.of(notice.vehicle, f"alarm/{notice.kind}")] = body if notice.active else b""

    def resume(self, retained: dict[str, bytes]) -> None:
        """Remember which of the daemon's own alarms an earlier run left standing."""
        for kind in Kind:
            if retained.get(self._topics.of(self._node, f"alarm/{kind}")):
                self._state[kind] = (True, "")

    def clear(self, topics: Iterable[str]) -> None:
        """Alarm topics that may stand at the broker, left by a life of which nothing is known any more."""
        self._retained.update(dict.fromkeys(topics, b""))

    def own(self, kind: Kind, active: bool, text: str, now: int) -> bool:
        """A notice of the daemon itself, unless it is no news; True when it is."""
        before = self._state.get(kind, (False, ""))
        if active == before[0] and (not active or text == before[1]):
            return False
        self._state[kind] = (active, text)
        self.notice(Notice(self._node, kind, active, now, text))
        return True

    def settle(self, change: Change) -> dict[str, bytes]:
        """Move everything into the change; the retained topics that it changes."""
        change.messages += self._messages
        retained, self._retained = self._retained, {}
        change.retained.update(retained)
        self._messages = []
        return retained

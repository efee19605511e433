"""What is published where: alerts and notices turned into messages, with their topics, for the store."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from tickover.core.values import Alert, Phase, Severity
from tickover.daemon.stale_groups import META_GROUPS, StaleGroups
from tickover.host.clock import now_us
from tickover.host.log_fields import fields
from tickover.messages.alerts import encode_alert
from tickover.messages.notices import Kind, Notice, encode_notice
from tickover.messages.topics import Topics
from tickover.storage.store import Change, Message

logger: Final = logging.getLogger("tickover")

RANK: Final = {Severity.WARNING: 1, Severity.MAJOR: 2, Severity.CRITICAL: 3}
"""Severity as the outbox orders it."""
NOTICE_RANK: Final = 2
OVERFLOW_RANK: Final = 4
"""Above every alert: the notice that alerts were dropped is not dropped for one."""
EVENTS: Final = frozenset(
    {Kind.RESET, Kind.STORE_DAMAGED, Kind.STATE_LOST, Kind.MODEL_CHANGED, Kind.DRIFT, Kind.VERDICT}
)
"""Notices of something that happened once: an alert, but no alarm that stands."""
STANDING: Final = tuple(kind for kind in Kind if kind not in EVENTS)
"""Notices with an alarm that stands until they are over."""


class Announcer:
    """Gathers what the next commit stores.

    ``is_shelved`` says whose alerts are not published; ``shelved`` counts these alerts, ``swallowed`` those of each
    vehicle since it was shelved.
    """

    def __init__(self, topics: Topics, is_shelved: Callable[[str], bool], groups: bytes | None = None) -> None:
        self._topics, self._is_shelved = topics, is_shelved
        self._messages: list[Message] = []
        self._retained: dict[str, bytes] = {}
        self._state: dict[Kind, tuple[bool, str]] = {}
        self._node = topics.status.split("/")[-2]
        self._groups = StaleGroups(self._node, groups)
        self.shelved = 0
        self.swallowed: Counter[str] = Counter()
        self.leaves_out: Callable[[Alert], bool] = lambda _: False
        """Which alerts are not told because too much went up already; see `tickover.daemon.uplink`."""

    @property
    def waiting(self) -> bool:
        """True when something is to be stored and published."""
        return bool(self._messages or self._retained) or self._groups.due(time.monotonic())

    def alert(self, alert: Alert) -> None:
        """An alert, and its alarm topic: the alert while the episode is open, then empty."""
        ended = alert.phase is Phase.END
        topic = self._topics.of(alert.vehicle, f"alarm/{alert.detector}")
        if self._is_shelved(alert.vehicle):
            self.shelved += 1
            self.swallowed[alert.vehicle] += 1
            if ended:
                self._retained[topic] = b""
            return
        if self.leaves_out(alert):
            return
        body = encode_alert(alert)
        where = self._topics.of(alert.vehicle, f"alert/{alert.detector}")
        self._messages.append(Message(alert.alert_id, where, body, RANK[alert.severity]))
        self._retained[topic] = b"" if ended else body

    def notice(self, notice: Notice) -> None:
        """A notice, and its alarm topic; those of signals that are not read are gathered first (`StaleGroups`)."""
        if notice.kind is Kind.STALE_SIGNAL:
            self._groups.take(notice, time.monotonic())
        else:
            self._tell(notice)

    def forget(self, vehicle: str) -> None:
        """A vehicle begins anew: what was gathered of it is nobody's."""
        self._groups.forget(vehicle)

    def _tell(self, notice: Notice) -> None:
        body = encode_notice(notice)
        where = self._topics.of(notice.vehicle, f"alert/{notice.kind}")
        rank = OVERFLOW_RANK if notice.kind is Kind.OUTBOX_OVERFLOW else NOTICE_RANK
        self._messages.append(Message(notice.id, where, body, rank))
        if notice.kind not in EVENTS:
            self._retained[self._topics.of(notice.vehicle, f"alarm/{notice.kind}")] = body if notice.active else b""

    def resume(self, retained: dict[str, bytes]) -> None:
        """Continue with the daemon's own alarms that an earlier run left standing."""
        for kind in Kind:
            if retained.get(self._topics.of(self._node, f"alarm/{kind}")):
                self._state[kind] = (True, "")
        end = f"/alarm/{Kind.STALE_SIGNAL}"
        self._groups.resume(topic.split("/")[-3] for topic, body in retained.items() if body and topic.endswith(end))

    def clear(self, topics: Iterable[str]) -> None:
        """Clear alarm topics that may stand at the broker, from a time of which the store knows nothing."""
        self._retained.update(dict.fromkeys(topics, b""))

    def own(self, kind: Kind, active: bool, text: str, now: int) -> bool:
        """A notice of the daemon itself, if it says something new; True when it does."""
        before = self._state.get(kind, (False, ""))
        if active == before[0] and (not active or text == before[1]):
            return False
        self._state[kind] = (active, text)
        self.notice(Notice(self._node, kind, active, now, text))
        return True

    def say(self, kind: Kind, active: bool, text: str) -> None:
        """As `own`, now; what is new is logged as well."""
        if self.own(kind, active, text, now_us()):
            log: Callable[..., None] = logger.error if active else logger.info
            log("%s %s", text, fields(notice=kind.value, active=active))

    def settle(self, change: Change) -> dict[str, bytes]:
        """Move everything into the change; the retained topics that it changes."""
        now = time.monotonic()
        if self._groups.due(now):
            for notice in self._groups.release(now):
                self._tell(notice)
        if self._groups.is_changed:
            change.meta[META_GROUPS] = self._groups.encode()
        change.messages += self._messages
        retained, self._retained = self._retained, {}
        change.retained.update(retained)
        self._messages = []
        return retained

"""How many bytes go up in a day, and what is left out when the allowance of a day runs short (``out.bytes_per_day``).

Counted is what is handed to the transport, topic and body, also what goes out a second time after a broken connection.
MQTT, TLS and TCP add 60 to 120 bytes a message, which is not seen here. A day is one of UTC.
"""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

from tickover.core.values import SECOND, Alert, Phase, Severity
from tickover.transports.base import Sink

META_UPLINK: Final = "uplink"
"""Where the store keeps the day's count."""
DAY: Final = 86_400 * SECOND


class Use(StrEnum):
    """What bytes go up for: the level of the topic that says so, or anything else."""

    ALERT = "alert"
    ALARM = "alarm"
    HEALTH = "health"
    SCORE = "score"
    OTHER = "other"


SCORES_UNTIL, HEALTH_UNTIL, UPDATES_UNTIL = 0.5, 0.75, 1.0
"""Shares of the allowance: beyond each, this is left out too. The start and the end of an episode always go."""
HEALTH_EVERY: Final = 15
"""Beyond its share, one of so many health reports still goes: a dashboard must tell quiet from gone."""
_ALWAYS: Final = frozenset({Phase.START, Phase.END})


class Count(msgspec.Struct):
    """Bytes of one day (days since the epoch), by use, and what was left out."""

    day: int = 0
    sent: dict[str, int] = {}
    left_out: dict[str, int] = {}


class Uplink:
    """Counts, and says what may go. ``per_vehicle`` bytes a day, 0 = no limit; ``vehicles`` says how many there are.

    ``saved`` is `encode` of an earlier run; ``clock`` gives microseconds since the epoch.
    """

    def __init__(
        self, per_vehicle: int, vehicles: Callable[[], int], clock: Callable[[], int], saved: bytes | None = None
    ) -> None:
        self._per_vehicle, self._vehicles, self._clock = per_vehicle, vehicles, clock
        self._count = msgspec.msgpack.decode(saved, type=Count) if saved else Count(clock() // DAY)
        self._reports = 0

    def sent(self, topic: str, size: int) -> None:
        """Note a message that goes up."""
        use = _use(topic)
        today = self._today()
        today.sent[use] = today.sent.get(use, 0) + len(topic) + size

    def allows(self, use: Use) -> bool:
        """Whether a score or a health report may go now; what may not is counted."""
        share, fits = self.share, True
        if use is Use.SCORE:
            fits = share < SCORES_UNTIL
        elif use is Use.HEALTH and share >= HEALTH_UNTIL:
            self._reports += 1
            fits = share < UPDATES_UNTIL and self._reports % HEALTH_EVERY == 0
        return fits or self._leave_out(use)

    def leaves_out(self, alert: Alert) -> bool:
        """Whether an alert is not told: an update that is not critical, when the day's allowance is used up."""
        if alert.phase in _ALWAYS or alert.severity is Severity.CRITICAL or self.share < UPDATES_UNTIL:
            return False
        self._leave_out(Use.ALERT)
        return True

    @property
    def is_capped(self) -> bool:
        """Whether there is an allowance."""
        return self._per_vehicle > 0

    @property
    def share(self) -> float:
        """How much of the day's allowance is used; 0 without one."""
        if not self._per_vehicle:
            return 0.0
        return sum(self._today().sent.values()) / (self._per_vehicle * max(1, self._vehicles()))

    @property
    def trouble(self) -> str:
        """What is left out now, and why; empty when nothing is."""
        share = self.share
        parts = ((SCORES_UNTIL, "scores"), (HEALTH_UNTIL, "most health reports"), (UPDATES_UNTIL, "updates of alerts"))
        out = [words for least, words in parts if share >= least]
        if not out:
            return ""
        return (
            f"{', '.join(out)} are left out until midnight UTC: the day's allowance of {self._per_vehicle:,} bytes a "
            "vehicle runs short (out.bytes_per_day)"
        )

    def report(self) -> dict[str, dict[str, int]]:
        """For the health report: today's bytes and what was left out, by use."""
        today = self._today()
        return {"up_today": dict(today.sent), "left_out_today": dict(today.left_out)}

    def encode(self) -> bytes:
        """For the store."""
        return msgspec.msgpack.encode(self._count)

    def metered(self, sink: Sink) -> Sink:
        """The same sink; what it is given is counted."""
        return _Metered(sink, self)

    def _today(self) -> Count:
        """The count of today; another day, also one that a clock set back makes, begins at nothing."""
        day = self._clock() // DAY
        if day != self._count.day:
            self._count = Count(day)
        return self._count

    def _leave_out(self, use: Use) -> bool:
        left_out = self._today().left_out
        left_out[use] = Counter(left_out)[use] + 1
        return False


class _Metered:
    def __init__(self, sink: Sink, uplink: Uplink) -> None:
        self._sink, self._uplink = sink, uplink

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False) -> None:
        self._uplink.sent(topic, len(payload))
        self._sink.publish(token, topic, payload, retain)

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self._uplink.sent(topic, len(payload))
        self._sink.send(topic, payload, retain)

    def __getattr__(self, name: str) -> Any:
        """What else a sink offers counts nothing."""
        return getattr(self._sink, name)


def _use(topic: str) -> Use:
    """``<base>/v1/<vehicle>/alert/<detector>``, ``…/health``: the last level but one, or the last."""
    last = topic.rsplit("/", 2)
    for level in last[-2:]:
        if level in (Use.ALERT, Use.ALARM, Use.HEALTH, Use.SCORE):
            return Use(level)
    return Use.OTHER

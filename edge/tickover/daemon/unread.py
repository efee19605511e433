"""What is subscribed and never read, or received and refused as a whole: for the log and a notice, within a minute.

No clock.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from tickover.host.log_fields import fields
from tickover.messages import remedies
from tickover.transports.base import Received

WAIT_S: Final = 30.0
"""How long a topic's messages may go unread, or an input without any, before it is said."""
AGAIN_S: Final = 3600.0
"""How long until the same is said again."""
PAYLOAD_SHOWN: Final = 80
"""Bytes of a payload in the log."""
MOST_TOPICS: Final = 256
"""The most topics that are followed."""
MOST_SAID: Final = 5
"""The most topics that are named at once."""
RENEWED_S: Final = 60.0
"""How often the text of the notice may change."""
NOT_OURS: Final = "unknown_signal"
"""Why a topic with one signal is refused when no model needs it: no fault of the topic, only of a whole input."""
NOTHING: Final = "holds no reading"
Key = TypeVar("Key", int, str)


@dataclass(slots=True)
class _Trouble:
    """Messages of one topic, or of one input, since the last that was read; ``since``, ``said``: monotonic seconds."""

    topic: str
    payload: bytes
    why: str
    messages: int = 0
    since: float | None = None
    said: float | None = None

    def note(self, message: Received, why: str) -> None:
        self.topic, self.payload, self.why = message.topic, message.payload[:PAYLOAD_SHOWN], why
        self.messages += 1

    def is_due(self, now: float) -> bool:
        """Whether to say it now; the first look at a trouble starts its clock."""
        if self.since is None:
            self.since = now
        if now - self.since < WAIT_S or (self.said is not None and now - self.said < AGAIN_S):
            return False
        self.said = now
        return True


class Unread:
    """Follows the inputs, by number, and the topics whose messages are refused. ``filters``: the inputs'."""

    def __init__(self, filters: Iterable[str]) -> None:
        self._filters = list(filters)
        self._read: Counter[int] = Counter()
        self._inputs: dict[int, _Trouble] = {}
        self._topics: dict[str, _Trouble] = {}
        self._advice: dict[tuple[int, str], str] = {}
        self._noticed: tuple[str, float] = ("", 0.0)
        self._silent_since: float | None = None
        self._silence_said = False

    def heard(self, number: int, message: Received, rows: int) -> None:
        """A message that was not refused."""
        if rows:
            self._read[number] += 1
            if self._topics:
                self._topics.pop(message.topic, None)
        elif not self._read[number]:
            self._note(self._inputs, number, message, NOTHING)

    def refused(self, number: int, message: Received, reason: str, advice: str) -> None:
        """A message that was refused as a whole."""
        self._advice.setdefault((number, reason), advice)
        why = remedies.on_reading(reason, advice)
        if not self._read[number]:
            self._note(self._inputs, number, message, why)
        if reason != NOT_OURS and (message.topic in self._topics or len(self._topics) < MOST_TOPICS):
            self._note(self._topics, message.topic, message, why)

    def advice(self, number: int, reason: str) -> str | None:
        """What was advised of the input's first message that was refused for this reason; None: it is the first."""
        return self._advice.get((number, reason))

    def look(self, now: float) -> Iterator[str]:
        """What is to be said now, one line each; ``now`` in monotonic seconds, since the subscription."""
        yield from self._silent(now)
        for number in [number for number in self._inputs if self._read[number]]:
            del self._inputs[number]
        for number, trouble in self._inputs.items():
            if trouble.is_due(now):
                self._topics.pop(trouble.topic, None)
                yield _line(self._filters[number], trouble)
        due = [trouble for trouble in self._topics.values() if trouble.is_due(now)]
        yield from (_line(trouble.topic, trouble) for trouble in due[:MOST_SAID])
        if len(due) > MOST_SAID:
            yield f"received and not read: {len(due) - MOST_SAID} more topics"

    def notice(self, now: float) -> str:
        """What stands: the inputs and topics that were said and are not read since; empty when there are none.

        The text stays the same while counts go up, and changes once in `RENEWED_S` at most.
        """
        told = {self._filters[n]: one for n, one in self._inputs.items() if one.said is not None and not self._read[n]}
        told |= {topic: one for topic, one in self._topics.items() if one.said is not None and topic not in told}
        silent = self._unheard() if self._silence_said else []
        text, since = self._noticed
        if not told and not silent:
            self._noticed = ("", 0.0)
        elif not text or now - since >= RENEWED_S:
            lines = [f"{where} ({one.why})" for where, one in list(told.items())[:MOST_SAID]]
            more = [f"{len(told) - MOST_SAID} more topics"] if len(told) > MOST_SAID else []
            quiet = [remedies.on_silence(silent)] if silent else []
            said = [f"received and not read: {', '.join([*lines, *more])}"] if lines else []
            self._noticed = ("; ".join([*said, *quiet]), now)
        return self._noticed[0]

    def _unheard(self) -> list[str]:
        """The inputs of which no message came, while others' did."""
        heard = {number for number in range(len(self._filters)) if self._read[number] or number in self._inputs}
        return [name for number, name in enumerate(self._filters) if number not in heard] if heard else []

    def _silent(self, now: float) -> Iterator[str]:
        """Once: the inputs of which no message came, while others' did."""
        if self._silent_since is None:
            self._silent_since = now
        if self._silence_said or now - self._silent_since < WAIT_S:
            return
        self._silence_said = True
        if silent := self._unheard():
            yield remedies.on_silence(silent)

    @staticmethod
    def _note(troubles: dict[Key, _Trouble], key: Key, message: Received, why: str) -> None:
        trouble = troubles.get(key)
        if trouble is None:
            trouble = troubles[key] = _Trouble(message.topic, b"", why)
        trouble.note(message, why)


def _line(where: str, trouble: _Trouble) -> str:
    shown = fields(topic=trouble.topic, payload=trouble.payload)
    return remedies.on_unread(where, trouble.messages, f"{shown}: {trouble.why}")

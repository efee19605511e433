"""What people have said of episodes: acknowledged, muted with a reason and an end, and verdicts. No clock, no disk."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from tickover.core.time_format import iso
from tickover.core.values import SECOND
from tickover.messages.bodies import VerdictRecord
from tickover.storage.history import Mark

ACK: Final = "ack"
MUTE: Final = "mute"
VERDICT: Final = "verdict"
YES: Final = "yes"
WITHDRAWN: Final = ""
VALUES: Final[dict[str, tuple[str, ...]]] = {
    ACK: (YES, WITHDRAWN),
    MUTE: ("kind", "truck", WITHDRAWN),
    VERDICT: ("real", "false", "known", WITHDRAWN),
}
"""What may be said. A mute of ``kind`` holds for one detector of the truck, of ``truck`` for all of them."""
LONGEST_REASON: Final = 500
LONGEST_WHO: Final = 80
LONGEST_MUTE_S: Final = 366 * 86_400


class MarkError(Exception):
    """What was said cannot be kept; the text is the answer."""


@dataclass(frozen=True, slots=True)
class Mute:
    """``until`` in microseconds."""

    until: int
    reason: str
    who: str


class Marks:
    """The newest word on each episode and truck, from all marks in their order."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self.acked: set[str] = set()
        self.verdicts: dict[str, str] = {}
        self._mutes: dict[tuple[str, str], Mute] = {}
        for mark in marks:
            self.note(mark)

    def note(self, mark: Mark) -> None:
        """One more mark."""
        if mark.what == ACK:
            (self.acked.add if mark.value == YES else self.acked.discard)(mark.episode)
        elif mark.what == VERDICT:
            if mark.value == WITHDRAWN:
                self.verdicts.pop(mark.episode, None)
            else:
                self.verdicts[mark.episode] = mark.value
        elif mark.what == MUTE:
            if mark.value == WITHDRAWN:
                self._mutes.pop((mark.vehicle, mark.detector), None)
                self._mutes.pop((mark.vehicle, ""), None)
            else:
                key = (mark.vehicle, mark.detector if mark.value == "kind" else "")
                self._mutes[key] = Mute(mark.until or 0, mark.reason, mark.who)

    def mute(self, vehicle: str, detector: str, now: int) -> Mute | None:
        """The mute that holds for a truck's detector now."""
        for key in ((vehicle, detector), (vehicle, "")):
            mute = self._mutes.get(key)
            if mute and mute.until > now:
                return mute
        return None

    def is_quiet(self, episode: str, vehicle: str, detector: str, now: int) -> bool:
        """Whether somebody has seen to the episode: acknowledged, or muted."""
        return episode in self.acked or self.mute(vehicle, detector, now) is not None

    def muted(self, vehicle: str, now: int) -> list[dict[str, Any]]:
        """The mutes of a truck that hold now; an empty detector is all of them."""
        return [
            {"detector": detector, "until": mute.until // 1000, "reason": mute.reason, "who": mute.who}
            for (name, detector), mute in self._mutes.items()
            if name == vehicle and mute.until > now
        ]


def mark_of(body: Any, summary: dict[str, Any], now: int) -> Mark:
    """A mark as a browser sends it, on an episode; MarkError says what was expected.

    ``body``: what, value, reason, who, and for a mute ``for_s``, how long it lasts.
    """
    if not isinstance(body, dict):
        raise MarkError("expected a JSON object")
    what, value = body.get("what"), body.get("value")
    if what not in VALUES:
        raise MarkError(f"what: expected one of {', '.join(VALUES)}, got {str(what)[:40]!r}")
    if value not in VALUES[what]:
        raise MarkError(f"value: expected one of {', '.join(map(repr, VALUES[what]))}, got {str(value)[:40]!r}")
    reason, who = _text(body, "reason", LONGEST_REASON), _text(body, "who", LONGEST_WHO)
    until = _until(body, now) if what == MUTE and value else None
    if until and not reason:
        raise MarkError("reason: expected why it is muted")
    return Mark(now, summary["id"], summary["vehicle"], summary["detector"], what, value, reason, until, who)


def _text(body: dict[str, Any], key: str, longest: int) -> str:
    text = body.get(key, "")
    if not isinstance(text, str) or len(text) > longest:
        raise MarkError(f"{key}: expected a text of at most {longest} characters")
    return "".join(mark if mark.isprintable() else " " for mark in text).strip()


def _until(body: dict[str, Any], now: int) -> int:
    seconds = body.get("for_s")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_MUTE_S:
        raise MarkError(f"for_s: expected seconds from 1 to {LONGEST_MUTE_S}, got {str(seconds)[:40]!r}")
    return now + round(seconds * SECOND)


def verdict_lines(rows: Iterable[tuple[Mark, dict[str, Any]]], standing: dict[str, str]) -> list[VerdictRecord]:
    """A line for each verdict that stands, in the form that a daemon exports its own.

    ``rows``: each verdict's mark, oldest first, and its episode's summary; of several on an episode the last counts.
    ``standing``: the verdicts by episode.
    """
    newest = {mark.episode: (mark, known) for mark, known in rows if mark.what == VERDICT}
    return [_record(mark, known) for episode, (mark, known) in newest.items() if episode in standing]


def _record(mark: Mark, known: dict[str, Any]) -> VerdictRecord:
    return VerdictRecord(
        time=iso(mark.time),
        at=mark.time,
        vehicle=mark.vehicle,
        episode=mark.episode,
        detector=mark.detector,
        model=known["digest"],
        start=iso(known["start"]),
        end=None if known["end"] is None else iso(known["end"]),
        peak=known["peak"],
        charts=tuple(known["charts"]),
        verdict=mark.value,
        before="none",
        by=mark.who,
        note=mark.reason,
    )

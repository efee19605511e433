"""Shelved, out of service, reset: each leaves a trace in the log and as a notice, with who asked for it and until when.

What a shelved vehicle would have told is counted, and told when that ends.
"""

import logging
from collections import Counter
from typing import Final, NamedTuple

import msgspec

from tickover.core.ledger import Entry, Verdict
from tickover.core.time_format import iso_seconds
from tickover.daemon.announcer import Announcer
from tickover.daemon.modes import EVERYONE, Mode, Modes
from tickover.host.clock import now_us
from tickover.host.log_fields import fields
from tickover.messages.notices import Kind, Notice
from tickover.payloads.base import PayloadError
from tickover.payloads.strict_json import parse_json

logger: Final = logging.getLogger("tickover")

KINDS: Final = {Mode.SHELVED: Kind.SHELVED, Mode.OUT_OF_SERVICE: Kind.OUT_OF_SERVICE}
WORDS: Final = {Mode.SHELVED: "shelved, its alerts are not published", Mode.OUT_OF_SERVICE: "out of service, not read"}
META_SWALLOWED: Final = "swallowed"
LONGEST: Final = 200
"""Characters of a name or id that somebody else chose."""
UNKNOWN: Final = "unknown (the broker does not say)"


class Asker(NamedTuple):
    """Who sent a request, as the broker says, and the request's id."""

    sender: str = ""
    request: str = ""

    def __str__(self) -> str:
        who = self.sender or UNKNOWN
        return f"by {who}, request {self.request}" if self.request else f"by {who}"


def asker(sender: str, payload: bytes) -> Asker:
    """Of a request as it was received; one that cannot be read has no id."""
    try:
        request = parse_json(payload) if payload else {}
    except PayloadError:
        request = {}
    number = request.get("id") if isinstance(request, dict) else None
    return Asker(_shown(sender), "" if number is None else _shown(str(number)))


def _shown(text: str) -> str:
    return "".join(mark if mark.isprintable() else "?" for mark in text[:LONGEST])


class Silencing:
    """Sets modes and tells of it; ``node`` stands for every vehicle in topics."""

    def __init__(self, modes: Modes, announcer: Announcer, node: str, swallowed: bytes | None) -> None:
        self._modes, self._announcer, self._node = modes, announcer, node
        if swallowed:
            announcer.swallowed.update(msgspec.msgpack.decode(swallowed, type=dict[str, int]))
        self._stored = Counter(announcer.swallowed)

    def set(self, mode: Mode, vehicle: str, until: int, by: Asker) -> None:
        """Enter a mode, or leave it when ``until`` is past."""
        if until > now_us():
            self._modes.set(mode, vehicle, until)
            self._tell(KINDS[mode], vehicle, True, f"{WORDS[mode]}, until {iso_seconds(until)}, {by}")
        elif self._modes.leave(mode, vehicle):
            self._over(mode, vehicle, f"ended {by}")

    def expire(self) -> bool:
        """Tell of the modes whose time has come; True when there were any."""
        over = self._modes.expire(now_us())
        for mode, vehicle in over:
            self._over(mode, vehicle, "its time is over")
        return bool(over)

    def reset(self, vehicle: str, by: Asker) -> None:
        """Tell that all that was known of a vehicle, or of all, is forgotten."""
        self._tell(Kind.RESET, vehicle, True, f"reset, all that was known is forgotten and alarms are cleared, {by}")

    def judged(self, vehicle: str, entry: Entry, by: Asker) -> None:
        """Tell of a person's verdict on an episode."""
        what = f"episode {entry.name} of {entry.detector}, {iso_seconds(entry.start)}"
        word = "no verdict any more" if entry.verdict is Verdict.NONE else f"judged {entry.verdict.value}"
        self._tell(Kind.VERDICT, vehicle, True, f"{what}: {word} {by}")

    def changed(self) -> bytes | None:
        """What was swallowed, to be stored, when that changed since the last call."""
        if self._announcer.swallowed == self._stored:
            return None
        self._stored = Counter(self._announcer.swallowed)
        return msgspec.msgpack.encode(dict(self._stored))

    def _over(self, mode: Mode, vehicle: str, why: str) -> None:
        text = f"no longer {WORDS[mode].split(',')[0]}: {why}"
        if mode is Mode.SHELVED:
            text += f"; {self._count(vehicle)} alerts were not published meanwhile"
        self._tell(KINDS[mode], vehicle, False, text)

    def _count(self, vehicle: str) -> int:
        """The alerts that were swallowed for a vehicle, or for all; counted anew from now on."""
        swallowed = self._announcer.swallowed
        if vehicle != EVERYONE:
            return swallowed.pop(vehicle, 0)
        count = swallowed.total()
        swallowed.clear()
        return count

    def _tell(self, kind: Kind, vehicle: str, active: bool, text: str) -> None:
        whose = "every vehicle" if vehicle == EVERYONE else vehicle
        logger.warning("%s: %s %s", whose, text, fields(notice=kind.value, active=active))
        where = self._node if vehicle == EVERYONE else vehicle
        self._announcer.notice(Notice(where, kind, active, now_us(), f"{whose}: {text}"))

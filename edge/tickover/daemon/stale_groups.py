"""Notices of signals that are not read, gathered: one cause on many trucks, or on many signals, is told once.

A gateway that loses a bus makes many signals of many trucks stale within seconds. Each vehicle's notice therefore waits
for ``WINDOW_S``, in which a later one of the same vehicle replaces it. Then those that say the same of at least
``LEAST`` vehicles become one notice of the daemon, which names them; the others are told as they are.

What waits is stored in the transaction of the readings that caused it, and what is told in one that ends the waiting: a
crash neither loses a notice nor tells it twice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from tickover.messages.notices import Kind, Notice

META_GROUPS: Final = "stale_groups"
"""Where the store keeps what waits and who is in a group."""
WINDOW_S: Final = 3.0
LEAST: Final = 3
"""Two trucks may break at once; three with the same signals share something."""
UPDATE_S: Final = 60.0
"""A group that grows or shrinks is told again no more often; its beginning and its end at once."""
NAMES, CAUSES = 5, 5
"""So many vehicles of a group are named, and so many groups told."""


class _Saved(msgspec.Struct):
    waiting: dict[str, Notice] = {}
    alone: dict[str, str] = {}
    grouped: dict[str, str] = {}
    told: str = ""
    newest: int = 0


class StaleGroups:
    """``node`` is the daemon's name; ``saved`` is `encode` of an earlier run."""

    def __init__(self, node: str, saved: bytes | None = None) -> None:
        self._node = node
        self._known = msgspec.msgpack.decode(saved, type=_Saved) if saved else _Saved()
        self.is_changed = False
        """Whether the store has to be told."""
        self._release_at: float | None = 0.0 if self._known.waiting else None
        self._told_at = float("-inf")
        self._text: str | None = None

    def resume(self, standing: Iterable[str]) -> None:
        """Continue with the alarms that stand for these vehicles, also those of a release that knew no groups."""
        known = self._known
        for vehicle in standing:
            if vehicle == self._node:
                known.told = known.told or "a group that is not known any more"
            elif vehicle not in known.grouped:
                known.alone.setdefault(vehicle, "")

    def take(self, notice: Notice, now: float) -> None:
        """A vehicle's newest notice; ``now`` is monotonic."""
        self._known.waiting[notice.vehicle] = notice
        self.is_changed = True
        if self._release_at is None:
            self._release_at = now + WINDOW_S

    def forget(self, vehicle: str) -> None:
        """Nothing is known of the vehicle any more; its own alarm is the caller's to clear."""
        for known in (self._known.waiting, self._known.alone, self._known.grouped):
            if known.pop(vehicle, None) is not None:
                self.is_changed, self._text = True, None

    def due(self, now: float) -> bool:
        """Whether there is something to tell."""
        if self._release_at is not None and now >= self._release_at:
            return True
        text = self._common()
        return text != self._known.told and (not text or now >= self._told_at + UPDATE_S)

    def release(self, now: float) -> Iterator[Notice]:
        """What is to be told now."""
        known, self._release_at = self._known, None
        waiting, known.waiting = known.waiting, {}
        self.is_changed, self._text = True, None
        known.newest = max([known.newest, *(notice.time for notice in waiting.values())])
        begun, before = False, set(known.grouped.values())
        same = Counter(notice.text for notice in waiting.values() if notice.active) + Counter(known.grouped.values())
        for vehicle, notice in waiting.items():
            if not notice.active:
                if known.alone.pop(vehicle, None) is not None:
                    yield notice
                known.grouped.pop(vehicle, None)
            elif same[notice.text] >= LEAST or vehicle in known.grouped:
                begun |= notice.text not in before
                known.grouped[vehicle] = notice.text
                if known.alone.pop(vehicle, None) is not None:
                    told = f"told together with other vehicles, by {self._node}"
                    yield Notice(vehicle, Kind.STALE_SIGNAL, False, notice.time, told)
            elif known.alone.get(vehicle) != notice.text:
                known.alone[vehicle] = notice.text
                yield notice
        yield from self._tell(now, begun)

    def encode(self) -> bytes:
        """For the store."""
        self.is_changed = False
        return msgspec.msgpack.encode(self._known)

    def _tell(self, now: float, begun: bool) -> Iterator[Notice]:
        """The notice of the groups, when it is time."""
        text = self._common()
        if text == self._known.told or not (begun or not text or now >= self._told_at + UPDATE_S):
            return
        self._known.told, self._told_at = text, now
        yield Notice(
            self._node, Kind.STALE_SIGNAL, bool(text), self._known.newest, text or "all vehicles are read again"
        )

    def _common(self) -> str:
        """What the groups have in common, the largest first; made once for each change, as it is asked for often."""
        if self._text is None:
            self._text = _words(self._known.grouped)
        return self._text


def _words(grouped: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for vehicle, text in grouped.items():
        groups.setdefault(text, []).append(vehicle)
    if not groups:
        return ""
    largest = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    parts = [
        f"{text} on {len(names)} vehicle{'s' * (len(names) != 1)} ({_names(names)})" for text, names in largest[:CAUSES]
    ]
    more = f"; and {len(largest) - CAUSES} other sets of signals" if len(largest) > CAUSES else ""
    return f"{'; '.join(parts)}{more}: look at what they share, such as a gateway"


def _names(vehicles: list[str]) -> str:
    names = sorted(vehicles)
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")

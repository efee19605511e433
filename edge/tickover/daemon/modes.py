"""Shelved and out of service, per vehicle, with expiry, by command; kept in the store. The terms are ISA-18.2's."""

from enum import StrEnum
from typing import Final

import msgspec

EVERYONE: Final = "*"
"""The vehicle name that means all of them."""
LONGEST_S: Final = 30 * 86_400
"""The longest time that a mode may be asked for."""


class Mode(StrEnum):
    """Shelved: alerts are made but not published. Out of service: readings are left out, nothing is detected.

    The values are the names of version 1 in the store and in the answer of the command status.
    """

    SHELVED = "mute"
    OUT_OF_SERVICE = "workshop"


class Modes:
    """Which vehicles are in which mode, and until when (microseconds of the clock)."""

    def __init__(self, saved: bytes | None = None) -> None:
        self._until: dict[str, dict[str, int]] = {mode: {} for mode in Mode}
        if saved:
            self._until.update(msgspec.msgpack.decode(saved, type=dict[str, dict[str, int]]))

    def set(self, mode: Mode, vehicle: str, until: int) -> None:
        """Enter a mode, or leave it when ``until`` is past."""
        self._until[mode][vehicle] = until

    def leave(self, mode: Mode, vehicle: str) -> bool:
        """Leave a mode; False when the vehicle was not in it."""
        return self._until[mode].pop(vehicle, None) is not None

    def active(self, mode: Mode, vehicle: str, now: int) -> bool:
        """Whether the vehicle is in the mode."""
        until = self._until[mode]
        return bool(until) and max(until.get(vehicle, 0), until.get(EVERYONE, 0)) > now

    def holds_any(self, mode: Mode) -> bool:
        """Whether any vehicle was put into the mode and has not left it."""
        return bool(self._until[mode])

    def expire(self, now: int) -> list[tuple[Mode, str]]:
        """Forget the modes that have ended; which they were, and whose."""
        over = [
            (Mode(mode), name) for mode, names in self._until.items() for name, until in names.items() if until <= now
        ]
        for mode, name in over:
            del self._until[mode][name]
        return over

    def encode(self) -> bytes:
        """For the store."""
        return msgspec.msgpack.encode(self._until)

    def report(self) -> dict[str, dict[str, int]]:
        """For the command status: mode to vehicle to the end, microseconds of the clock."""
        return {mode: dict(names) for mode, names in self._until.items() if names}

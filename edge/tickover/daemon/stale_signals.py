"""Stale signals: not read any more while others are. Which vehicles may have one, and the notice of it."""

from collections.abc import Collection, Iterable
from typing import Final

import numpy as np

from tickover.core.pipeline import Pipeline
from tickover.core.values import TimeArray
from tickover.daemon.side_by_side import SideBySide
from tickover.messages.notices import Kind, Notice

NEVER: Final = -(2**62)
"""The time of the newest reading of a signal that has none."""
TOLD: Final = "what is still not read has an episode of its sensor"
READ_AGAIN: Final = "all signals are read again"


class StaleSignals:
    """What was told of signals that are not read for ``stale`` microseconds (0: nothing is told), or for as long as is
    usual for one that is sent seldom.

    ``side``: the vehicles whose times of newest readings lie in arrays.
    """

    def __init__(
        self, columns: tuple[str, ...], stale: int, pipelines: Collection[Pipeline], side: SideBySide | None
    ) -> None:
        self._columns, self._pipelines, self._side = columns, pipelines, side
        own = [pipeline.usual_silences for pipeline in pipelines]
        self._tells = bool(stale)
        self._stale = np.array([max([stale, *(usual.get(name, 0) for usual in own)]) for name in columns], np.int64)
        self._told: set[str] = set()
        """The vehicles of which it is told that a signal is quiet."""

    def restore(self, vehicle: str, quiet: Collection[str]) -> None:
        """Go on from what an earlier run told of a vehicle."""
        self._told.update([vehicle] if quiet else [])

    def forget(self, vehicle: str) -> None:
        """Nothing was told of this vehicle."""
        self._told.discard(vehicle)

    def first(self, last: TimeArray) -> int | None:
        """The first event time at which a signal last read at one of ``last`` is quiet; None: none ever is."""
        read = last != NEVER
        return int((last + self._stale)[read].min()) + 1 if self._tells and read.any() else None

    def may_have_changed(self, touched: set[str]) -> tuple[set[str], set[str]]:
        """Of vehicles that something was read of, those whose set of quiet signals may have changed.

        First those of them that lie in arrays, then the others.
        """
        if not self._tells or not touched:
            return set(), set()
        side = self._side
        if side is None:
            return set(), set(touched)
        if len(touched) == 1:
            (vehicle,) = touched
            is_sound = vehicle in side.rows and vehicle not in self._told
            if is_sound and not side.is_quiet(vehicle, self._stale, NEVER):
                return set(), set()
        lent = [vehicle for vehicle in touched if vehicle in side.rows]
        quiet = side.quiet(lent, self._stale, NEVER) if lent else set()
        quiet |= {vehicle for vehicle in self._told if vehicle in side.rows} & touched
        return quiet, set(touched) if not lent else {vehicle for vehicle in touched if vehicle not in side.rows}

    def look(
        self, vehicle: str, last: TimeArray, newest: int, told: frozenset[str]
    ) -> tuple[frozenset[str], Notice | None]:
        """The signals that are quiet now, less those whose episodes say so, and a notice when they are not as ``told``.

        ``last`` ``[F]``: when each column was last read; ``newest``: the newest reading of all.
        """
        quiet = (last != NEVER) & (last < newest - self._stale)
        if not self._tells or (not quiet.any() and not told):
            return told, None
        names = {name for name, is_quiet in zip(self._columns, quiet, strict=True) if is_quiet}
        # What an episode of the sensor says is not said twice.
        now = frozenset(names.difference(*(pipeline.silent(vehicle) for pipeline in self._pipelines)))
        if now == told:
            return told, None
        (self._told.add if now else self._told.discard)(vehicle)
        text = no_readings_of(now) if now else TOLD if names else READ_AGAIN
        return now, Notice(vehicle, Kind.STALE_SIGNAL, bool(now), newest, text)


def no_readings_of(names: Iterable[str]) -> str:
    """The words of a notice."""
    return f"no readings of {', '.join(sorted(names))}"

"""Where a vehicle's slow means stand, read from its state at the start of a trip, and what is worth telling of it.

The graph follows each signal's residual (``baseline``) and its way out of the usual range (``climate``) by slow means:
whoever looks at alerts alone never hears that a sensor drifts. Both count in spreads of the signal in training.
"""

from typing import Final, NamedTuple

import numpy as np

from tickover.core.manifest import BASELINE_STATE, INPUT_DRIFT_STATE, Manifest, names_of
from tickover.core.once import once
from tickover.core.values import FloatArray

WORTH: Final = 2.0
"""Spreads by which a mean must have moved since it was last told."""
WORDS: Final = {
    BASELINE_STATE: "its slow mean deviation from what the model expects",
    INPUT_DRIFT_STATE: "its slow mean distance from its usual range",
}


_NONE: Final[dict[str, list[float]]] = {}


class Moved(NamedTuple):
    """A slow mean of one signal that moved, in spreads."""

    signal: str
    what: str
    before: float
    now: float

    def text(self) -> str:
        """For people."""
        return (
            f"{self.signal} drifts: {WORDS[self.what]} went from {self.before:+.1f} to {self.now:+.1f} spreads; "
            "the model follows it"
        )


class SlowLevels:
    """Those of one vehicle; ``told`` by state the means as they were last told, ``[F]``, 0 at first (the table is
    replaced, never written to)."""

    __slots__ = ("_names", "_places", "told")

    def __init__(self, manifest: Manifest) -> None:
        self._names, self._places = once(names_of, manifest), once(_places_of, manifest)
        self.told = _NONE

    @property
    def width(self) -> int:
        """How many signals there are."""
        return len(self._names)

    def news(self, numbers: FloatArray) -> list[Moved]:
        """What moved, by the vehicle's flat state ``float32[S]``."""
        found = []
        for what, place in self._places.items():
            now = numbers[place]
            before = np.asarray(self.told.get(what) or np.zeros(len(now)), np.float32)
            moved = np.flatnonzero(np.abs(now - before) >= WORTH).tolist()
            if not moved:
                continue
            found += [Moved(self._names[at], what, float(before[at]), float(now[at])) for at in moved]
            before = before.copy()
            before[moved] = now[moved]
            self.told = {**self.told, what: before.tolist()}
        return found


def _places_of(manifest: Manifest) -> dict[str, slice]:
    """Where the slow means that are told stand in a flat state."""
    places: dict[str, slice] = {}
    start = 0
    for state in manifest.states:
        if state.name in WORDS and state.size == len(manifest.names):
            places[state.name] = slice(start, start + state.size)
        start += state.size
    return places

"""How many rows of before all vehicles together hold (`tickover.core.arrivals`), and who is to let go of theirs.

Each vehicle holds a bounded number; ten thousand times that is too much. Letting go changes what a vehicle's rows come
to, so it is an event in the journal like any other (`tickover.daemon.events.GiveUp`), and never a side effect.
"""

from typing import Final

MOST_BYTES: Final = 32 * 2**20
"""Of the held rows of a fleet: a minute at one row a second of 1,900 vehicles with twelve signals, all at once."""
ROW_BYTES: Final = 200
"""Of a held row, beside its values."""
VALUE_BYTES: Final = 8


class HeldRows:
    """Of vehicles whose rows have ``width`` values, in order of when each last held one more."""

    def __init__(self, width: int) -> None:
        self._row, self._most = ROW_BYTES + VALUE_BYTES * width, MOST_BYTES
        self._rows: dict[str, int] = {}
        self._total = 0

    def note(self, vehicle: str, rows: int) -> None:
        """The vehicle holds so many now."""
        before = self._rows.pop(vehicle, 0)
        self._total += rows - before
        if rows:
            self._rows[vehicle] = rows

    def too_many(self) -> list[str]:
        """The vehicles that are to let go of theirs, the one that held no more for longest first."""
        over, found = self._total * self._row - self._most, list[str]()
        for vehicle, rows in self._rows.items():
            if over <= 0:
                break
            found.append(vehicle)
            over -= rows * self._row
        return found

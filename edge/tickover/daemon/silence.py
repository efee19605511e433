"""Vehicles without readings: their event time is advanced, and later their state goes to disk."""

from tickover.core.values import SECOND
from tickover.daemon.config import Vehicles
from tickover.daemon.engine import Engine
from tickover.daemon.events import Advance


class Silence:
    """Checks every vehicle awake; all times in monotonic seconds."""

    def __init__(self, limits: Vehicles, engine: Engine) -> None:
        self._limits, self._engine = limits, engine
        self._advanced: dict[str, float] = {}

    def check(self, now: float) -> None:
        """Look at every vehicle; ``now`` is when the peer was last heard.

        While a connection is lost, or dead and not yet recognised as such, readings wait in the broker's queue. Silence
        does not count then: advancing event time over that span would make them all late.
        """
        for vehicle, heard in list(self._engine.heard.items()):
            if self._limits.sleep_s and now - heard > self._limits.sleep_s:
                self._advanced.pop(vehicle, None)
                self._engine.sleep(vehicle)
            else:
                self._advance(vehicle, heard, now)

    def _advance(self, vehicle: str, heard: float, now: float) -> None:
        """Advance the event time of a silent vehicle as the clock did: once, and again while an episode is open."""
        fleet, limit = self._engine.fleet, self._limits.silence_s
        since = max(heard, self._advanced.get(vehicle, heard))
        if not limit or now - since <= limit or vehicle not in fleet:
            return
        if since == heard or fleet.is_open(vehicle):
            self._advanced[vehicle] = now
            self._engine.apply(Advance(vehicle, fleet.newest(vehicle) + round((now - since) * SECOND)))

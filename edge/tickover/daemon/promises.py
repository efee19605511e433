"""The promise meters of the fleet, for health: how often each vehicle raises an episode, against its budget."""

from heapq import nsmallest
from typing import Any, Final

from tickover.core.promise import Meter, Promise
from tickover.daemon.fleet import Fleet

MOST: Final = 32
"""The most vehicles in a report: the broken ones first, then by how much of the budget is used."""
BLAMED: Final = 5
"""The most charts of one."""
DIGITS: Final = 4


def promises(fleet: Fleet) -> dict[str, Any]:
    """``promises_broken``: how many vehicles; ``promises``: by vehicle, the meters of its detectors."""
    counting = fleet.with_episodes()
    meters = {vehicle: fleet.promises(vehicle) for vehicle in counting}
    broken = sum(any(meter.broken for meter in of.values()) for of in meters.values())
    worst = sorted(meters, key=lambda vehicle: (-_urgency(meters[vehicle]), vehicle))[:MOST]
    # Most vehicles of a fleet have had no episode: to read ten thousand meters takes 0.4 s.
    others = nsmallest(MOST - len(worst), (vehicle for vehicle in fleet.vehicles if vehicle not in counting))
    meters |= {vehicle: fleet.promises(vehicle) for vehicle in others}
    worst += others
    shown = {
        vehicle: [
            promise_of(name, meter.read(), fleet.raised(vehicle, name)) for name, meter in meters[vehicle].items()
        ]
        for vehicle in sorted(worst)
    }
    return {"promises_broken": broken, "promises": shown}


def promise_of(detector: str, meter: Meter, raised: dict[str, float] | None = None) -> dict[str, Any]:
    """One meter as plain values."""
    numbers = {name: round(getattr(meter, name), DIGITS) for name in ("budget", "hours", "per_hour", "low", "high")}
    return {
        "detector": detector,
        **numbers,
        "episodes": meter.episodes,
        "broken": meter.broken,
        "blame": dict(list(meter.blame.items())[:BLAMED]),
        **({"raised": {name: round(factor, DIGITS) for name, factor in raised.items()}} if raised else {}),
    }


def _urgency(of: dict[str, Promise]) -> float:
    """How far over its budget a vehicle is; a broken promise is above any that is not."""
    return max((meter.used + 1e6 * meter.broken for meter in of.values()), default=0.0)

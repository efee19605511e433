"""Where the truck is asked to go: delivery rounds of roads, traffic lights, deliveries and breaks, without end."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

KMH: Final = 1 / 3.6
"""One km/h in m/s."""
ROADS: Final = {"city": (30, 50), "rural": (70, 80), "motorway": (83, 86)}
"""Speed limits in km/h, by kind of road."""
ROAD_LENGTH_M: Final = {"city": (250, 900), "rural": (1500, 6000), "motorway": (5000, 15000)}
COMFORT_BRAKING: Final = 0.9
"""Deceleration that the driver plans for, m/s2."""
ARRIVED_M: Final = 1.0
STANDING: Final = 0.15
"""Below this speed (m/s) the truck stands."""
LIGHT_RED: Final = 0.45
"""Share of city roads that end at a red light."""
ROUND_S: Final = (3600, 7200)
BREAK_S: Final = (1500, 3600)


@dataclass(frozen=True, slots=True)
class Drive:
    """Drive ``metres`` at up to ``limit`` m/s, then come to a halt if ``halt``."""

    limit: float
    metres: float
    halt: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Stand with the engine idling for ``seconds``, the cargo door open or not."""

    seconds: float
    door_open: bool


@dataclass(frozen=True, slots=True)
class Break:
    """Ignition off for whole ``seconds``: nothing is recorded."""

    seconds: int


Phase = Drive | Wait | Break


def phases(rng: Random) -> Iterator[Phase]:
    """The phases of one delivery round after another."""
    while True:
        planned = rng.uniform(*ROUND_S)
        yield Wait(rng.uniform(90, 240), door_open=False)
        used = 0.0
        while used < planned:
            for phase in _to_next_customer(rng):
                used += phase.seconds if isinstance(phase, Wait) else 1.6 * phase.metres / phase.limit
                yield phase
        yield Break(rng.randrange(*BREAK_S))


def _to_next_customer(rng: Random) -> Iterator[Drive | Wait]:
    roads = ["city"] * rng.randrange(1, 5)
    if rng.random() < 0.5:
        roads.insert(len(roads) // 2, rng.choice(("rural", "rural", "motorway")))
    for number, road in enumerate(roads):
        last = number == len(roads) - 1
        red = road == "city" and rng.random() < LIGHT_RED
        yield Drive(rng.choice(ROADS[road]) * KMH, rng.uniform(*ROAD_LENGTH_M[road]), halt=last or red)
        if red and not last:
            yield Wait(rng.uniform(8, 45), door_open=False)
    yield Wait(rng.uniform(20, 60), door_open=False)
    yield Wait(rng.uniform(30, 120), door_open=True)
    yield Wait(rng.uniform(10, 40), door_open=False)


class Route:
    """Follows the phases: told the speed, it answers with the speed to aim for."""

    def __init__(self, rng: Random) -> None:
        self._phases = phases(rng)
        self._begin()

    def _begin(self) -> None:
        self.phase = next(self._phases)
        self.left = self.phase.metres if isinstance(self.phase, Drive) else float(self.phase.seconds)

    @property
    def door_open(self) -> bool:
        """Whether the cargo door is open."""
        return isinstance(self.phase, Wait) and self.phase.door_open

    def take_break(self) -> int:
        """Seconds of the break that has come, having left it behind; 0 when there is none."""
        if not isinstance(self.phase, Break):
            return 0
        seconds = self.phase.seconds
        self._begin()
        return seconds

    def step(self, dt: float, speed: float) -> float:
        """Advance by ``dt`` seconds at ``speed`` m/s; the target speed in m/s."""
        phase = self.phase
        if isinstance(phase, Drive):
            self.left -= speed * dt
            if self.left <= ARRIVED_M and (not phase.halt or speed < STANDING):
                self._begin()
            if not phase.halt:
                return phase.limit
            room = max(0.0, self.left - ARRIVED_M)
            return float(min(phase.limit, (2 * COMFORT_BRAKING * room) ** 0.5))
        self.left -= dt
        if self.left <= 0 and isinstance(phase, Wait):
            self._begin()
        return 0.0

"""Simulated water loops: many machines with a short history, each with one known fault, for choosing without labels.

A pump moves water from a tank through an inlet and an outlet valve; a heater and the pump's own losses warm it, a
casing and the air cool it. Eight sensors at 1 Hz, noisy and some coarse. Every machine draws its own sizes, lags,
noise, drift and fault from its number; nothing of a recording is in here. A fault does to the machine what it would do
to a real one, so several signals answer to it, each with its own lag: a valve closes partly, water leaks or is added,
hot water comes in, the rotor is out of balance, the pump cavitates. Afterwards the machine comes back, in half of the
cases not fully.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tickover.core.values import FloatArray

Column = npt.NDArray[np.float64]

SIGNALS: Final = (
    "vibration_front",
    "vibration_back",
    "current",
    "pressure",
    "casing_temperature",
    "water_temperature",
    "voltage",
    "flow",
)
ROWS: Final = 1150
FAULTS: Final = ("inlet", "outlet", "water", "hot", "balance", "cavitation")
SHARES: Final = np.array((16, 4, 6, 1, 5, 2)) / 34.0
"""How often each occurs: as in the data set's description."""
UNREST: Final = ("balance", "cavitation")
FIRST: Final = (430, 720)
"""Rows between which a fault begins ..."""
LASTS: Final = (150, 350)
"""... and how many it lasts."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One machine's run: ``values`` float32 ``[ROWS, 8]``, ``anomaly`` bool ``[ROWS]``, and its fault's name."""

    values: FloatArray
    anomaly: npt.NDArray[np.bool_]
    fault: str


def machine(number: int, faulty: bool = True) -> Loop:
    """The run of machine ``number``."""
    random, noise = np.random.default_rng([number, 0]), np.random.default_rng([number, 1])
    fault = str(random.choice(FAULTS, p=SHARES))
    first = int(random.integers(*FIRST))
    last = min(first + int(random.integers(*LASTS)), ROWS - 50)
    anomaly = np.zeros(ROWS, dtype=bool)
    anomaly[first:last] = faulty
    size = _course(first, last, random) * (1.0 if faulty else 0.0)
    return Loop(_run(fault, size, random, noise).astype(np.float32), anomaly, fault)


def _course(first: int, last: int, random: np.random.Generator) -> Column:
    """How much of the fault there is at each row: it comes, stays or grows, and goes; 0.03 to 0.7 at its height."""
    size, rise = np.exp(random.uniform(np.log(0.03), np.log(0.7))), random.uniform(3.0, 120.0)
    since = np.arange(ROWS) - first
    share = np.clip(since / rise, 0.0, 1.0)
    if random.random() < 0.2:  # it grows to the end
        share = np.clip(since / (last - first), 0.0, 1.0)
    stays = random.uniform(0.02, 0.25) if random.random() < 0.5 else 0.0
    fall = random.uniform(3.0, 40.0)
    back = np.clip((np.arange(ROWS) - last) / fall, 0.0, 1.0)
    return size * share * (1.0 - (1.0 - stays) * back)


def _lagged(target: Column, lag_s: float, start: float | None = None) -> Column:
    """First-order response."""
    value, out = target[0] if start is None else start, np.empty_like(target)
    for row, wanted in enumerate(target):
        value += (wanted - value) / max(lag_s, 1.0)
        out[row] = value
    return out


def _coloured(random: np.random.Generator, spread: float, kept: float) -> Column:
    """Noise of this spread that keeps ``kept`` of itself from row to row."""
    return _lagged_noise(random.standard_normal(ROWS), kept) * spread


def _lagged_noise(white: Column, kept: float) -> Column:
    out, value = np.empty_like(white), 0.0
    for row, one in enumerate(white):
        value = kept * value + np.sqrt(1.0 - kept * kept) * one
        out[row] = value
    return out


def _run(fault: str, size: Column, random: np.random.Generator, noise: np.random.Generator) -> Column:
    """The machine's physics and its sensors, ``[ROWS, 8]``."""
    inlet, outlet, level, balance, bubbles, hot = (np.zeros(ROWS) for _ in range(6))
    if fault == "inlet":
        inlet = 0.9 * size
    elif fault == "outlet":
        outlet = 0.9 * size
    elif fault == "water":
        level = float(random.choice((-1.0, 1.0))) * size
    elif fault == "hot":
        hot = 8.0 * size
    elif fault == "balance":
        balance = size
    else:
        bubbles = size
    # Hydraulics: what is left of the opening throttles the flow, more so as it closes; less water, less of it.
    open_to = 1.0 / (1.0 + random.uniform(0.1, 1.0) * (1.0 / (1.0 - inlet) ** 2 + 1.0 / (1.0 - outlet) ** 2 - 2.0))
    wander = _coloured(noise, random.uniform(0.0, 0.004), np.exp(-1.0 / random.uniform(60.0, 600.0)))
    supply = 1.0 + 0.08 * level - 0.25 * bubbles + wander
    share = _lagged(np.sqrt(open_to) * supply, float(np.exp(random.uniform(np.log(2.0), np.log(60.0)))))
    flow = random.uniform(30.0, 130.0) * share
    head = random.uniform(0.2, 2.0) * (1.0 + random.uniform(0.3, 1.0) * (outlet - 0.6 * inlet))
    pressure = head * (1.0 + 0.1 * level - 0.3 * bubbles)
    # Electrics.
    voltage = 230.0 + _coloured(noise, random.uniform(0.0, 1.0), 0.995)
    load = random.uniform(0.8, 3.0) * (1.0 + random.uniform(0.2, 0.8) * (share - 1.0) + 0.15 * balance)
    # Heat: casing and water go towards what pump and air make of them, from where they happen to be.
    warmth = random.uniform(20.0, 60.0) * load / load[0]
    casing_lag, water_lag = np.exp(random.uniform(np.log(300.0), np.log(4000.0), 2))
    air = 22.0 + random.uniform(-2.0, 2.0) * np.sin(
        2 * np.pi * (np.arange(ROWS) / random.uniform(1500, 8000) + random.random())
    )
    casing = _lagged(air + warmth + hot, casing_lag, air[0] + warmth[0] * (1.0 + random.normal(0.0, 0.05)))
    rise = random.uniform(2.0, 8.0) * (1.0 + random.uniform(0.2, 1.0) * (1.0 - share))
    water = _lagged(air + rise + hot, water_lag, air[0] + rise[0] * (1.0 + random.normal(0.0, 0.15)))
    water = water + 0.15 * np.abs(level) * random.uniform(-1.0, 1.0)
    # Vibration goes with the flow, with what is out of balance, and with bubbles.
    shake = 1.0 + random.uniform(0.0, 0.4) * (share - 1.0) + 0.1 * outlet
    front = random.uniform(0.02, 0.25) * (shake + 0.6 * balance + 0.2 * bubbles)
    back = random.uniform(0.03, 0.3) * (shake + 0.3 * balance + 0.3 * bubbles)
    rough = 1.0 + 4.0 * bubbles + 1.5 * balance
    columns = (
        front * (1.0 + rough * _coloured(noise, random.uniform(0.008, 0.03), random.uniform(0.0, 0.9))),
        back * (1.0 + rough * _coloured(noise, random.uniform(0.008, 0.03), random.uniform(0.0, 0.9))),
        load * (1.0 + (1.0 + bubbles) * _coloured(noise, random.uniform(0.05, 0.25), random.uniform(0.0, 0.5))),
        _stepped(pressure + (1.0 + bubbles) * noise.normal(0.0, random.uniform(0.05, 0.25), ROWS), 0.327),
        casing + _coloured(noise, random.uniform(0.05, 0.3), random.uniform(0.3, 0.9)),
        water + _coloured(noise, random.uniform(0.003, 0.03), random.uniform(0.3, 0.95)),
        voltage + noise.normal(0.0, random.uniform(5.0, 12.0), ROWS),
        _stepped(flow + (1.0 + bubbles) * noise.normal(0.0, random.uniform(0.2, 0.6), ROWS), 0.33),
    )
    return np.stack(columns, axis=1)


def _stepped(values: Column, step: float) -> Column:
    return np.round(values / step) * step

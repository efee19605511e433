"""Random logs as loggers write them: names, units, rates, glitches, counters, zones, decimal style, layout."""

import json
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

NAMES = (
    *(
        "rpm",
        "speed [km/h]",
        "Coolant [°C]",
        "battery_v",
        "x",
        "boost (psi)",
        "odometer [km]",
        "load %",
        "mil",
        "heading",
    ),
    *(
        "Öltemperatur",
        "Fuel Rate (L/h)",
        "accel_x",
        "gear",
        "Engine Hours",
        "obd.throttle",
        "Druck; Öl [bar]",
        "Intake, air",
    ),
)
START = datetime(2023, 10, 25, 13, 15, tzinfo=UTC)


def wave(rng: random.Random) -> Callable[[int], float]:
    """One signal's values by row."""
    level, size = rng.choice([0.0, 1.0, 50.0, 13.8, -20.0, 1e5, 1e-3]), rng.choice([0.01, 1.0, 50.0, 2000.0])
    slow, noise = rng.choice([5, 17, 60]), random.Random(rng.random())
    kinds: dict[str, Callable[[int], float]] = {
        "wave": lambda row: level + size * math.sin(row / slow),
        "noise": lambda row: level + size * noise.random(),
        "steps": lambda row: level + size * (row // 20 % 5),
        "counter": lambda row: level + size * row,
        "rolling": lambda row: row % 16,
        "angle": lambda row: (350 + 3 * row) % 360,
        "constant": lambda row: level,
        "spikes": lambda row: level + (size * 40 if row % 37 == 5 else size * math.sin(row / 9)),
        "switch": lambda row: float(row // 15 % 2),
        "large": lambda row: 4e9 + row % 3,
    }
    return kinds[rng.choice(list(kinds))]


def moments(rng: random.Random) -> Callable[[float], str]:
    """How a time is written, from seconds since the start."""
    epoch = START.timestamp()
    fine = "%f" if rng.random() < 0.5 else "000"
    return rng.choice(
        [
            lambda s: f"{s:.3f}",
            lambda s: f"{epoch + s:.3f}",
            lambda s: str(round((epoch + s) * 1000)),
            lambda s: (START + timedelta(seconds=s)).strftime(f"%Y-%m-%d %H:%M:%S.{fine}"),
            lambda s: (START + timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            lambda s: (START + timedelta(seconds=s)).strftime("%d.%m.%Y %H:%M:%S"),
            lambda s: (START + timedelta(seconds=s)).strftime("%d/%m/%Y %I:%M:%S %p"),
            lambda s: (START + timedelta(seconds=s, hours=2)).strftime("%Y-%m-%d %H:%M:%S GMT+02:00"),
            lambda s: (START + timedelta(seconds=s)).strftime("%H:%M:%S"),
        ]
    )


def write(folder: Path, seed: int, logs: int = 2) -> list[Path]:
    """Logs of one logger: the same columns, other values."""
    rng = random.Random(seed)
    rows = rng.randrange(60, 400)
    names = rng.sample(NAMES, rng.randrange(1, 7))
    period = rng.choice([0.1, 1.0, 1.0, 5.0, 60.0])
    style = rng.choice(["csv", "csv", "semicolon", "tab", "jsonl", "long"])
    decimal = "," if style in ("semicolon", "tab") and rng.random() < 0.6 else "."
    mark = {"semicolon": ";", "tab": "\t"}.get(style, ",")
    write_time, vehicles = moments(rng), rng.choice([[], [], ["A-1"], ["A-1", "B-2"]])
    hole, empty = rng.choice(["", "", "NULL", "#N/A", "-"]), rng.choice([0.0, 0.0, 0.1])
    paths, signals = [], [wave(rng) for _ in names]
    for number in range(logs):
        lines = [] if style == "jsonl" else [["time", *(["vehicle"] if vehicles else []), *names]]
        lines = [["time", *(["vehicle"] if vehicles else []), "signal", "value"]] if style == "long" else lines
        text: list[str] = []
        for row in range(rows):
            for vehicle in vehicles or [""]:
                values = [round(of(row + 7 * number) * (1.02 if vehicle == "B-2" else 1), 4) for of in signals]
                if rng.random() < 0.01:
                    values[rng.randrange(len(values))] *= rng.choice([1e3, -1e3, 0])
                cells = [hole if rng.random() < empty else f"{value!r}".replace(".", decimal) for value in values]
                first = [write_time(row * period), *([vehicle] if vehicle else [])]
                if style == "jsonl":
                    table = dict(zip(["time", *(["vehicle"] if vehicles else [])], first, strict=True))
                    text.append(json.dumps(table | dict(zip(names, values, strict=True))))
                elif style == "long":
                    lines += [[*first, name, cell] for name, cell in zip(names, cells, strict=True)]
                else:
                    lines.append([*first, *cells])
        text += [mark.join(f'"{cell}"' if mark in cell else cell for cell in line) for line in lines]
        path = folder / f"log{number}.{'jsonl' if style == 'jsonl' else 'csv'}"
        path.write_text("\n".join(text) + "\n", encoding="utf-8")
        paths.append(path)
    return paths

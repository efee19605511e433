"""Reading logs in tests: what a log shows, and logs with random damage."""

import random
from collections import Counter
from pathlib import Path

import numpy as np

from tickover.core.values import Readings
from tickover.errors import TickoverError
from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import read_log

START = 1_709_251_200_000_000
"""2024-03-01T00:00:00Z."""
MAPPED = Mapping(signals={"a": SignalColumn(), "c": SignalColumn()})


def read(path: Path, mapping: Mapping, **options: object) -> tuple[list[Readings], Counter[str], list[str]]:
    counts: Counter[str] = Counter()
    told: list[str] = []
    options = {"vehicle": "van-1", **options}
    return list(read_log(path, mapping, counts=counts, on_bad=told.append, **options)), counts, told  # type: ignore[arg-type]


def joined(blocks: list[Readings]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([b.time for b in blocks]), np.concatenate([b.values for b in blocks])


def outcome(path: Path, mapping: Mapping) -> object:
    """Everything that reading a log shows, or its refusal."""
    try:
        blocks, counts, told = read(path, mapping, start=START)
    except TickoverError as error:
        return str(error)
    if not blocks:
        return counts, told
    time, values = joined(blocks)
    return time.tolist(), values.tobytes(), counts, told


def mutate(rng: random.Random, text: bytearray) -> bytearray:
    """One to three random edits: a byte changed, removed, repeated; a piece cut, moved, or made of odd bytes."""
    for _ in range(rng.randrange(1, 4)):
        place, length = rng.randrange(len(text) + 1), rng.randrange(1, 9)
        piece = rng.choice(
            [
                bytes([rng.randrange(256)]),
                b"",
                b",",
                b"\n",
                b'"',
                b"\0",
                b"\r",
                b"1e400",
                b"nan",
                b";;",
                b"\xff\xfe",
                b"{",
            ]
        )
        text[place : place + rng.choice([0, 1, length])] = piece * rng.choice([1, 1, 1, length])
    return text


def install(folder: Path, name: str, source: str, entries: dict[str, str], version: str = "1.0") -> None:
    """An installed distribution of one module, as an installer leaves it; ``entries``: suffix to log format."""
    (folder / f"{name.replace('-', '_')}.py").write_text(source, encoding="utf-8")
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{suffix} = {where}" for suffix, where in entries.items()]
    (about / "entry_points.txt").write_text("\n".join(["[tickover.log_formats]", *lines, ""]))

"""Parquet whose signals are maps of names to values, or lists of pairs, against the same rows as plain objects."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tickover.core.values import SECOND
from tickover.errors import LogError
from tickover.logs.formats.base import MAX_COLUMNS
from tickover.logs.inspection import propose_mapping
from tickover.logs.reading import read_log

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
EPOCH = 1_772_431_200
ROWS = 2_000
MAP = pa.map_(pa.string(), pa.float64())
PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())]))


def seeded() -> list[dict[str, float] | None]:
    """Rows with some keys, in any order, or none; a key that comes late."""
    random = np.random.default_rng(0)
    rows: list[dict[str, float] | None] = []
    for row in range(ROWS):
        names = [name for name in ("rpm", "speed", "oil") if random.random() > 0.2]
        random.shuffle(names)
        found = {name: round(float(random.uniform(1, 99)), 2) for name in names}
        rows.append(None if row % 50 == 7 else found | ({"late": 5.0} if row > 1_500 else {}))
    return rows


def write(path: Path, rows: list[dict[str, float] | None], kind: object) -> Path:
    pairs = [None if row is None else list(row.items()) for row in rows]
    if not pa.types.is_map(kind):
        pairs = [None if row is None else [{"key": key, "value": value} for key, value in row] for row in pairs]
    table = pa.table({"time": [EPOCH + row for row in range(len(rows))], "signals": pa.array(pairs, kind)})
    pq.write_table(table, path, row_group_size=700)
    return path


@pytest.mark.parametrize("kind", [MAP, PAIRS], ids=["map", "list of pairs"])
def test_each_key_of_a_map_is_a_signal(kind: object, tmp_path: Path) -> None:
    rows = seeded()
    path = write(tmp_path / "log.parquet", rows, kind)
    mapping, _ = propose_mapping([path])
    assert set(mapping.names) == {"signals.rpm", "signals.speed", "signals.oil"}
    blocks = list(read_log(path, mapping, vehicle="a", counts=Counter(), on_bad=pytest.fail))
    time = np.concatenate([block.time for block in blocks]) // SECOND - EPOCH
    values = np.concatenate([block.values for block in blocks])
    wanted = {
        row: [(found or {}).get(name.removeprefix("signals."), np.nan) for name in mapping.names]
        for row, found in enumerate(rows)
    }
    for row, got in zip(time.tolist(), values.tolist(), strict=True):
        np.testing.assert_array_equal(got, wanted.pop(row))
    assert np.isnan(list(wanted.values())).all(), "rows that are left out hold nothing"


def test_a_map_of_too_many_keys_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "log.parquet", [{f"k{n}": 1.0 for n in range(MAX_COLUMNS + 5)}], MAP)
    with pytest.raises(LogError, match=f"expected at most {MAX_COLUMNS} columns"):
        propose_mapping([path])

"""The demo trip as senders write it gives the alerts of the demo trip: NaN members, printf's nan, text with units."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import paths
from faults.scripted import ScriptedLink, started, turn_until_idle
from tickover.daemon.loop import Daemon
from tickover.logs.reading import load_mapping, read_log
from tickover.messages.alerts import decode_alert
from tickover.transports.base import Received
from tickover.transports.mqtt.dedup import Delivery

DEMO = paths.ROOT / "deploy" / "demo"
ROWS, DROPOUTS = 2400, 0.02
Row = tuple[int, dict[str, float]]
UNITS = {name: rules.unit for name, rules in load_mapping(DEMO / "mapping.toml").signals.items()}


def trip() -> Iterator[Row]:
    """The trip's first rows: microseconds, and a value or NaN for every signal; some dropouts are ours."""
    left, chance = ROWS, random.Random(0)
    mapping = load_mapping(DEMO / "mapping.toml")
    for block in read_log(DEMO / "trip.csv.gz", mapping, vehicle="demo", strict=True, counts=Counter(), on_bad=print):
        for time, values in zip(block.time.tolist()[:left], block.values.tolist()[:left], strict=True):
            shown = [value if chance.random() > DROPOUTS else math.nan for value in values]
            yield time, dict(zip(block.signals, shown, strict=True))
        left -= len(block.time)
        if left <= 0:
            return


def finite(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if not math.isnan(value)}


def plain(time: int, row: dict[str, float]) -> Any:
    return json.dumps({"t": time / 1e6, **finite(row)})


def with_nan(time: int, row: dict[str, float]) -> Any:
    """As Python's json.dumps writes a row of a data frame; a NaN of a signal that no model has in every row."""
    return json.dumps({"t": time / 1e6, "gps_fix": math.nan, **row})


def by_printf(time: int, row: dict[str, float]) -> Any:
    return "\ufeff{" + ", ".join([f'"t": {time / 1e6!r}', *(f'"{k}": {v!r}' for k, v in row.items())]) + "}\0\n"


def as_text(time: int, row: dict[str, float]) -> Any:
    """Every number as text with its unit; another quantity's unit is refused since units are read."""
    shown = {name: f"{value!r} {UNITS[name]}".rstrip() for name, value in finite(row).items()}
    return json.dumps({"t": str(time / 1e6), **shown})


FORMS: dict[str, Callable[[int, dict[str, float]], str]] = {"NaN": with_nan, "nan": by_printf, "text": as_text}


def config(folder: Path) -> Path:
    path = folder / "tickover.toml"
    path.write_text(
        f'[broker]\nclient_id = "x"\n[state]\nfolder = "{folder / "state"}"\n[vehicles]\nsilence_s = 0\nstale_s = 0\n'
        f'[[models]]\npath = "{DEMO / "truck.onnx"}"\n[[inputs]]\ntopic = "in/{{vehicle}}"\ntime = "t"\n'
    )
    return path


def alerts(folder: Path, rows: list[Row], form: Callable[[int, dict[str, float]], str]) -> tuple[list[Any], Daemon]:
    folder.mkdir()
    with started(config(folder)) as (daemon, link):
        for number, (time, row) in enumerate(rows, 1):
            link.inbox.append(message(number, form(time, row).encode(), time))
            if number % 500 == 0:
                turn_until_idle(daemon, link)
        turn_until_idle(daemon, link)
        return [decode_alert(body) for body in told(link)], daemon


def told(link: ScriptedLink) -> list[bytes]:
    return [body for topic, body in link.published if "/alert/" in topic and b"tickover.alert" in body]


def message(number: int, payload: bytes, time: int) -> Received:
    return Received("in/demo", payload, time, Delivery(1, number, number, 1, False))


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(trip())


@pytest.fixture(scope="module")
def expected(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    found, _ = alerts(tmp_path_factory.mktemp("demo") / "plain", rows, plain)
    assert found, "the demo's first fault is in these rows"
    return found


@pytest.mark.parametrize("name", FORMS)
def test_the_same_alerts_as_of_plain_json(name: str, rows: list[Row], expected: list[Any], tmp_path: Path) -> None:
    found, daemon = alerts(tmp_path / "state", rows, FORMS[name])
    assert found == expected
    counts = daemon.engine.intake.counts
    assert counts["rows"] == len(rows)
    assert counts["bad_json"] == 0
    if name == "NaN":
        # The member that no model has is an unknown name, and a NaN of a signal is counted with its name.
        holes = {signal: sum(math.isnan(row[signal]) for _, row in rows) for signal in rows[0][1]}
        drops = daemon.engine.intake.signal_drops
        assert {signal: drops.get(signal, {}).get("not_finite", 0) for signal in holes} == holes
        assert drops["gps_fix"] == {"unknown_signal": len(rows)}

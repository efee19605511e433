"""One recording in every format: the same ticks, and the same alerts."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import can_files
from daemon_process import MODEL
from tickover.core.pipeline import Pipeline
from tickover.core.policy import Settings
from tickover.core.resample import Ticks, join
from tickover.core.values import SECOND
from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import read_log
from tickover.model.detector import Detector

START = 1_764_480_000
FRAMES = 12_000
SIGNALS = {"coolant": 0x100, "rpm": 0x101, "speed": 0x18FEF131}
DBC = """VERSION ""

NS_ :

BS_:

BU_: ECU

BO_ 256 COOLANT: 8 ECU
 SG_ coolant : 0|16@1+ (0.01,0) [0|0] "" ECU

BO_ 257 ENGINE: 8 ECU
 SG_ rpm : 23|16@0+ (0.01,0) [0|0] "" ECU

BO_ 2566844926 ROAD: 8 ECU
 SG_ speed : 8|16@1+ (0.01,0) [0|0] "" ECU

BA_DEF_ "ProtocolType" STRING ;
BA_DEF_DEF_ "ProtocolType" "";
BA_ "ProtocolType" "J1939";
"""
WRITE = """
import sys, can
sys.path.insert(0, sys.argv[2])
from test_same_ticks_frames import frames
with can.Logger(sys.argv[1]) as writer:
    for t, key, data in frames():
        writer(can.Message(timestamp=t, arbitration_id=key, is_extended_id=key > 0x7FF, data=data, channel=0))
"""
FRAMES_CODE = f'''
import random
def frames():
    """A drive at 20 Hz near what the model expects, with a fault of each signal."""
    rng = random.Random(7)
    for k in range({FRAMES}):
        place, t = k % 3, {START} + k // 3 * 0.05
        value = (27.3, 49.2, 39.0)[place] + rng.gauss(0, 0.1)
        second = k / 60
        if 40 < second % 60 < 48 and int(second // 60) % 3 == place:
            value += 100.0
        raw = round(value * 100)
        low, high = raw & 255, raw >> 8
        data = (bytes((low, high, 0, 0)), bytes((0, 0, high, low, 0)), bytes((0xFF, low, high, 0xFF, 0xFF)))[place]
        yield t + place * 0.001, ({SIGNALS["coolant"]}, {SIGNALS["rpm"]}, {SIGNALS["speed"]})[place], data
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording in every format."""
    pytest.importorskip("can")
    pytest.importorskip("asammdf")
    folder = tmp_path_factory.mktemp("formats")
    (folder / "bus.dbc").write_text(DBC)
    (folder / "test_same_ticks_frames.py").write_text(FRAMES_CODE)
    space: dict = {}
    exec(FRAMES_CODE, space)
    frames = list(space["frames"]())
    _texts(folder, frames)
    for name in ("python.log", "a.blf", "dz.mf4", "python.trc", "python.asc"):
        command = [sys.executable, "-c", WRITE, str(folder / name), str(folder)]
        subprocess.run(command, check=True, capture_output=True)
    import asammdf

    with asammdf.MDF(folder / "dz.mf4") as file:
        file.save(folder / "plain.mf4", compression=0)
    return folder


def _texts(folder: Path, frames: list) -> None:
    name = lambda key: f"{key:08X}" if key > 0x7FF else f"{key:03X}"  # noqa: E731
    mark = lambda key, text: f"{text}x" if key > 0x7FF else text  # noqa: E731
    log, screen, absolute, decimal, relative = [], [], [], [], []
    day = "Sun Nov 30 05:20:00.000 am 2025"
    head = f"date {day}\nbase {{}}  timestamps {{}}\nBegin Triggerblock {day}\n"
    last = 0.0
    for t, key, data in frames:
        since = round(t - START, 6)
        log.append(f"({t:.6f}) can0 {name(key)}#{data.hex().upper()}\n")
        screen.append(f" ({t:.6f})  can0  {name(key):>8}   [{len(data)}]  {data.hex(' ').upper()}\n")
        row = "   {:.6f} 1  {:<15} Rx   d {} {}\n"
        absolute.append(row.format(since, mark(key, f"{key:X}"), len(data), data.hex(" ").upper()))
        decimal.append(row.format(since, mark(key, str(key)), len(data), " ".join(map(str, data))))
        relative.append(row.format(since - last, mark(key, f"{key:X}"), len(data), data.hex(" ").upper()))
        last = since
    (folder / "log.log").write_text("".join(log))
    (folder / "screen.log").write_text("".join(screen))
    (folder / "absolute.asc").write_text(head.format("hex", "absolute") + "".join(absolute))
    (folder / "decimal.asc").write_text(head.format("dec", "absolute") + "".join(decimal))
    (folder / "relative.asc").write_text(head.format("hex", "relative") + "".join(relative))


FILES = (
    "screen.log", "absolute.asc", "decimal.asc", "relative.asc", "python.log", "python.asc", "python.trc", "a.blf",
    "dz.mf4", "plain.mf4", "rows.parquet",
)  # fmt: skip


def outcome(path: Path) -> tuple[bytes, bytes, list]:
    """Times and values of the ticks, and the alerts."""
    bus = path.suffix != ".parquet"
    mapping = Mapping(
        signals={name: SignalColumn() for name in SIGNALS},
        log=can_files.layout(path.parent / "bus.dbc") if bus else can_files.layout(),
    )
    blocks = list(read_log(path, mapping, vehicle="t1", counts=Counter(), on_bad=print))
    ticks = Ticks("t1", mapping.manifest_signals(), SECOND, 30 * SECOND, 2 * SECOND)
    whole = join([*(ticks.add(block) for block in blocks), ticks.flush()])
    assert whole is not None
    pipeline = Pipeline(Detector.load(MODEL), Settings(), "anomaly")
    alerts = []
    for block in blocks:
        pipeline.feed(block)
        alerts += [alert.alert_id for output in pipeline.pump() for alert in output.alerts]
    return whole.time.tobytes(), whole.values.tobytes(), alerts


def write_parquet(folder: Path) -> None:
    """The readings themselves, as rows."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    mapping = Mapping(signals={name: SignalColumn() for name in SIGNALS}, log=can_files.layout(folder / "bus.dbc"))
    blocks = list(read_log(folder / "log.log", mapping, vehicle="t1", counts=Counter(), on_bad=print))
    values = np.concatenate([block.values for block in blocks])
    times = np.concatenate([block.time for block in blocks]).astype("datetime64[us]")
    table = {"time": pa.array(times), **{name: values[:, place] for place, name in enumerate(SIGNALS)}}
    pq.write_table(pa.table(table), folder / "rows.parquet")


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_ticks_and_alerts(name: str, folder: Path) -> None:
    wanted = outcome(folder / "log.log")
    assert wanted[2]
    if name.endswith(".parquet"):
        write_parquet(folder)
    assert outcome(folder / name) == wanted

"""One recording in every format: the same ticks and alerts, and the same from every command that takes a log."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import can_files
import mf4_files
from broker import Broker, broker
from daemon_process import MODEL
from tickover.cli import root
from tickover.core.pipeline import Pipeline
from tickover.core.policy import Settings
from tickover.core.resample import Ticks, join
from tickover.core.values import SECOND
from tickover.logs.mapping import Mapping, SignalColumn
from tickover.logs.reading import read_log
from tickover.model.detector import Detector
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection

__all__ = ["broker"]
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
sys.path.insert(0, ".")
from test_same_ticks_frames import frames
for name in sys.argv[2:]:
    with can.Logger(name) as writer:
        for t, key, data in list(frames())[: int(sys.argv[1]) if name.startswith("short") else None]:
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
    names = ["python.log", "a.blf", "dz.mf4", "python.trc", "python.asc", "short.blf", "short.mf4"]
    command = [sys.executable, "-c", WRITE, str(SHORT_FRAMES), *names]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    import asammdf

    with asammdf.MDF(folder / "dz.mf4") as file:
        file.save(folder / "plain.mf4", compression=0)
    text = (folder / "log.log").read_bytes()
    (folder / "log.log.gz").write_bytes(gzip.compress(text))
    (folder / "short.log.gz").write_bytes(gzip.compress(b"\n".join(text.splitlines()[:SHORT_FRAMES])))
    records = [(t - START, key, data) for t, key, data in frames]
    mf4_files.unfinalized(folder / "cut.mf4", records, START * 10**9)
    write_parquet(folder)
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


TINY = """
[network]
hidden = 4
bottleneck = 2
window_s = 8.0
[fit]
epochs = 1
batch_rows = 4
chunk = 64
threads = 1
patience = 1
[calibration]
folds = 1
"""
FILES = (
    "screen.log", "log.log.gz", "absolute.asc", "decimal.asc", "relative.asc", "python.log", "python.asc", "python.trc",
    "a.blf", "dz.mf4", "plain.mf4", "cut.mf4", "rows.parquet",
)  # fmt: skip
FOR_EVALUATE, FOR_RETUNE = ("a.blf",), ("cut.mf4", "rows.parquet")
"""These commands take long over ticks, which are the same from all files: one file of each kind of reader is enough."""
SHORT = ("short.log.gz", "short.blf", "short.mf4")
SHORT_FRAMES = 300


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
    assert outcome(folder / name) == wanted


def tickover(folder: Path, *args: str) -> str:
    """What a command prints; it is run in the recording's folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(root, args, catch_exceptions=False)
    finally:
        os.chdir(before)
    assert done.exit_code == 0, done.output
    return done.stdout


def alone(folder: Path, name: str, tmp_path: Path) -> list[str]:
    """The recording under the name ``trip`` in the folder ``tmp_path``, with the options that it needs."""
    shutil.copy(folder / name, tmp_path / f"trip{name[name.index('.') :]}")
    shutil.copy(folder / "bus.dbc", tmp_path)
    return [f"trip{name[name.index('.') :]}", *([] if name.endswith(".parquet") else ["--dbc", "bus.dbc"])]


@pytest.mark.parametrize("name", [name for name in FILES if name != "rows.parquet"])
def test_inspect_says_the_same_of_every_format(name: str, folder: Path) -> None:
    wanted, found = (
        json.loads(tickover(folder, "inspect", one, "--dbc", "bus.dbc", "--json")) for one in ("log.log", name)
    )
    assert wanted["signals"].keys() == SIGNALS.keys()
    for signal in (*wanted["signals"].values(), *found["signals"].values()):
        signal.pop("bus")  # only a candump names it
    assert found == wanted


@pytest.fixture(scope="module")
def wanted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the commands make of the candump."""
    return {
        command: run(folder, "log.log", tmp_path_factory.mktemp(command))
        for command, run in (("replay", replayed), ("evaluate", evaluated), ("retune", retuned))
    }


def replayed(folder: Path, name: str, tmp_path: Path) -> object:
    tickover(tmp_path, "replay", str(MODEL), *alone(folder, name, tmp_path), "--alerts", "a.jsonl", "--scores", "s.csv")
    return (tmp_path / "a.jsonl").read_text(), (tmp_path / "s.csv").read_text()


def evaluated(folder: Path, name: str, tmp_path: Path) -> object:
    tickover(tmp_path, "evaluate", str(MODEL), "--clean", *alone(folder, name, tmp_path), "--json", "e.json")
    return json.loads((tmp_path / "e.json").read_text())


def retuned(folder: Path, name: str, tmp_path: Path) -> object:
    tickover(tmp_path, "retune", str(MODEL), "--clean", *alone(folder, name, tmp_path), "--out", "r.onnx")
    return (tmp_path / "r.onnx").read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_replay_writes_the_same_from_every_format(name: str, folder: Path, wanted: dict, tmp_path: Path) -> None:
    assert replayed(folder, name, tmp_path) == wanted["replay"]


@pytest.mark.parametrize("name", FOR_EVALUATE)
def test_evaluate_gives_the_same_figures(name: str, folder: Path, wanted: dict, tmp_path: Path) -> None:
    assert evaluated(folder, name, tmp_path) == wanted["evaluate"]


@pytest.mark.parametrize("name", FOR_RETUNE)
def test_retune_writes_the_same_model(name: str, folder: Path, wanted: dict, tmp_path: Path) -> None:
    assert retuned(folder, name, tmp_path) == wanted["retune"]


@pytest.mark.slow
def test_train_takes_all_formats_as_trips_of_one_model_that_names_its_dbc(folder: Path, tmp_path: Path) -> None:
    names = ("log.log.gz", "a.blf", "cut.mf4")
    (tmp_path / "tiny.toml").write_text(TINY)
    log = [str(folder / name) for name in names]
    tickover(
        tmp_path, "train", *log, "--dbc", str(folder / "bus.dbc"), "--config", "tiny.toml", "--out", "run", "--force"
    )
    tickover(tmp_path, "export", "run", "--out", "m.onnx")
    model = str(tmp_path / "m.onnx")
    manifest = Detector.load(model).manifest
    assert manifest.training.trips == len(names)
    assert manifest.training.hours == pytest.approx(len(names) * FRAMES / 60 / 3600, rel=0.02)
    again = [tickover(tmp_path, "replay", model, path, "--dbc", str(folder / "bus.dbc")) for path in log]
    assert len(set(again)) == 1
    done = CliRunner().invoke(root, ["replay", model, log[0]])
    assert done.exit_code != 0
    told = str(done.exception)
    assert "expected the DBC that the model was trained with, bus.dbc (sha256 " in told
    assert told.endswith("name it with --dbc")
    other = tmp_path / "other.dbc"
    other.write_text(DBC.replace('(0.01,0) [0|0] "" ECU', '(0.02,0) [0|0] "" ECU', 1))
    done = CliRunner().invoke(root, ["replay", model, log[0], "--dbc", str(other)])
    assert done.exit_code == 0
    assert "note: the model was trained with the DBC bus.dbc (sha256 " in done.stderr


def test_play_publishes_the_same_rows_of_every_format(folder: Path, broker: Broker, tmp_path: Path) -> None:
    played = []
    for name in SHORT:
        with MqttClient(Connection(host=broker.host, port=broker.port)) as client:
            client.subscribe("trucks/+/signals")
            options = ["--model", str(MODEL), "--broker", broker.address, "--speed", "max"]
            tickover(tmp_path, "play", *alone(folder, name, tmp_path), *options)
            played.append([client.receive(5.0).payload for _ in range(SHORT_FRAMES)])
    assert played[1:] == played[:-1]
    rows = [json.loads(payload) for payload in played[0]]
    assert [row["time"] for row in rows[:3]] == [START, START + 0.001, START + 0.002]
    assert [list(row)[1] for row in rows] == [*SIGNALS] * (SHORT_FRAMES // 3)

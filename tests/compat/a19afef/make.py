"""Make everything in this folder again, with the tickover that is on the path: see README.md.

    PYTHONPATH=edge:export:train python tests/compat/a19afef/make.py [PART ...]

It is meant for the commit that the folder is named after; with a later one, it would make what that one writes.
"""

import contextlib
import csv
import gzip
import io
import json
import math
import random
import re
import shutil
import sqlite3
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent.parent))

from compat.live import (  # noqa: E402
    PORT,
    STORE,
    Broker,
    Client,
    Daemon,
    Kept,
    go_on,
    is_alert,
    moved,
    online,
    tickover,
    unpacked_store,
    wait_until,
)

DEMO = ROOT / "deploy" / "demo"
SMALL_MODELS = ROOT / "tests" / "edge" / "models"
MODELS = HERE / "models"
BEGIN = "2026-03-02T06:00:00Z"
NEAREST = 1e-4
"""No score that is kept lies closer, relatively, to a level that decides: other processors differ by far less."""


def write(path: Path, text: str) -> None:
    """A text file, in its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_packed(path: Path, data: bytes) -> None:
    """A gzip file whose bytes depend on ``data`` only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(data)


def replayed(folder: Path, model: Path, log: Path, *options: str | Path, levels: tuple[float, ...]) -> None:
    """Replay ``log`` and keep ``alerts.jsonl.gz`` and ``scores.csv.gz`` in ``folder``."""
    with tempfile.TemporaryDirectory() as scratch:
        alerts, scores = Path(scratch) / "alerts.jsonl", Path(scratch) / "scores.csv"
        told = tickover("replay", model, log, *options, "--alerts", alerts, "--scores", scores).stdout
        say(f"{folder.name}\n{told}")
        check_distance(scores, levels)
        for path in (alerts, scores):
            write_packed(folder / f"{path.name}.gz", path.read_bytes())


def say(text: str) -> None:
    """What was made, for whoever makes it."""
    sys.stdout.write(f"{text}\n")


def check_distance(scores: Path, levels: tuple[float, ...]) -> None:
    """Every score is clear of every level."""
    with scores.open(newline="") as file:
        values = [float(row["score"]) for row in csv.DictReader(file) if row["score"]]
    nearest = min((abs(value / level - 1), value) for value in values for level in levels)
    say(f"{len(values)} scores, the nearest to a level is {nearest[1]:.6g}, {nearest[0]:.2g} off")
    assert nearest[0] > NEAREST


# The demo


def make_demo() -> None:
    """The alerts of the bundled recording under the bundled model."""
    with tempfile.TemporaryDirectory() as folder:
        alerts = Path(folder) / "alerts.jsonl"
        tickover("replay", DEMO / "truck.onnx", DEMO / "trip.csv.gz", "--alerts", alerts)
        write_packed(HERE / "demo" / "alerts.jsonl.gz", alerts.read_bytes())


# Training: trips of simulated trucks, a run folder, its model, and a trip with faults

TRAINING = HERE / "training"
TRIP_SEEDS = range(1, 9)
FAULTY_SEED = 99
OUTSIDE_C = 14.0
WARM_S, TRIP_S, FAULTY_S = 300, 420, 700
TRIP_COLUMNS = "t_s,Boost [bar],Fuel"
TRIP_SIGNALS = ("boost_pressure", "fuel_rate")
TRAINING_LEVELS = (1.0, 0.72, 1.25, 1.9)
"""Of train.toml: the alarm limit, close_level, major_level, critical_level."""
RETUNED = "2/1h"
"""The budget of the model that is retuned."""


def make_training() -> None:
    """``train.toml`` and ``mapping.toml`` are written by hand; all else here follows from them."""
    for seed in TRIP_SEEDS:
        write_packed(TRAINING / "trips" / f"trip-{seed}.csv.gz", trip(seed, TRIP_S).encode())
    write_packed(TRAINING / "trip.csv.gz", with_faults(trip(FAULTY_SEED, FAULTY_S)).encode())
    shutil.rmtree(TRAINING / "run", ignore_errors=True)
    mapping, config, run = TRAINING / "mapping.toml", TRAINING / "train.toml", TRAINING / "run"
    tickover("train", TRAINING / "trips", "--map", mapping, "--config", config, "--out", run)
    (run / "report.html").unlink()  # 5 MB that nothing reads
    tickover("export", run, "--out", TRAINING / "model.onnx")
    options = ("--map", mapping, "--start", BEGIN)
    replayed(TRAINING, TRAINING / "model.onnx", TRAINING / "trip.csv.gz", *options, levels=TRAINING_LEVELS)
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "retuned.onnx"
        retuned = ("--clean", TRAINING / "trips", "--map", mapping, "--false-alarms", RETUNED, "--out", model)
        tickover("retune", TRAINING / "model.onnx", *retuned)
        replayed(TRAINING / "retuned", model, TRAINING / "trip.csv.gz", *options, levels=TRAINING_LEVELS)
        (TRAINING / "retuned" / "scores.csv.gz").unlink()


def trip(seed: int, seconds: int) -> str:
    """A log of two signals that hang together, from a truck that has run for some minutes."""
    from tickover.simulator import Truck

    truck = Truck(seed, outside=OUTSIDE_C)
    truck.block(WARM_S)
    block = truck.block(seconds)
    places = [block.signals.index(name) for name in TRIP_SIGNALS]
    values = block.values[:, places]
    rows = [f"{second},{boost / 100:.2f},{fuel:.2f}" for second, (boost, fuel) in enumerate(values)]
    return "\n".join([TRIP_COLUMNS, *rows, ""])


def with_faults(log: str) -> str:
    """Sensors that read too high, once in the cool-down of the episode before; one that dies in its alarm; one that
    reads too high to the end of the log."""
    head, *rows = log.splitlines()
    return "\n".join([head, *map(faulty, rows), ""])


def faulty(row: str) -> str:
    """One row of the faulty trip."""
    second, boost, fuel = row.split(",")
    now = int(second)
    if 150 <= now < 160:
        boost = f"{float(boost) + 2.4:.2f}"
    if any(start <= now < start + 8 for start in (215, 355, 490)) or 296 <= now < 300:
        fuel = f"{float(fuel) + 30:.2f}"
    if 496 <= now < 634:
        fuel = ""
    if now >= 650:
        boost = f"{float(boost) + 1.2:.2f}"
    return ",".join((second, boost, fuel))


# Small models: a drive near what a model expects, and faults

START_S = 1_770_000_000
SIGNALS = ("coolant", "rpm", "speed")
USUAL = (27.3, 49.2, 39.0)
NOISE, DROPOUT, LATEST_S = 0.1, 0.03, 0.2
Row = tuple[float, dict[str, float]]


def drive(
    seed: str, seconds: int, faults: dict[range, dict[str, float]], usual: tuple[float, ...] = USUAL
) -> list[Row]:
    """Rows at 1 Hz, some values missing; ``faults`` add to a signal, NaN takes it away."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for second in range(seconds):
        shown = {name: value + draw.gauss(0.0, NOISE) for name, value in zip(SIGNALS, usual, strict=True)}
        for span, added in faults.items():
            if second in span:
                shown |= {name: shown[name] + more for name, more in added.items()}
        kept = {name: round(value, 2) for name, value in shown.items() if draw.random() > DROPOUT and value == value}
        rows.append((START_S + second + round(draw.uniform(0.0, LATEST_S), 3), kept))
    return rows


# A mapping with every table, over a log in long rows

MAPPING = HERE / "mapping"
MAPPING_LEVELS = (1.0, 0.6, 1.5, 3.0)
COLUMN_OF = {"coolant": "Kühlwasser [°F]", "rpm": "Drehzahl", "speed": "Tempo"}
DEAD = math.nan


def make_mapping() -> None:
    """``mapping.toml`` is written by hand."""
    first = drive(
        "mapping a",
        260,
        {
            range(40, 42): {"rpm": 100},
            range(95, 97): {"rpm": 100},
            range(170, 173): {"coolant": 60},
            range(173, 240): {"coolant": DEAD},
        },
    )
    second = drive(
        "mapping b",
        260,
        {
            range(60, 63): {"speed": 80},
            range(125, 126): {"rpm": 52},
            range(190, 191): {"rpm": 100, "speed": 80},
            range(191, 192): {"rpm": 25},
        },
    )
    lines = ["Stempel;Wagen;Größe;Wert"]
    for one, other in zip(first, second, strict=True):
        lines += [*long_rows("weiß", *one), *long_rows("blau", *other)]
    write_packed(MAPPING / "log.csv.gz", "\n".join([*lines, ""]).encode("cp437"))
    shutil.copy(SMALL_MODELS / "gru_autoencoder.onnx", MODELS)
    options = ("--map", MAPPING / "mapping.toml")
    replayed(MAPPING, MODELS / "gru_autoencoder.onnx", MAPPING / "log.csv.gz", *options, levels=MAPPING_LEVELS)


def long_rows(vehicle: str, moment: float, shown: dict[str, float]) -> Iterator[str]:
    """One reading a row."""
    for name, value in shown.items():
        told = value * 1.8 + 32 if name == "coolant" else value
        yield f"{round(moment * 1000)};{vehicle};{COLUMN_OF[name]};{told:.2f}".replace(".", ",")


# Saved replay states: the drive of two vehicles under each small model, cut with an episode open

STATE = HERE / "state"
CUT, LENGTH = 150, 300
STATE_LEVELS = (1.0, 0.8, 2.0, 4.0)
STATE_MAPPING = """[log]
vehicle_column = "truck"

[signals.coolant]
[signals.rpm]
[signals.speed]

[episodes]
cool_down_s = 20.0
update_every_s = 30.0
freeze_frame_ticks = 5

[sensitivity]
{sensitivity}
"""
SMALL = {
    "gru_autoencoder": (USUAL, ""),
    "lstm_forecaster": (USUAL, "coolant = 0.05"),
    "rnn_seq2seq": ((94.7, 29.8, 10.0), "speed = 0.0"),
}
"""Model to its usual values and sensitivity: weights are random, and not all of them can expect anything plausible."""


def make_state() -> None:
    """For each small model the log in two parts, the state between them, and what the second part gives."""
    for name, (usual, sensitivity) in SMALL.items():
        folder, model = STATE / name, MODELS / f"{name}.onnx"
        write(folder / "mapping.toml", STATE_MAPPING.format(sensitivity=sensitivity))
        shutil.copy(SMALL_MODELS / model.name, MODELS)
        first = drive(
            f"{name} a", LENGTH, {range(CUT - 12, CUT - 9): {"rpm": 100}, range(250, 252): {"rpm": 100}}, usual
        )
        second = drive(f"{name} b", LENGTH, {range(CUT - 4, CUT + 4): {"rpm": 100}}, usual)
        for part, rows in (("first", range(CUT)), ("second", range(CUT, LENGTH))):
            lines = [
                f"{moment:.3f},{truck},{cells(shown)}"
                for row in rows
                for truck, (moment, shown) in (("t1", first[row]), ("t2", second[row]))
            ]
            write_packed(folder / f"{part}.csv.gz", "\n".join([f"time,truck,{','.join(SIGNALS)}", *lines, ""]).encode())
        (folder / "saved.state").unlink(missing_ok=True)
        options = (model, folder / "first.csv.gz", "--map", folder / "mapping.toml", "--state", folder / "saved.state")
        say(tickover("replay", *options).stdout)
        with tempfile.TemporaryDirectory() as scratch:
            state = shutil.copy(folder / "saved.state", scratch)
            options = ("--map", folder / "mapping.toml", "--state", state)
            replayed(folder, model, folder / "second.csv.gz", *options, levels=STATE_LEVELS)


def cells(shown: dict[str, float]) -> str:
    """Values in the order of the signals; empty = missing."""
    return ",".join(f"{shown[name]:.2f}" if name in shown else "" for name in SIGNALS)


# The daemon: a store that a killed one left, and what follows it

DAEMON = HERE / "daemon"
BASE, NODE = "fleet", "gateway"
PLACES = {f"/etc/tickover/{name}.onnx": MODELS / f"{name}.onnx" for name in ("gru_autoencoder", "lstm_forecaster")}
DAEMON_LEVELS = (1.0, 0.7, 1.5, 3.0)
KILLED_S, DRIVE_S = 100, 280
"""The daemon is killed at this second of the drive; the drive's length."""
SLEPT_S, SPARKPLUG_S, MUTED_S, WORKSHOP_S, BACK_S = 76, 50, 87, 70, 130
"""Seconds: van-2 falls silent, van-6 is born, van-3 is muted, van-5 enters the workshop; both modes are ended."""
MODE_S = 30 * 86_400
LATER_S = 4_102_444_800
"""2100-01-01: what the clock of the killed daemon says, so that its modes and what it keeps outlive this century."""
LATER_CLOCK = f"""import sys, time
real, real_ns, ahead = time.time, time.time_ns, {LATER_S} - time.time()
time.time, time.time_ns = lambda: real() + ahead, lambda: real_ns() + round(ahead * 1e9)
from tickover.cli import main
sys.argv[0] = "tickover"
main()
"""
REFUSED = "allow_anonymous true\nacl_file {folder}/acl\n"
ACL = f"topic readwrite #\ntopic deny {BASE}/v1/van-4/alert/anomaly\ntopic deny {BASE}/v1/van-4/alert/forecast\n"
Message = tuple[str, bytes]
Faults = dict[range, dict[str, float]]
FAULTS: dict[str, Faults] = {
    "van-1": {
        range(20, 22): {"rpm": 100},
        range(94, 97): {"rpm": 100},
        range(138, 139): {"rpm": 100},
        range(180, 183): {"speed": 100},
        range(245, 248): {"rpm": 100},
    },
    "van-2": {range(70, 73): {"rpm": 100}, range(205, 207): {"speed": 100}, range(207, 240): {"speed": DEAD}},
    "van-3": {range(82, 85): {"speed": 100}, range(180, 182): {"rpm": 100}},
    "van-4": {range(30, 32): {"rpm": 100}, range(160, 162): {"rpm": 100}, range(217, 220): {"rpm": 100}},
    "van-5": {range(90, 93): {"rpm": 100}, range(105, 108): {"rpm": 100}, range(170, 172): {"rpm": 100}},
    "van-6": {range(95, 98): {"rpm": 100}, range(228, 229): {"rpm": 100}, range(229, 230): {"rpm": 25}},
}
"""Beside plain ones: van-1 has one in a cool-down, van-2's sensor dies in its alarm, van-4 has one with its ignition
off, van-5 two in the workshop, van-6 one that is critical by the configuration only."""
IGNITION = {("van-4", 215): 0.0, ("van-4", 222): 1.0}
"""The gate's signal, where it changes; each vehicle tells it with its first reading, too."""


def make_daemon() -> None:
    """``tickover.toml`` is written by hand. The store differs at each making, what follows from it does not."""
    write_complete()
    drives = {vehicle: drive(vehicle, DRIVE_S, faults) for vehicle, faults in FAULTS.items()}
    check_drives(drives)
    config = (DAEMON / "tickover.toml").read_text(encoding="utf-8")
    messages = list(following(drives))
    lines = [json.dumps({"topic": topic, **told(body)}, ensure_ascii=False) for topic, body in messages]
    write_packed(DAEMON / "messages.jsonl.gz", "\n".join([*lines, ""]).encode())
    with tempfile.TemporaryDirectory() as scratch:
        leave_store(Path(scratch) / "killed", config, drives)
        kept = Kept(DAEMON / "state.tar.gz", config, PLACES, BASE, NODE)
        check_store(unpacked_store(kept.store, Path(scratch) / "checked"))
        found = go_on(Path(scratch) / "goes-on", kept, messages, quiet_s=3.0)
    assert found.exit_code == 0, found.log
    write_packed(DAEMON / "alerts.jsonl.gz", b"".join(body + b"\n" for body in sorted({*found.alerts}, key=place)))
    for name, alarms in zip(("begin", "end"), found.alarms, strict=True):
        bodies = {topic: body.decode() for topic, body in sorted(alarms.items()) if is_alert(body)}
        write(DAEMON / f"alarms-at-{name}.json", json.dumps(bodies, indent=1) + "\n")


def write_complete() -> None:
    """What ``tickover config example`` prints, every key in force."""
    text = tickover("config", "example").stdout
    write(DAEMON / "complete.toml", re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))


def told(body: bytes) -> dict[str, str]:
    """A payload as JSON can hold it."""
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"hex": body.hex()}


def place(body: bytes) -> tuple[str, str, str, int]:
    """Where an alert stands: by vehicle, detector and time."""
    event = json.loads(body)
    return event["data"]["vehicle"], event["data"]["detector"], event["time"], event["data"]["sequence"]


def check_drives(drives: dict[str, list[Row]]) -> None:
    """No score of any vehicle under any model is close to a level."""
    mapping = "".join(f"[signals.{name}]\n" for name in SIGNALS) + "[sensitivity]\ncoolant = 0.05\nspeed = 1.5\n"
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch) / "mapping.toml", mapping)
        for vehicle, rows in drives.items():
            log = Path(scratch) / f"{vehicle}.csv"
            lines = [f"{moment:.3f},{cells(shown)}" for moment, shown in rows]
            write(log, "\n".join([f"time,{','.join(SIGNALS)}", *lines, ""]))
            for model in PLACES.values():
                scores = Path(scratch) / vehicle / "scores.csv"
                scores.parent.mkdir(exist_ok=True)
                tickover("replay", model, log, "--map", Path(scratch) / "mapping.toml", "--scores", scores)
                check_distance(scores, DAEMON_LEVELS)


def leave_store(folder: Path, config: str, drives: dict[str, list[Row]]) -> None:
    """Run the daemon twice on one store, at a broker that takes no alert of van-4: once to a clean end, once killed."""
    program = (sys.executable, "-c", LATER_CLOCK)
    with contextlib.ExitStack() as stack:
        write(folder / "acl", ACL)
        (folder / "acl").chmod(0o600)
        broker = stack.enter_context(Broker(folder / "broker", REFUSED.format(folder=folder)))
        client = stack.enter_context(Client(broker, f"{BASE}/#"))
        node, state, path = f"{BASE}/v1/{NODE}", folder / "state", folder / "tickover.toml"
        write(path, moved(config, {PORT: f"port = {broker.port}", STORE: state, **PLACES}))
        with Daemon(path, program) as daemon:
            online(client, daemon, node)
            client.publish(ahead(drives, range(60)))
            client.ask(f"{node}/cmd/status")
            time.sleep(2.0)
            assert daemon.stop() == 0, daemon.text
        with Daemon(path, program) as daemon:
            online(client, daemon, node)
            client.publish(batch(drives["van-2"], range(60, SLEPT_S)))
            wait_until(lambda: not client.ask(f"{node}/cmd/status")["result"]["vehicles"], "van-2 is asleep")
            client.publish(ahead({name: rows for name, rows in drives.items() if name != "van-2"}, range(60, KILLED_S)))
            client.ask(f"{node}/cmd/status")
            time.sleep(1.0)
            client.ask(f"{node}/cmd/status")  # commits what was delivered
            daemon.kill()
    pack_store(state, DAEMON / "state.tar.gz")


def pack_store(folder: Path, archive: Path) -> None:
    """The files of a state folder as they lie there."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            about = tarfile.TarInfo(path.name)
            about.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(about, file)
    write_packed(archive, packed.getvalue())


def check_store(folder: Path) -> None:
    """The store holds all that it is kept for; looking may change it."""
    with contextlib.closing(sqlite3.connect(folder / "tickover.sqlite")) as db:
        journal = [seq for (seq,) in db.execute("SELECT seq FROM journal ORDER BY seq")]
        states = dict(db.execute("SELECT vehicle, seq FROM state"))
        pending = [topic for (topic,) in db.execute("SELECT topic FROM outbox WHERE delivered IS NULL")]
        delivered = [topic for (topic,) in db.execute("SELECT topic FROM outbox WHERE delivered NOT NULL")]
        standing = [topic for topic, body in db.execute("SELECT topic, body FROM retained") if body]
        meta = {name for (name,) in db.execute("SELECT name FROM meta")}
    say(f"journal {journal}, states {states}, pending {pending}, {len(delivered)} delivered, standing {standing}")
    say(f"meta {sorted(meta)}")
    assert journal[0] <= states["van-2"] < journal[-1], "van-2 went to sleep between entries of the journal"
    assert states["van-1"] < journal[0], "van-1 is under way: its state is older than the journal"
    assert pending
    assert {topic.split("/")[2] for topic in pending} == {"van-4"}
    assert {"van-1", "van-2", "van-3", "van-6"} <= {topic.split("/")[2] for topic in standing}
    assert {"modes", "models", "decoders", "settled", "version", "seq"} <= meta


def ahead(drives: dict[str, list[Row]], seconds: range) -> Iterator[Message]:
    """What comes before the kill; each vehicle's ignition is told once, with its first reading."""
    for second in seconds:
        if second == MUTED_S:
            yield command("van-3", "mute", MODE_S)
        if second == WORKSHOP_S:
            yield command("van-5", "workshop", MODE_S)
        yield from rows_at(drives, second, first=second == 0)


def following(drives: dict[str, list[Row]]) -> Iterator[Message]:
    """What comes after the restart: first, what was delivered is asked for again."""
    yield f"{BASE}/v1/van-1/cmd/replay/request", json.dumps({"since": "2099-12-31T00:00:00Z"}).encode()
    yield from batch(drives["van-2"], range(SLEPT_S, DRIVE_S))
    for second in range(KILLED_S, DRIVE_S):
        if second == BACK_S:
            yield command("van-3", "mute", 0)
            yield command("van-5", "workshop", 0)
        yield from rows_at({name: rows for name, rows in drives.items() if name != "van-2"}, second)


def command(vehicle: str, name: str, seconds: int) -> Message:
    """Into a mode for so long, or out of it."""
    return f"{BASE}/v1/{vehicle}/cmd/{name}/request", json.dumps({"for_s": seconds}).encode()


def rows_at(drives: dict[str, list[Row]], second: int, first: bool = False) -> Iterator[Message]:
    """The row of this second of each vehicle, in the payload of that vehicle."""
    for vehicle, rows in drives.items():
        moment, shown = rows[second]
        if vehicle == "van-6":
            yield from sparkplug(second, moment, shown)
            continue
        if first or (vehicle, second) in IGNITION:
            shown = shown | {"ignition": IGNITION.get((vehicle, second), 1.0)}
        if vehicle == "van-2":
            yield from batch([(moment, shown)], range(1))
        elif vehicle == "van-3":
            stamp = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
            for name, value in shown.items():
                yield f"can/van-3/{name}", json.dumps({"time": stamp, "v": value}).encode()
        elif vehicle == "van-5":
            yield "yard/shuttle", json.dumps({"t": round(moment * 1e6), **shown}).encode()
        else:
            renamed = {"n" if name == "rpm" else name: value for name, value in shown.items()}
            yield f"trucks/{vehicle}/telemetry", json.dumps({"t": moment, "signals": renamed}).encode()


def batch(rows: list[Row], seconds: range) -> Iterator[Message]:
    """Ten rows a message."""
    for start in range(seconds.start, seconds.stop, 10):
        some = rows[start : min(start + 10, seconds.stop)]
        items = [{"truck": "van-2", "at": round(moment * 1000), **shown} for moment, shown in some]
        yield "depot/batch", json.dumps({"rows": items}).encode()


def sparkplug(second: int, moment: float, shown: dict[str, float]) -> Iterator[Message]:
    """A birth with names and aliases, and then aliases only."""
    from tickover.formats.sparkplug import Payload

    if second < SPARKPLUG_S:
        return
    born = second == SPARKPLUG_S
    message = Payload(timestamp=round(moment * 1000), seq=(second - SPARKPLUG_S) % 256)
    values = shown | ({"ignition": 1.0} if born else {})
    for alias, name in enumerate((*SIGNALS, "ignition"), start=1):
        if born or name in values:
            metric = message.metrics.add(alias=alias)
            if name in values:
                metric.double_value = values[name]
            if born:
                metric.name, metric.datatype, metric.is_null = name, 10, name not in values
    yield f"spBv1.0/plant/{'NBIRTH' if born else 'NDATA'}/van-6", message.SerializeToString()


PARTS = {
    "demo": make_demo,
    "training": make_training,
    "mapping": make_mapping,
    "state": make_state,
    "daemon": make_daemon,
}

if __name__ == "__main__":
    MODELS.mkdir(exist_ok=True)
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()

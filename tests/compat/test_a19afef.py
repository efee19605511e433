"""What tickover wrote at commit a19afef is still read, and gives the same bytes: models, run folders, mappings, replay
states, configurations, a daemon's store.

``a19afef/README.md`` says what each file is and how it was made. Everything goes through the command line, MQTT and
files, so that modules may move. Bytes are those of one onnxruntime version; scores in the kept data are clear of
every level, so that where only the last digits of numbers differ, it is another processor, and is said.
"""

import gzip
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compat.live import MOSQUITTO, Continuation, Kept, go_on, is_alert, moved, tickover
from tickover.model.detector import Detector

HERE = Path(__file__).resolve().parent / "a19afef"
TRIP = HERE.parents[2] / "deploy" / "demo" / "trip.csv.gz"
AS_THEN = {"episodes": "hold_slow_means = false\nupdate_on_signal = false", "sensors": "kinds = []"}
"""What is new since and on by default is switched off, so that bytes can be compared."""
MODELS, TRAINING, MAPPING, STATE, DAEMON = (
    HERE / name for name in ("models", "training", "mapping", "state", "daemon")
)
NODE, TOLD = "fleet/v1/gateway", ("status", "info", "health")
BEGIN = "2026-03-02T06:00:00Z"
ROUNDING = 1e-3
"""Numbers that differ by less, relatively or absolutely, may come from another processor."""
PLACES = {f"/etc/tickover/{name}.onnx": MODELS / f"{name}.onnx" for name in ("gru_autoencoder", "lstm_forecaster")}
STORE_FILES = {"tickover.sqlite", "tickover.sqlite-wal", "tickover.sqlite-shm", "tickover.sqlite.version-1"}
"""What may be in the state folder in the end: anything else is a store that was put aside."""
TROUBLES = {"store_damaged", "state_lost", "model_changed", "durability"}
"""Notices that would say that the store was not read whole."""


def unpacked(path: Path) -> bytes:
    """What is in a kept gzip file."""
    return gzip.decompress(path.read_bytes())


def as_then(mapping: Path, out: Path) -> Path:
    """A copy of a mapping under which nothing is judged that was not judged then."""
    path = out / "as-then.toml"
    path.write_text(without_news(mapping.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def without_news(text: str) -> str:
    """A mapping or a configuration with ``AS_THEN``."""
    for table, keys in AS_THEN.items():
        head = f"[{table}]\n"
        text = text.replace(head, head + keys + "\n") if head in text else f"{text}\n{head}{keys}\n"
    return text


def replayed(out: Path, model: Path, log: str | Path, *options: str | Path) -> tuple[bytes, bytes]:
    """Alerts and scores of a replay."""
    alerts, scores = out / "alerts.jsonl", out / "scores.csv"
    tickover("replay", model, log, *options, "--alerts", alerts, "--scores", scores)
    return alerts.read_bytes(), scores.read_bytes()


def expect_lines(found: bytes, expected: bytes) -> None:
    """Equal bytes; the first line that differs is shown, and whether it is only rounding."""
    ours, theirs = found.splitlines(), expected.splitlines()
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        assert one == other, f"line {number} differs{rounding(one, other)}"
    assert len(ours) == len(theirs)
    assert found == expected


def rounding(one: bytes, other: bytes) -> str:
    """A remark when two lines of JSON or CSV differ in the last digits of numbers alone."""
    try:
        is_close = close(values(one), values(other))
    except ValueError:
        return ""
    return " in the last digits only: another processor or onnxruntime?" if is_close else ""


def values(line: bytes) -> Any:
    """A line as numbers and text."""
    return json.loads(line) if line.startswith(b"{") else [number(cell) for cell in line.decode().split(",")]


def number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def close(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one if key not in NAMES)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return bool(one == other)


NAMES = frozenset({"id", "subject", "episode_id", "model_digest"})
"""Keys of an alert that follow from the model's digest, which names the versions that exported it."""


def without_names(alerts: bytes) -> list[dict[str, Any]]:
    """Alerts less what follows from the model's digest."""

    def told(part: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in part.items() if key not in NAMES}

    events = [json.loads(line) for line in alerts.splitlines()]
    return [told(event) | {"data": told(event["data"])} for event in events]


def test_the_demo_gives_the_same_alerts(tmp_path: Path) -> None:
    found, _ = replayed(tmp_path, HERE / "demo" / "truck.onnx", TRIP)
    expect_lines(found, unpacked(HERE / "demo" / "alerts.jsonl.gz"))


def trip(out: Path) -> tuple[str | Path, ...]:
    """The log and the options of the faulty trip."""
    return TRAINING / "trip.csv.gz", "--map", as_then(TRAINING / "mapping.toml", out), "--start", BEGIN


def expect_the_trip(model: Path, out: Path, *, same_digest: bool) -> None:
    """The kept scores and alerts of the faulty trip; but for what names the model, when it is exported anew."""
    alerts, scores = replayed(out, model, *trip(out))
    expect_lines(scores, unpacked(TRAINING / "scores.csv.gz"))
    if same_digest:
        expect_lines(alerts, unpacked(TRAINING / "alerts.jsonl.gz"))
    else:
        # Exporting anew switches on what is new: an end that is not proven is no longer called recovered.
        told = without_names(alerts.replace(b'"reason":"quiet"', b'"reason":"recovered"'))
        assert told == without_names(unpacked(TRAINING / "alerts.jsonl.gz"))


def test_an_exported_model_gives_the_same_alerts_and_scores(tmp_path: Path) -> None:
    expect_the_trip(TRAINING / "model.onnx", tmp_path, same_digest=True)


def test_a_run_folder_is_exported_to_the_same_detector(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    run = shutil.copytree(TRAINING / "run", tmp_path / "run")
    tickover("export", run, "--out", tmp_path / "model.onnx")
    expect_the_trip(tmp_path / "model.onnx", tmp_path, same_digest=False)


def test_a_checkpoint_is_resumed_under_its_configuration_to_the_same_network(tmp_path: Path) -> None:
    """The fit is over, so resuming it repeats what comes after: residuals, charts, limits, the run folder."""
    pytest.importorskip("torch")
    run = tmp_path / "run"
    shutil.copytree(TRAINING / "run" / "checkpoint", run / "checkpoint")
    config = tmp_path / "train.toml"
    # Of then: the product's network was the first fold's.
    config.write_text((TRAINING / "train.toml").read_text().replace("[fit]\n", "[fit]\nall_trips = false\n"))
    options = ("--map", TRAINING / "mapping.toml", "--config", config)
    tickover("train", TRAINING / "trips", *options, "--out", run, "--resume")
    tickover("export", run, "--out", tmp_path / "model.onnx")
    expect_the_network(tmp_path / "model.onnx")


def test_an_exported_model_is_retuned(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    model, mapping = tmp_path / "retuned.onnx", TRAINING / "mapping.toml"
    options = ("--clean", TRAINING / "trips", "--map", mapping, "--false-alarms", "2/1h", "--out", model)
    tickover("retune", TRAINING / "model.onnx", *options)
    expect_the_network(model)
    assert Detector.load(model).manifest.false_alarms.per_hour == 2.0


def expect_the_network(path: Path) -> None:
    """The same expectations and charts as then. Limits are set otherwise today: no single trip decides one."""
    now, then = Detector.load(path), Detector.load(TRAINING / "model.onnx")
    random = np.random.default_rng(0)
    center = np.array([max(signal.low, 0.0) for signal in then.manifest.signals])
    x = (center + random.gamma(2.0, 10.0, (300, len(center)))).astype(np.float32)
    np.testing.assert_allclose(now.run(x).expected, then.run(x).expected, rtol=1e-6)
    assert [chart.bound for chart in now.manifest.charts] == [chart.bound for chart in then.manifest.charts]


def test_a_mapping_with_episodes_and_sensitivity_gives_the_same_alerts_and_scores(tmp_path: Path) -> None:
    options = ("--map", MAPPING / "mapping.toml")
    alerts, scores = replayed(tmp_path, MODELS / "gru_autoencoder.onnx", MAPPING / "log.csv.gz", *options)
    expect_lines(alerts, unpacked(MAPPING / "alerts.jsonl.gz"))
    expect_lines(scores, unpacked(MAPPING / "scores.csv.gz"))


@pytest.mark.parametrize("name", ["gru_autoencoder", "lstm_forecaster", "rnn_seq2seq"])
def test_a_replay_goes_on_from_its_saved_state_with_episodes_open(tmp_path: Path, name: str) -> None:
    folder = STATE / name
    state = Path(shutil.copy(folder / "saved.state", tmp_path))
    options = ("--map", folder / "mapping.toml", "--state", state)
    alerts, scores = replayed(tmp_path, MODELS / f"{name}.onnx", folder / "second.csv.gz", *options)
    expect_lines(alerts, unpacked(folder / "alerts.jsonl.gz"))
    expect_lines(scores, unpacked(folder / "scores.csv.gz"))


@pytest.mark.parametrize("name", ["gru_autoencoder", "lstm_forecaster", "rnn_seq2seq"])
def test_a_log_in_two_parts_gives_the_alerts_that_it_gave_then(tmp_path: Path, name: str) -> None:
    """A state that is written and read again today, from the same first part."""
    folder, model, state = STATE / name, MODELS / f"{name}.onnx", tmp_path / "new.state"
    options = ("--map", folder / "mapping.toml", "--state", state)
    tickover("replay", model, folder / "first.csv.gz", *options)
    alerts, scores = replayed(tmp_path, model, folder / "second.csv.gz", *options)
    expect_lines(alerts, unpacked(folder / "alerts.jsonl.gz"))
    expect_lines(scores, unpacked(folder / "scores.csv.gz"))


def test_a_configuration_with_every_key_is_accepted(tmp_path: Path) -> None:
    places = {"/etc/tickover/truck.onnx": HERE / "demo" / "truck.onnx"}
    path = tmp_path / "tickover.toml"
    path.write_text(moved((DAEMON / "complete.toml").read_text(encoding="utf-8"), places), encoding="utf-8")
    tickover("config", "check", path)


def messages() -> list[tuple[str, bytes]]:
    """What is published after the restart: topics and payloads, in order."""
    kept = [json.loads(line) for line in unpacked(DAEMON / "messages.jsonl.gz").splitlines()]
    return [(one["topic"], bytes.fromhex(one["hex"]) if "hex" in one else one["text"].encode()) for one in kept]


def alarms(name: str) -> dict[str, bytes]:
    """Alarm topics that stand at the broker, and their bodies."""
    kept: dict[str, str] = json.loads((DAEMON / f"alarms-at-{name}.json").read_text(encoding="utf-8"))
    return {topic: body.encode() for topic, body in kept.items()}


def standing(retained: dict[str, bytes]) -> dict[str, bytes]:
    """The alarms of detectors among retained topics."""
    return {topic: body for topic, body in sorted(retained.items()) if body and is_alert(body)}


def by_vehicle(body: bytes) -> tuple[str, str, str, int]:
    """Where an alert stands in the kept file: by vehicle, detector and time."""
    event = json.loads(body)
    return event["data"]["vehicle"], event["data"]["detector"], event["time"], event["data"]["sequence"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Continuation:
    """What today's daemon tells on a copy of the store that a killed one left, and on what is published then."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    config = (DAEMON / "tickover.toml").read_text(encoding="utf-8")
    kept = Kept(DAEMON / "state.tar.gz", config, PLACES, base="fleet", node="gateway")
    return go_on(tmp_path_factory.mktemp("daemon"), kept, messages(), unpacked(DAEMON / "alerts.jsonl.gz").splitlines())


def test_the_store_of_a_killed_daemon_goes_on_to_the_same_alerts(found: Continuation) -> None:
    """Vehicles under way, asleep, muted and in the workshop; a journal, open episodes, alerts that had not got out."""
    alerts = sorted(set(found.alerts), key=by_vehicle)
    expect_lines(b"".join(body + b"\n" for body in alerts), unpacked(DAEMON / "alerts.jsonl.gz"))
    for topic, body in found.messages:
        if "/alert/" in topic and is_alert(body):
            vehicle, detector, *_ = by_vehicle(body)
            assert topic == f"fleet/v1/{vehicle}/alert/{detector}"


def test_alarms_stand_at_a_new_broker_as_they_stood_and_end_as_they_did(found: Continuation) -> None:
    assert standing(found.alarms[0]) == alarms("begin")
    assert standing(found.alarms[1]) == alarms("end")


def test_the_store_of_a_killed_daemon_is_read_whole(found: Continuation) -> None:
    assert found.files <= STORE_FILES, "a store was put aside"
    assert not {json.loads(body)["data"]["kind"] for body in found.notices} & TROUBLES


def test_commands_on_the_store_of_a_killed_daemon_are_carried_out(found: Continuation) -> None:
    """They end the modes of before; one asks again for the alerts that were delivered before the kill."""
    answers = {topic: json.loads(body) for topic, body in found.messages if topic.endswith("/response")}
    asked = {topic for topic, _ in messages() if topic.endswith("/request")}
    assert {topic.replace("/request", "/response") for topic in asked} <= answers.keys()
    assert all(answer["ok"] for answer in answers.values()), answers
    assert answers["fleet/v1/van-1/cmd/replay/response"]["result"]["messages"] > 0


def test_status_info_and_health_are_told(found: Continuation) -> None:
    told = {name: [body for topic, body in found.messages if topic == f"{NODE}/{name}"] for name in TOLD}
    states = [json.loads(body)["state"] for body in told["status"]]
    assert (states[0], states[-1]) == ("online", "stopped")
    assert all(isinstance(json.loads(body), dict) for name in TOLD for body in told[name])
    digests = {json.loads(body)["data"]["model_digest"].encode() for body in found.alerts}
    assert len(digests) == len(PLACES)
    assert told["health"]
    assert all(digest in body for digest in digests for body in told["info"])
    assert found.exit_code == 0, found.log

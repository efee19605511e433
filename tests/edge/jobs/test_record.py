"""``tickover record``: what trucks publish ends in per-trip logs that can be read, whatever happens meanwhile."""

import contextlib
import gzip
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import Broker, broker
from tickover.core.values import SECOND, Readings
from tickover.jobs.record import Kind, Recorder
from tickover.jobs.recording import COMMIT_BYTES, Session
from tickover.logs.mapping import parse_mapping
from tickover.logs.reading import read_log
from tickover.logs.trip_files import TripFiles
from tickover.payloads.base import Input
from tickover.payloads.listener import MOST_NAMES, Listener, NamedRow
from tickover.payloads.sparkplug import Payload
from tickover.transports.mqtt.client import Message, MqttClient
from tickover.transports.mqtt.connection import Connection

__all__ = ["broker"]
MAPPING = parse_mapping("[signals.a]\n[signals.b]\n")
T0 = 1_700_000_000 * SECOND
LARGE = 10**9


def read(path: Path) -> Readings:
    """A whole recorded log."""
    counts: Counter[str] = Counter()
    blocks = list(read_log(path, MAPPING, vehicle="v", strict=True, counts=counts, on_bad=print))
    time = np.concatenate([block.time for block in blocks])
    return Readings("v", ("a", "b"), time, np.concatenate([block.values for block in blocks]))


def message(row: int) -> bytes:
    values = {"a": row / 8} if row % 3 else {"a": row / 8, "b": -row}
    return json.dumps({"time": T0 / SECOND + row, **values}).encode()


def start_recorder(broker: Broker, out: Path, *options: str) -> subprocess.Popen[str]:
    """A recorder that has subscribed."""
    command = [sys.executable, "-m", "tickover", "record", "--broker", broker.address, "--out", str(out), *options]
    seen = broker.log.count("as tickover-record")
    recorder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while broker.log.count("as tickover-record") == seen and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    return recorder


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_what_is_published_is_what_is_read_one_file_per_trip(broker: Broker, tmp_path: Path, kind: str) -> None:
    recorder = start_recorder(broker, tmp_path / "out", "--as", kind, "--gap", "100")
    rows = [*range(50), *range(500, 3_500)]
    with MqttClient(Connection(host=broker.host, port=broker.port)) as client:
        client.publish("trucks/van/signals", message(99_999), retain=True)
        for row in rows:
            client.publish("trucks/van/signals", message(row))
        client.publish("trucks/van/signals", b"no json")
        client.publish("trucks/van/signals", b'{"time": 1700000100, "a": "text"}')
        assert client.drain(10)
    recorder.send_signal(signal.SIGTERM)
    _, said = recorder.communicate(timeout=15)
    assert recorder.returncode == 0, said
    assert "bad_json 1" in said
    assert 'refused a message topic=trucks/van/signals payload="no json": bad_json: ' in said
    files = sorted((tmp_path / "out" / "van").glob(f"*.{kind}.gz"))
    trips = [read(path) for path in files][:2]
    assert [len(trip.time) for trip in trips] == [50, 3_000]
    assert np.concatenate([trip.time for trip in trips]).tolist() == [T0 + row * SECOND for row in rows]
    assert trips[0].values[:4].tolist()[0] == [0.0, 0.0]
    assert np.array_equal(trips[1].values[:, 1], [np.nan if row % 3 else -row for row in rows[50:]], equal_nan=True)


def test_an_ended_session_is_forgotten_and_what_was_acknowledged_does_not_come_again(broker: Broker) -> None:
    here = Connection(host=broker.host, port=broker.port)
    with MqttClient(here) as sender:
        for kept in (True, False):
            with MqttClient(here, client_id="reader", session_s=600, acknowledge=False) as client:
                client.subscribe("t")
                for number in range(30):
                    sender.publish("t", str(number).encode())
                for number in range(20):
                    message = client.receive(5)
                    assert message is not None
                    assert int(message.payload) == number
                    client.ack(message)
                if not kept:
                    client.end_session()
            with MqttClient(here, client_id="reader", session_s=600) as client:
                assert client.session_present == kept
                left = iter(lambda client=client: client.receive(0.5), None)
                assert [int(message.payload) for message in left] == (list(range(20, 30)) if kept else [])


@pytest.mark.slow
class Source:
    """Gives messages to a session, and remembers when each was acknowledged."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages, self.given, self.acknowledged = messages, 0, dict[int, int]()
        self.session: Session | None = None

    def receive(self, timeout_s: float) -> Message | None:
        if self.given == len(self.messages):
            assert self.session
            self.session.stop(0, None)
            return None
        self.given += 1
        return self.messages[self.given - 1]

    def ack(self, message: Message) -> None:
        self.acknowledged[message.number] = self.given


def test_large_messages_are_on_disk_soon(tmp_path: Path) -> None:
    """Not 5,000 of them later: what a crash may lose, and memory, are bounded in bytes."""
    body = json.dumps({"time": 1_700_000_000, "rpm": 1, "x": "y" * 60_000}).encode()
    source = Source([Message("trucks/t1/signals", body, False, 1, number) for number in range(200)])
    listener = Listener([Input(topic="trucks/{vehicle}/signals", time="time")])
    recorder = Recorder(TripFiles(tmp_path, LARGE), "jsonl", 60, LARGE)
    source.session = Session(source, listener, recorder, tell=lambda: None, removed=print)
    source.session.run()
    late = {number: at - number for number, at in source.acknowledged.items()}
    assert sorted(late) == [*range(200)]
    assert max(late.values()) <= COMMIT_BYTES // len(body) + 2


def test_a_killed_recorder_leaves_readable_files_and_the_next_one_gets_the_rest(broker: Broker, tmp_path: Path) -> None:
    """SIGKILL three times while 16,000 messages come: every reading is on disk at the end, some perhaps twice."""
    out, number = tmp_path / "out", 16_000
    recorder = start_recorder(broker, out)
    with MqttClient(Connection(host=broker.host, port=broker.port)) as client:
        for row in range(number):
            client.publish("trucks/van/signals", message(row))
            if row in (2_000, 8_000, 14_000):
                recorder.kill()
                recorder.wait()
                for path in out.glob("*/*.gz"):
                    gzip.decompress(path.read_bytes())
                recorder = start_recorder(broker, out)
        assert client.drain(10)
    time.sleep(1)
    recorder.send_signal(signal.SIGINT)
    _, said = recorder.communicate(timeout=15)
    assert recorder.returncode == 0, said
    found = np.concatenate([read(path).time for path in out.glob("van/*.gz")])
    assert set(found.tolist()) == {T0 + row * SECOND for row in range(number)}


FORMATS = {
    "json": (
        Input(topic="t/{vehicle}", time="time"),
        {"vehicle": "v"},
        b'{"time": 1700000005, "a": 1, "b": 2.5, "id": "x"}',
    ),
    "nested": (
        Input(topic="t", vehicle_field="truck", time="at", time_unit="ms", values="v"),
        {},
        b'{"truck": "v", "at": 1700000005000, "v": {"a": 1, "b": 2.5}}',
    ),
    "json_batch": (
        Input(topic="t/{vehicle}", format="json_batch", time="time"),
        {"vehicle": "v"},
        b'[{"time": 1700000005, "a": 1, "b": 2.5}, {"time": 1700000006, "a": 2}]',
    ),
    "value": (
        Input(topic="t/{vehicle}/{signal}", format="value", time="time"),
        {"vehicle": "v", "signal": "a"},
        b'{"time": 1700000005, "value": 1}',
    ),
    "sparkplug_b": (
        Input(topic="spBv1.0/+/{kind}/{vehicle}", format="sparkplug_b"),
        {"kind": "NBIRTH", "vehicle": "v"},
        Payload(
            timestamp=1_700_000_005_000,
            metrics=[
                {"name": "a", "datatype": 9, "float_value": 1},
                {"name": "b", "datatype": 10, "double_value": 2.5},
                {"name": "bdSeq", "datatype": 8, "long_value": 3},
            ],
        ).SerializeToString(),
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_payload_format_is_heard_without_naming_its_signals(name: str) -> None:
    spec, fields, payload = FORMATS[name]
    topic = spec.topic
    for key, value in fields.items():
        topic = topic.replace(f"{{{key}}}", value)
    listener = Listener([Input(topic="other/{vehicle}"), spec])
    rows = listener.rows(topic.replace("+", "group"), payload, arrival=7)
    assert rows[0].vehicle == "v"
    assert rows[0].time == T0 + 5 * SECOND
    assert rows[0].values["a"] == 1.0
    assert rows[0].values.get("b") == (None if name == "value" else 2.5)
    assert set(listener.columns) <= {"a", "b"}


def named(vehicle: str, number: int, names: int) -> bytes:
    return json.dumps({"time": T0 / SECOND, **{f"{vehicle}-{number}-{place}": 1 for place in range(names)}}).encode()


def test_a_truck_with_more_signals_than_a_model_can_have_costs_itself_alone(tmp_path: Path) -> None:
    """One that invents names without end keeps no other's out, neither of memory nor of the files."""
    listener = Listener([Input(topic="t/{vehicle}", time="time")])
    recorder = Recorder(TripFiles(tmp_path, LARGE), "jsonl", gap_s=60, file_bytes=LARGE)
    for number in range(12):
        for vehicle, payload in (("bad", named("bad", number, 600)), ("good", named("good", 0, 300))):
            for row in listener.rows(f"t/{vehicle}", payload, arrival=0):
                recorder.add(row)
        assert len(listener.columns) <= MOST_NAMES
    recorder.commit()
    written = {path.parent.name: gzip.decompress(path.read_bytes()).splitlines() for path in tmp_path.glob("*/*.gz")}
    assert [len(json.loads(line)) for line in written["good"]] == [301] * 12
    assert len({name for line in written["bad"] for name in json.loads(line)}) == 513
    assert (recorder.counts["too_many_signals"], recorder.over) == (12 * 600 - 512, {"bad"})
    assert listener.counts["names_forgotten"] > 0


def test_vehicles_beyond_the_bound_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickover.jobs.record.MOST_VEHICLES", 2)
    recorder = Recorder(TripFiles(tmp_path, LARGE), "jsonl", gap_s=60, file_bytes=LARGE)
    for vehicle in "abcab":
        recorder.add(NamedRow(vehicle, T0, {"x": 1.0}))
    assert (recorder.vehicles, recorder.counts) == (2, Counter(too_many_vehicles=1))


def test_a_truck_that_writes_without_end_removes_its_own_files_alone(tmp_path: Path) -> None:
    quiet = [NamedRow("quiet", T0 + trip * 3600 * SECOND, {"a": 1}) for trip in range(3)]
    loud = [NamedRow("loud", T0 + trip * 3600 * SECOND, {"a": trip}) for trip in range(60)]
    write(tmp_path, "jsonl", [*quiet, *loud], total=3_000)
    assert len(list(tmp_path.glob("quiet/*"))) == 3
    assert 2 < len(list(tmp_path.glob("loud/*"))) < 60


def write(folder: Path, kind: Kind, rows: list[NamedRow], *, total: int = LARGE, file_bytes: int = LARGE) -> TripFiles:
    files = TripFiles(folder, total)
    recorder = Recorder(files, kind, gap_s=60, file_bytes=file_bytes)
    for row in rows:
        recorder.add(row)
        recorder.commit()
    return files


def test_the_oldest_files_go_when_the_folder_is_full(tmp_path: Path) -> None:
    rows = [NamedRow("v", T0 + trip * 3600 * SECOND + row, {"a": row}) for trip in range(20) for row in range(5)]
    files = write(tmp_path, "jsonl", rows, total=3_000)
    left = sorted(path.name for path in tmp_path.glob("v/*"))
    assert sum(path.stat().st_size for path in tmp_path.glob("v/*")) <= 3_000
    assert files.counts["removed_files"] == 20 - len(left)
    assert 2 < len(left) < 15
    assert read(tmp_path / "v" / left[-1]).time[0] == T0 + 19 * 3600 * SECOND


def test_a_long_trip_is_split_by_size_and_keeps_every_row(tmp_path: Path) -> None:
    rows = [NamedRow("v", T0 + row * SECOND, {"a": row}) for row in range(50)]
    write(tmp_path, "csv", rows, file_bytes=500)
    files = list(tmp_path.glob("v/*"))
    assert len(files) > 2
    assert {time for path in files for time in read_a(path)} == {row.time for row in rows}


def read_a(path: Path) -> list[int]:
    only_a = parse_mapping("[signals.a]\n")
    blocks = read_log(path, only_a, vehicle="v", strict=True, counts=Counter(), on_bad=print)
    return [time for block in blocks for time in block.time.tolist()]


def test_a_signal_that_appears_later_begins_a_new_csv_file(tmp_path: Path) -> None:
    write(
        tmp_path, "csv", [NamedRow("v", T0, {"a": 1}), NamedRow("v", T0 + 1, {"b": 2}), NamedRow("v", T0 + 2, {"a": 3})]
    )
    assert len(list(tmp_path.glob("v/*"))) == 2


def test_a_vehicles_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    names = ["..", ".", "...x", "a b", "a\\b", "\u202e"]
    write(tmp_path / "out", "jsonl", [NamedRow(name, T0, {"a": 1}) for name in names])
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert len(list((tmp_path / "out").glob("*/*.jsonl.gz"))) == len(names)


@settings(max_examples=40)
@given(st.data())
def test_a_torn_end_is_cut_off_at_the_next_start(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("torn")
    write(folder, "jsonl", [NamedRow("v", T0 + row, {"a": row}) for row in range(8)])
    [path] = folder.glob("v/*")
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))] + data.draw(st.sampled_from([b"", b"\0" * 9])))
    TripFiles(folder, LARGE)
    kept = gzip.decompress(path.read_bytes()) if path.exists() else b""
    assert kept or not path.exists()
    assert gzip.decompress(whole).startswith(kept)
    assert kept.endswith(b"\n") or not kept


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "jsonl", [NamedRow("v", T0, {"a": 1})])
    [path] = tmp_path.glob("v/*")
    before = path.read_bytes()
    files = TripFiles(tmp_path, LARGE)
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with contextlib.suppress(OSError):
        files.append(path, b"more")
    assert path.read_bytes() == before

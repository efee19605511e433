"""MF4: real loggers' files by their counts, and files of every layout against asammdf."""

import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import can_files
import mf4_files
from tickover.errors import LogError
from tickover.logs.bus_survey import survey
from tickover.logs.inspection import look, propose_mapping
from tickover.payloads.can.frames import EXTENDED

CSS = can_files.shared("TICKOVER_CAN_CSS", "can/css")
J1939 = can_files.shared("TICKOVER_J1939", "data/j1939")
COUNTS = {
    "obd_7512BE4D_cut.MF4": 46_658,
    "truck_idle_11111111_cut.MF4": 25_733,
    "truck_standing_tp_FCBF0606.MF4": 1_815,
    "ev_uds_tx_rx_2F6913DB_1.MF4": 4_024,
}
"""CAN frames as asammdf counts them."""


@pytest.mark.parametrize("name", COUNTS)
def test_a_loggers_file_has_all_its_frames(name: str) -> None:
    frames, _, told = can_files.frames_of(CSS / name)
    assert len(frames) == COUNTS[name]
    cut = "_cut" in name
    assert len(told) == cut
    assert not cut or "cut short" in told[0]


def test_an_idling_truck_without_a_dbc() -> None:
    seen = survey([CSS / "truck_idle_11111111_cut.MF4"], can_files.layout()).columns()["engine_speed"]
    assert 646 <= seen.low <= seen.high <= 654
    assert (seen.signal.spn, str(seen.origin)) == (190, "00")


def test_a_moving_car_answers_obd_and_its_identification_is_no_signal() -> None:
    mapping, findings = look([CSS / "obd_7512BE4D_cut.MF4"])
    bus = findings.bus
    assert bus is not None
    columns = bus.columns()
    ranges = {"obd_engine_speed": (0, 2_957), "obd_vehicle_speed": (0, 82), "obd_coolant_temperature": (21, 98)}
    for name, (low, high) in ranges.items():
        assert round(columns[name].low) == low
        assert int(columns[name].high) == high
        assert 6.5 < columns[name].interval_s < 7.5
        assert mapping.signals[name].hold_s > 20
    assert bus.vehicles
    assert all(name.startswith("obd_") for name in mapping.signals)


def test_packets_of_a_truck_are_a_signal_of_the_dbc() -> None:
    seen = survey([CSS / "truck_standing_tp_FCBF0606.MF4"], can_files.layout(CSS / "tp_j1939.dbc"))
    (track,) = seen.columns().values()
    assert track.column == "EngineSpeedAtPoint5"
    texts = 3
    assert track.readings == seen.counts["transport completed"] - texts == 13


def test_a_parked_truck_is_constant_and_nothing_to_learn() -> None:
    log = can_files.layout(J1939 / "CSS-Electronics-SAE-J1939-DEMO.dbc")
    path = J1939 / "00000001.MF4"
    _, findings = look([path], layout=log)
    bus = findings.bus
    assert bus is not None
    assert (bus.frames, bus.counts["decoded_frames"]) == (150_411, 7_986)
    assert {name: (one.readings, one.constant) for name, one in bus.columns().items()} == {
        "EngineSpeed": (3_993, True),
        "WheelBasedVehicleSpeed": (3_993, True),
    }
    with pytest.raises(LogError, match=r"expected a signal that changes; all are constant .*EngineSpeed \(0\)"):
        propose_mapping([path], layout=log)


WRITE = """
import struct, sys, can
with can.Logger(sys.argv[1]) as writer:
    for k in range(3000):
        writer(can.Message(
            timestamp=1764480000 + k * 0.01,
            arbitration_id=0x18FEF100 + k % 3 if k % 2 else 0x100 + k % 5,
            is_extended_id=bool(k % 2),
            data=struct.pack("<Q", k)[: 8 - k % 3],
            channel=1,
        ))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of both widths and several lengths, by python-can's writer.

    In a process of its own: where a DBC was read before, python-can was imported without asammdf.
    """
    pytest.importorskip("asammdf")
    path = tmp_path_factory.mktemp("mf4") / "a.mf4"
    subprocess.run([sys.executable, "-c", WRITE, str(path)], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("compression", [0, 1, 2])
def test_plain_deflated_and_transposed_data_say_the_same(written: Path, compression: int, tmp_path: Path) -> None:
    asammdf = pytest.importorskip("asammdf")
    path = tmp_path / "b.mf4"
    with asammdf.MDF(written) as file:
        file.configure(write_fragment_size=16_384)
        file.save(path, compression=compression)
    frames, _, told = can_files.frames_of(path)
    assert told == []
    assert len(frames) == 3_000
    for k in (0, 1, 2, 1_499, 2_999):
        assert bytes(frames.data[k][: frames.length[k]]) == struct.pack("<Q", k)[: 8 - k % 3]
        assert bool(int(frames.key[k]) & EXTENDED) == bool(k % 2)
    assert (np.abs(np.diff(frames.time) - 10_000) <= 1).all()


def test_channels_that_are_decoded_already_are_rows(tmp_path: Path) -> None:
    asammdf = pytest.importorskip("asammdf")
    path, start = tmp_path / "decoded.mf4", 1_709_251_200
    with asammdf.MDF(version="4.10") as file:
        file.start_time = datetime.fromtimestamp(start, UTC)
        seconds = np.array([0, 1, 2.5, 4])
        file.append([asammdf.Signal(np.array([850, 851.25, 1, 2]), seconds, name="Engine", unit="rpm")])
        file.append([asammdf.Signal(np.array([1, 2, 3], np.int16), np.array([0, 2, 3.0]), name="T", unit="°C")])
        file.save(path)
    found, counts, told = can_files.readings(path, ["Engine", "T"], can_files.layout())
    assert found["Engine"] == {start: 850, start + 1: 851.25, start + 2.5: 1, start + 4: 2}
    assert found["T"] == {start: 1, start + 2: 2, start + 3: 3}
    assert (counts["bad_rows"], told) == (0, [])
    mapping, findings = look([path])
    assert {name: rules.unit for name, rules in mapping.signals.items()} == {"Engine": "rpm", "T": "°C"}
    assert findings.bus is None


def test_a_finalized_file_cut_before_its_index_is_refused(written: Path, tmp_path: Path) -> None:
    data = written.read_bytes()
    path = tmp_path / "c.mf4"
    for size in (70, 200, 700):
        path.write_bytes(data[:size])
        with pytest.raises(LogError, match="cut: its index is missing"):
            can_files.frames_of(path)


def test_an_unfinalized_file_goes_on_behind_an_old_length_of_its_data(tmp_path: Path) -> None:
    name = "truck_standing_tp_FCBF0606.MF4"
    data = bytearray((CSS / name).read_bytes())
    at = data.rindex(b"##DT")
    for length in (24, 24 + 20_000):
        data[at + 8 : at + 16] = struct.pack("<Q", length)
        data[:8] = b"UnFinMF "
        (tmp_path / name).write_bytes(data)
        frames, _, _ = can_files.frames_of(tmp_path / name)
        assert len(frames) == COUNTS[name]


@pytest.mark.parametrize("kind", [b"##DT", b"##LD"])
def test_payloads_apart_from_records_lie_where_the_records_say(kind: bytes, tmp_path: Path) -> None:
    payloads = [bytes((k & 255,)) * (1 + k % 8) for k in range(300)]
    places, block = [], b""
    for k, payload in enumerate(payloads):
        block += bytes(3) if k % 7 == 0 else b""  # what no record names lies in between
        places.append(len(block))
        block += struct.pack("<L", len(payload)) + payload
    frames, _, told = can_files.frames_of(mf4_files.vlsd(tmp_path / "a.mf4", places, block, kind))
    assert [bytes(d[:n]) for d, n in zip(frames.data, frames.length, strict=True)] == payloads
    assert told == []
    assert int(frames.time[-1] - frames.time[0]) == 299_000
    wrong = [*places[:100], len(block) + 50, 1 << 40, *places[102:]]
    frames, counts, told = can_files.frames_of(mf4_files.vlsd(tmp_path / "b.mf4", wrong, block, kind))
    assert len(told) == counts["bad_rows"] == 1
    assert "2 frames are lost" in told[0]
    kept = [*payloads[:100], *payloads[102:]]
    assert [bytes(d[:n]) for d, n in zip(frames.data, frames.length, strict=True)] == kept


def test_damaged_files_end_in_frames_or_one_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    data = (CSS / "truck_standing_tp_FCBF0606.MF4").read_bytes()
    path = tmp_path / "d.mf4"
    for _ in range(60):
        broken = bytearray(data)
        # Most of the file is records: half of the damage goes to the blocks in front of them.
        for at in rng.integers(0, len(broken) if rng.random() < 0.5 else 16_000, 3).tolist():
            broken[at : at + 8] = rng.bytes(8)
        path.write_bytes(broken)
        refused(path)


def refused(path: Path) -> str:
    try:
        can_files.frames_of(path)
    except LogError as error:
        assert str(error).startswith(str(path))  # noqa: PT017
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"MDF     3.30    ".ljust(64, b"\0"), "expected MDF version 4, got version 3.30"),
        (b"Generic File    ".ljust(64, b"\0"), "encrypted or compressed"),
        (b"", "empty file"),
        (b"MDF     4.10", "cut"),
    ],
)
def test_other_files_are_refused_by_name(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "e.mf4").write_bytes(content)
    assert words in refused(tmp_path / "e.mf4")

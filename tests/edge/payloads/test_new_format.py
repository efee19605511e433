"""A payload format that is one file and one line of the registry works in the daemon and in ``record``, unchanged."""

from collections import Counter
from pathlib import Path

import pytest

from key_value_payload import KeyValue
from tickover.daemon.config import Vehicles, load_config
from tickover.daemon.intake import Intake
from tickover.errors import ConfigError
from tickover.jobs.record import Recorder
from tickover.logs.trip_files import TripFiles
from tickover.payloads.base import Input, PayloadError
from tickover.payloads.listener import Listener
from tickover.payloads.registry import FORMATS
from tickover.transports.base import Received

SPEC = Input(topic="plant/{depot}/{vehicle}", format="key_value", signals={"N": "rpm"})


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "key_value", "key_value_payload:KeyValue")


def incoming(topic: str, payload: bytes) -> Received:
    return Received(topic, payload, 18 * 10**14, None)


def test_the_daemon_takes_it_in_asks_its_senders_and_overhears_its_neighbours() -> None:
    intake = Intake([SPEC], ("coolant", "rpm"), Vehicles(), lambda _: False)
    assert intake.filters == ["plant/+/+", "plant/+/+/ask"]
    assert intake.take(incoming("plant/north/t1", b"1700000017.5;N=812.5;oil=3"), synced=False) is None
    assert intake.take(incoming("plant/north/t1", b"junk"), synced=False) == "bad_pairs"
    assert intake.take(incoming("plant/north/t1/ask", b""), synced=False) is None
    (rows,) = intake.drain()
    time, values = rows.arrays(2)
    assert (rows.vehicle, time.tolist(), values[0, 1]) == ("t1", [1_700_000_017_500_000], 812.5)
    assert intake.counts == Counter(rows=1, unknown_signal=1, bad_pairs=1, overheard=1)

    intake.take(incoming("plant/north/t2", b";N=1"), synced=False)
    ((topic, body),) = intake.requester.due(1000.0)
    assert (topic, body(5)) == ("plant/north/t2/ask", b"time at 5")
    intake.take(incoming("plant/north/t2", b";N=1"), synced=False)
    assert intake.requester.due(1020.0) == []
    assert [topic for topic, _ in intake.requester.due(1030.0)] == ["plant/north/t2/ask"]


def test_it_is_recorded_under_the_models_names(tmp_path: Path) -> None:
    listener = Listener([SPEC])
    recorder = Recorder(TripFiles(tmp_path, 10**9), "jsonl", gap_s=60, file_bytes=10**9)
    for payload in (b"1700000017.5;N=812.5", b"1700000018.5;N=813;coolant=88", b"junk"):
        for row in listener.rows("plant/north/t1", payload, arrival=0):
            recorder.add(row)
    assert [*listener.columns] == ["rpm", "coolant"]
    assert listener.counts == Counter(rows=2, bad_pairs=1)
    recorder.commit()
    assert len([*tmp_path.glob("t1/*.jsonl.gz")]) == 1


def test_a_decoder_that_cannot_name_the_signals_ends_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(decoder: KeyValue, fields: object, payload: bytes) -> list[str]:
        raise PayloadError("bad_pairs")

    monkeypatch.setattr(KeyValue, "names", refuse)
    listener = Listener([SPEC])
    assert listener.rows("plant/north/t1", b"1700000017.5;N=812.5", arrival=0) == []
    assert listener.counts == Counter(rows=1, unknown_signal=1)


def test_a_configuration_may_name_it_and_its_own_fields_and_a_wrong_table_is_refused(tmp_path: Path) -> None:
    assert SPEC.problem() is None
    assert "expected no time key" in (Input(topic="t/{vehicle}", format="key_value", time="t").problem() or "")
    assert "{depot}" in (Input(topic="t/{depot}/{vehicle}").problem() or "")
    path = tmp_path / "tickover.toml"
    text = (
        '[broker]\nclient_id = "x"\n[state]\nfolder = "s"\n[[models]]\npath = "m.onnx"\n'
        '[[inputs]]\ntopic = "t/{vehicle}"\nformat = "%s"\n'
    )
    path.write_text(text % "key_value")
    assert load_config(path).inputs[0].format == "key_value"
    path.write_text(text % "xml")
    with pytest.raises(ConfigError) as refusal:
        load_config(path)
    known = "json, json_batch, json_by_vehicle, value, influx_line, senml, csv, ruuvi, sparkplug_b, key_value"
    assert str(refusal.value) == f"{path}: inputs[0]: format: expected {known}, got 'xml'"

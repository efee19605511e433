"""Trouble codes as labels, and the mapping of a recording through its TOML text."""

from collections import Counter
from pathlib import Path

import pytest

import can_files
import reported
from tickover.core.values import SECOND
from tickover.errors import ConfigError, LogError
from tickover.logs.bus_codes import active_codes
from tickover.logs.inspection import propose_mapping
from tickover.logs.mapping import parse_mapping
from tickover.logs.reading import read_log
from tickover.payloads.can.told_codes import ToldCode
from tickover.payloads.can.trouble_codes import ActiveCodes, SpnMethod, diagnosis
from tickover_train.evaluation.code_labels import split_by_codes

START = 1_764_480_000
SECONDS = 60


def recording(path: Path, faulty: range = range(0)) -> Path:
    """A minute of engine speed at 10 Hz and a DM1 each second, with SPN 110 FMI 0 in the seconds ``faulty``."""
    lines = []
    for tenth in range(10 * SECONDS):
        time, raw = START + tenth / 10, 5200 + (tenth * 37) % 400
        lines.append(f"({time:.6f}) can0 0CF00400#F07D7D{raw & 255:02X}{raw >> 8:02X}FFFFFF")
        if tenth % 10 == 0:
            code = "6E000001" if tenth // 10 in faulty else "00000000"
            lines.append(f"({time + 0.05:.6f}) can0 18FECA00#40FF{code}FFFF")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_ticks_with_an_active_code_are_labelled_and_other_recordings_are_clean(tmp_path: Path) -> None:
    clean, faulty = recording(tmp_path / "clean.log"), recording(tmp_path / "faulty.log", range(20, 31))
    mapping, _ = propose_mapping([clean])
    left, labelled = split_by_codes([clean, faulty], mapping, Counter(), print)
    assert left == [clean]
    (trip,) = labelled
    # The first DM1 with the code comes at 20.05 s, the first without it at 31.05 s.
    assert [second for second, marked in enumerate(trip.labels.tolist()) if marked] == list(range(20, 32))


def test_recordings_must_be_of_both_kinds(tmp_path: Path) -> None:
    clean, faulty = recording(tmp_path / "clean.log"), recording(tmp_path / "faulty.log", range(20, 31))
    mapping, _ = propose_mapping([clean])
    with pytest.raises(ConfigError, match="expected a recording with an active trouble code"):
        split_by_codes([clean], mapping, Counter(), print)
    with pytest.raises(ConfigError, match="expected recordings without active codes"):
        split_by_codes([faulty], mapping, Counter(), print)
    (tmp_path / "rows.csv").write_text("time,engine_speed\n0,1\n")
    with pytest.raises(LogError, match="expected a recording of a CAN bus"):
        split_by_codes([tmp_path / "rows.csv"], mapping, Counter(), print)


def test_a_source_that_falls_silent_holds_its_code_for_three_seconds() -> None:
    codes = ActiveCodes()
    held = bytes.fromhex("40FF6E000001FFFF")
    for second in (0, 1, 2, 10, 11):
        message = diagnosis("DM1", second * 1_000_000, 0, held)
        assert message is not None
        codes.take(message)
    codes.finish(11_500_000)
    assert [(span.start, span.end) for span in codes.spans] == [(0, 5_000_000), (10_000_000, 11_500_000)]


@pytest.mark.parametrize(
    ("spn_method", "code"),
    [
        (0, (0x53412, 9, 3, 1)),
        (1, (0x12 << 11 | 0x34 << 3 | 5, 9, 3, 0)),
        (2, (0x34 << 11 | 0x12 << 3 | 5, 9, 3, 0)),
        (3, (0x53412, 9, 3, 0)),
    ],
)
def test_conversion_method_1_is_read_as_it_is_said_to_be(spn_method: SpnMethod, code: tuple) -> None:
    message = diagnosis("DM1", 0, 0, bytes.fromhex("04FF1234A983FFFF"), spn_method=spn_method)
    assert message is not None
    assert message.codes == (code,)
    today = diagnosis("DM1", 0, 0, bytes.fromhex("04FF1234A903FFFF"), spn_method=spn_method)
    assert today is not None
    assert today.codes == ((0x53412, 9, 3, 0),)


def test_a_code_whose_spn_is_open_is_no_label_until_it_is_said(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.log", range(20, 31))
    path.write_text(path.read_text().replace("6E000001", "6E000081"))
    assert active_codes(path, can_files.layout()) == []
    (span,) = active_codes(path, can_files.layout(spn_method=3))
    assert span.code[:2] == (110, 0)


def test_a_replay_hears_the_codes_and_the_report_shows_them(tmp_path: Path) -> None:
    path = recording(tmp_path / "faulty.log", range(20, 31))
    with path.open("a") as file:
        file.write(f"({START + SECONDS}.500000) can0 7E8#0643020171420400\n")
    heard: list[ToldCode] = []
    mapping = parse_mapping("[signals.engine_speed]\n")
    blocks = read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=print, on_codes=heard.extend)
    assert sum(len(block.time) for block in blocks) == 10 * SECONDS
    assert [(code.sender, code.code, code.words, code.messages) for code in heard] == [
        ("source 00", "SPN 110 FMI 0", "engine coolant temperature: above normal, most severe", 11),
        ("ECU E8", "C0204", "stored", 1),
        ("ECU E8", "P0171", "stored", 1),
    ]
    assert (heard[0].start, heard[0].end) == ((START + 20) * SECOND + 50_000, (START + 31) * SECOND + 50_000)
    assert heard[0].lamps == ("MIL",)
    pytest.importorskip("plotly")
    from tickover.report import Report

    report = Report(reported.manifest(("engine_speed",), ("fast",)))
    report.add_codes("v", heard)
    page = report.html()
    assert "<b>SPN 110 FMI 0</b>" in page
    assert page.index("2025-11-30 05:20:20") < page.index("engine coolant temperature") < page.index("P0171")


@pytest.mark.parametrize("word", ["00000000", "FFFFFFFF"])
def test_no_code_is_no_code(word: str) -> None:
    message = diagnosis("DM1", 0, 0, bytes.fromhex(f"00FF{word}FFFF"))
    assert message is not None
    assert message.codes == ()


@pytest.mark.parametrize("names", ["dbc", "ours", "vss"])
def test_a_proposed_mapping_reads_the_recording_it_was_made_for(names: str, tmp_path: Path) -> None:
    path = recording(tmp_path / "a.log")
    mapping, findings = propose_mapping([path], layout=can_files.layout(names=names))
    (name,) = mapping.names
    assert name == ("Vehicle.Powertrain.CombustionEngine.Speed" if names == "vss" else "engine_speed")
    again = parse_mapping(mapping.to_toml())
    assert again == mapping
    rules = again.signals[name]
    assert (rules.spn, rules.aggregation, rules.unit) == (190, "mean", "rpm")
    assert rules.vss == "Vehicle.Powertrain.CombustionEngine.Speed"
    found, _, _ = can_files.readings(path, [name], again.log)
    assert len(found[name]) == 10 * SECONDS == findings.signals[name].readings

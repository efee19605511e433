"""Signals of several sources and of several buses: which is which, and which one is read."""

from collections import Counter
from pathlib import Path

import pytest

import can_files
from tickover.logs.bus_survey import survey
from tickover.logs.inspection import look, propose_mapping
from tickover.logs.mapping import parse_mapping
from tickover.logs.reading import read_log
from tickover.payloads.can.decoder import Origin, split_column
from tickover.payloads.can.frames import EXTENDED, of_payloads
from tickover.payloads.can.interpreter import Interpreter
from tickover.payloads.can.selection import Selection, Wanted
from tickover.payloads.can.shipped import shipped_catalogue
from tickover.payloads.can.trouble_codes import Code

START = 1_764_480_000


def speed(time: float, bus: str, source: int, raw: int) -> str:
    return f"({START + time:.6f}) {bus} 18FEF1{source:02X}#FF{raw & 255:02X}{raw >> 8:02X}FFFFFFFFFF"


def two_buses(path: Path) -> Path:
    """Source 00 with other speeds on each of two buses, source 0B on one of them."""
    lines = []
    for k in range(40):
        lines += [speed(k, "can0", 0, 256 * (k + 1)), speed(k + 0.1, "can1", 0, 256 * (k + 100))]
        lines.append(speed(k + 0.2, "can1", 0x0B, 256 * (k + 50)))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_one_source_on_two_buses_is_two_signals(tmp_path: Path) -> None:
    path = two_buses(tmp_path / "a.log")
    seen = survey([path], can_files.layout()).columns()
    assert set(seen) == {"vehicle_speed@00-can0", "vehicle_speed@00-can1", "vehicle_speed@0B"}
    found, _, _ = can_files.readings(path, list(seen), can_files.layout())
    ranges = {name: (min(one.values()), max(one.values())) for name, one in found.items()}
    assert ranges == {
        "vehicle_speed@00-can0": (1, 40), "vehicle_speed@00-can1": (100, 139), "vehicle_speed@0B": (50, 89),
    }  # fmt: skip


def test_a_proposed_mapping_of_two_buses_reads_both(tmp_path: Path) -> None:
    path = two_buses(tmp_path / "a.log")
    mapping, _ = propose_mapping([path])
    assert parse_mapping(mapping.to_toml()) == mapping
    found, counts, _ = can_files.readings(path, list(mapping.columns), mapping.log)
    assert all(len(one) == 40 for one in found.values())
    assert not any("other source" in reason for reason in counts)


def test_the_mapping_pins_a_bus(tmp_path: Path) -> None:
    path = two_buses(tmp_path / "a.log")
    text = '[signals.speed]\ncolumn = "vehicle_speed"\nsource = 0\nchannel = "can1"\n'
    blocks = list(read_log(path, parse_mapping(text), vehicle="v", counts=Counter(), on_bad=print))
    assert sorted(float(v) for block in blocks for v in block.values[:, 0]) == [100 + k for k in range(40)]


def test_what_is_left_out_of_other_sources_is_a_note_and_no_bad_row(tmp_path: Path) -> None:
    path = two_buses(tmp_path / "a.log")
    bad: list[str] = []
    notes: list[str] = []
    mapping = parse_mapping("[signals.vehicle_speed]\n")
    list(read_log(path, mapping, vehicle="v", counts=Counter(), on_bad=bad.append, on_note=notes.append))
    assert bad == []
    assert notes == [
        f"{path}: signal vehicle_speed: source 00-can0 is read; source {other} has values of its own, "
        f"left out: map vehicle_speed@{other} to a signal to read it"
        for other in ("00-can1", "0B-can1")
    ]


def test_a_signal_of_one_bus_has_no_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(
        "\n".join(speed(k, ("can0", "can1")[k % 2], k % 2, 0xFFFF if k % 2 else k) for k in range(20)) + "\n"
    )
    assert set(survey([path], can_files.layout()).columns()) == {"vehicle_speed"}


def test_a_code_on_one_bus_is_not_ended_by_the_same_source_on_another(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    lines = []
    for k in range(10):
        lines.append(f"({START + k}.000000) can0 18FECA00#40FF6E000001FFFF")
        lines.append(f"({START + k}.500000) can1 18FECA00#00FF00000000FFFF")
    path.write_text("\n".join(lines) + "\n")
    (span,) = survey([path], can_files.layout()).codes.spans
    assert (span.bus, span.code[:2], span.messages) == ("can0", Code(110, 0, 1)[:2], 10)


@pytest.mark.parametrize(
    ("column", "name", "origin"),
    [
        ("Speed", "Speed", Origin()),
        ("Speed@0B", "Speed", Origin(11)),
        ("Tire@33.10", "Tire", Origin(0x33, 0x10)),
        ("Speed@00-can1", "Speed", Origin(0, bus="can1")),
        ("Speed@can1", "Speed", Origin(bus="can1")),
        ("Speed@-be", "Speed", Origin(bus="be")),
        ("Speed@-my-bus", "Speed", Origin(bus="my-bus")),
    ],
)
def test_columns_name_source_location_and_bus(column: str, name: str, origin: Origin) -> None:
    assert split_column(column) == (name, origin)
    assert f"{name}@{origin.with_bus}".rstrip("@").upper() == column.upper()


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_the_first_source_with_a_value_is_read_however_frames_come(size: int) -> None:
    # Source 0B has the first value; the identifiers of 00 and 03 are smaller, and their values come later.
    sources = [0x31, 0x0B, 0x03, 0x00] * 25
    payloads = [
        bytes((0xFF, 0xFF if s == 0x31 else k, 0xFF if s == 0x31 else s, *[255] * 5)) for k, s in enumerate(sources)
    ]
    counts: Counter[str] = Counter()
    told: list[str] = []
    selection = Selection([Wanted("vehicle_speed", Origin())], counts, told.append)
    interpreter = Interpreter(shipped_catalogue(), selection.names)
    values = []
    for at in range(0, 100, size):
        part = slice(at, at + size)
        keys = [EXTENDED | 0x18FEF100 | source for source in sources[part]]
        times = range(at, at + len(keys))
        values += selection.rows(interpreter, interpreter.take(of_payloads(times, keys, payloads[part])))[1][
            :, 0
        ].tolist()
    assert {int(value) for value in values} == {0x0B}
    assert len(values) == 25
    assert counts["vehicle_speed of other source"] == 50
    assert len(told) == 2


def trip(path: Path, *senders: tuple[str, int], first: int = 0) -> Path:
    """A minute of speed from these buses and sources; each sends values of its own."""
    lines = [
        speed(first + k + 0.1 * n, bus, source, 256 * (10 * n + k % 7 + source % 5))
        for k in range(60)
        for n, (bus, source) in enumerate(senders)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_buses_with_other_names_in_other_logs_are_one_signal(tmp_path: Path) -> None:
    logs = [trip(tmp_path / "a.log", ("can0", 0)), trip(tmp_path / "b.log", ("can1", 0), first=600)]
    (track,) = survey(logs, can_files.layout()).columns().values()
    assert track.readings == 120
    mapping, _ = propose_mapping(logs)
    assert {name: one.source for name, one in mapping.signals.items()} == {"vehicle_speed": 0}
    for log in logs:
        found, _, _ = can_files.readings(log, list(mapping.columns), mapping.log)
        assert len(found["vehicle_speed"]) == 60


def test_a_signal_is_of_the_source_of_its_training_whoever_sends_first(tmp_path: Path) -> None:
    mapping, _ = propose_mapping([trip(tmp_path / "a.log", ("can0", 0x0B))])
    assert "source = 0x0B" in mapping.to_toml()
    both = trip(tmp_path / "b.log", ("can0", 0), ("can0", 0x0B))
    counts: Counter[str] = Counter()
    notes: list[str] = []
    blocks = read_log(both, mapping, vehicle="v", counts=counts, on_bad=print, on_note=notes.append)
    values = [float(value) for block in blocks for value in block.values[:, 0]]
    assert sorted(values) == sorted(10 + k % 7 + 1 for k in range(60))
    assert counts["vehicle_speed of other source"] == 60
    assert notes == []


def test_a_log_without_the_source_of_the_mapping_says_which_it_has(tmp_path: Path) -> None:
    mapping, _ = propose_mapping([trip(tmp_path / "a.log", ("can0", 0x0B))])
    other = trip(tmp_path / "b.log", ("can0", 0x03))
    notes: list[str] = []
    blocks = list(read_log(other, mapping, vehicle="v", counts=Counter(), on_bad=print, on_note=notes.append))
    assert sum(len(block.time) for block in blocks) == 0
    assert notes[0] == (
        f"{other}: signal vehicle_speed: source 0B, which is mapped, has no value; source 03 has: "
        "map vehicle_speed@03 to read it"
    )


def test_logs_with_one_source_each_are_as_many_signals_and_said(tmp_path: Path) -> None:
    logs = [
        trip(tmp_path / "a.log", ("can0", 0)),
        trip(tmp_path / "b.log", ("can0", 0), first=600),
        trip(tmp_path / "c.log", ("can0", 0x0B), first=1200),
    ]
    mapping, findings = propose_mapping(logs)
    assert set(mapping.signals) == {"vehicle_speed@00", "vehicle_speed@0B"}
    assert (
        "signal 'vehicle_speed': no log has it from more than one source (00 in 2, 0B in 1 logs): as many signals; "
        "to read it as one, map vehicle_speed without a source"
    ) in findings.notes
    _, again = look(logs, mapping)
    assert again.signals["vehicle_speed@00"].readings == 120
    _, again = look(logs, parse_mapping('[signals.speed]\ncolumn = "vehicle_speed"\nsource = 0x0B\n'))
    assert again.signals["speed"].readings == 60

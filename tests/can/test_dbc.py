"""DBC files: what is loaded, what is loaded with a warning, and what is refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest

import can_files
from tickover.errors import ConfigError, LogError
from tickover.logs.inspection import propose_mapping
from tickover.payloads.can import dbc, j1939
from tickover.payloads.can.frames import EXTENDED, of_payloads
from tickover.payloads.can.interpreter import Interpreter
from tickover.payloads.can.layouts import SignalLayout

CANTOOLS = can_files.shared("TICKOVER_CAN_CANTOOLS", "can/cantools")
HEAD = b'VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_: ECU\n\n'


def message(text: str) -> bytes:
    return HEAD + text.encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected a DBC with messages .* got an empty file"),
        (b"time,rpm\n0,1\n", "got text that starts with 'time,rpm'"),
        (b"\0\1\2BO_ 1", "expected a DBC"),
        (message('BO_ 256 A: 8 ECU\n SG_ x : 0|8@1+ (1,0 [0|0] "" ECU'), "expected a DBC: "),
        (message("BO_ 256 A: 8 ECU\n SG_ oops"), "expected a DBC"),
        (b"BO_ 1" + b" " * dbc.MAX_BYTES, "expected a DBC of at most 16 MB"),
    ],
)
def test_a_file_that_is_no_dbc_is_one_sentence(content: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        dbc.load({"x.dbc": content})
    assert str(refusal.value).startswith("x.dbc: ")
    assert "\n" not in str(refusal.value)


def test_a_dbc_of_another_bus_lists_the_identifiers_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "other.dbc").write_bytes(message('BO_ 256 A: 8 ECU\n SG_ a : 0|8@1+ (1,0) [0|0] "" ECU'))
    (tmp_path / "a.log").write_text("(1764480000.000000) can0 0CF00400#F07D7D5014FFFFFF\n" * 3)
    for read in (
        lambda: can_files.readings(tmp_path / "a.log", ["a"], can_files.layout(tmp_path / "other.dbc")),
        lambda: propose_mapping([tmp_path / "a.log"], layout=can_files.layout(tmp_path / "other.dbc")),
    ):
        with pytest.raises(LogError, match=r"expected frames of known messages, got only the ids 0x0CF00400; name the"):
            read()


def test_a_dbc_without_j1939_attributes_says_what_fits_by_pgn(tmp_path: Path) -> None:
    eec1 = 'BO_ 2364540158 EEC1: 8 ECU\n SG_ Speed : 24|16@1+ (0.125,0) [0|0] "rpm" ECU'
    (tmp_path / "plain.dbc").write_bytes(message(eec1))
    (tmp_path / "a.log").write_text("(1764480000.000000) can0 0CF00400#F07D859B0FFFFF85\n")
    with pytest.raises(LogError, match="EEC1 fits by its PGN: try --j1939 on"):
        can_files.readings(tmp_path / "a.log", ["Speed"], can_files.layout(tmp_path / "plain.dbc"))
    found, _, _ = can_files.readings(
        tmp_path / "a.log", ["Speed"], can_files.layout(tmp_path / "plain.dbc", j1939="on")
    )
    assert found["Speed"] == {1_764_480_000.0: 499.375}


def test_one_name_in_two_messages_and_one_identifier_twice() -> None:
    two = 'BO_ 256 A: 8 ECU\n SG_ x : 0|8@1+ (1,0) [0|0] "" ECU\n\nBO_ 257 B: 8 ECU\n SG_ x : 0|8@1+ (1,0) [0|0] "" ECU'
    assert dbc.load({"x.dbc": message(two)}).columns == ("A.x", "B.x")
    same = two.replace("257", "256")
    assert any("id 0x100 is defined 2 times" in warning for warning in dbc.load({"x.dbc": message(same)}).warnings)


def test_a_dbc_that_is_given_twice_names_its_signals_as_once() -> None:
    text = message('BO_ 256 A: 8 ECU\n SG_ x : 0|8@1+ (1,0) [0|0] "" ECU')
    catalogue = dbc.load({"x.dbc": text, "copy.dbc": text})
    assert catalogue.columns == ("x",)
    assert catalogue.warnings == ("id 0x100 is defined 2 times; the first counts",)


def test_overlapping_signals_are_loaded_with_a_warning() -> None:
    text = 'BO_ 256 A: 8 ECU\n SG_ x : 0|16@1+ (1,0) [0|0] "" ECU\n SG_ y : 8|16@1+ (1,0) [0|0] "" ECU'
    catalogue = dbc.load({"x.dbc": message(text)})
    assert catalogue.columns == ("x", "y")
    assert catalogue.warnings == ("x.dbc: message A: signals overlap: x, y",)


@pytest.mark.parametrize("name", ["signed.dbc", "floating_point.dbc", "abs.dbc", "multiplex_2.dbc"])
def test_decoding_equals_cantools_on_random_payloads(name: str) -> None:
    cantools = pytest.importorskip("cantools")
    data = (CANTOOLS / name).read_bytes()
    theirs = cantools.database.load_string(dbc.decode(data), database_format="dbc", strict=False)
    catalogue = dbc.load({name: data}, "off")
    rng = np.random.default_rng(3)
    compared = 0
    for one in theirs.messages:
        key = one.frame_id | EXTENDED * one.is_extended_frame
        payloads = [rng.bytes(one.length) for _ in range(40)]
        interpreter = Interpreter(catalogue)
        block = interpreter.take(of_payloads(range(40), [key] * 40, payloads))
        found = {(d.signal.name, int(row)): v for d in block.decoded for row, v in zip(d.rows, d.values, strict=True)}
        for row, payload in enumerate(payloads):
            try:
                values = one.decode(payload, decode_choices=False)
            except cantools.database.errors.DecodeError:
                continue  # cantools refuses a payload whose page it does not know
            assert {signal for signal, r in found if r == row} == values.keys()
            for signal, value in values.items():
                np.testing.assert_allclose(found[signal, row], value, rtol=1e-12)
                compared += 1
    assert compared > 30


def test_signals_of_any_place_and_length_equal_bit_arithmetic() -> None:
    rng = np.random.default_rng(9)
    data = rng.integers(0, 256, (50, 24), np.uint8)
    for _ in range(300):
        length, big = int(rng.integers(1, 65)), bool(rng.integers(2))
        start = int(rng.integers(0, 8 * 24 - length)) if not big else int(rng.integers(0, 8 * 8))
        layout = SignalLayout("x", start, length, big_endian=big)
        if layout.last_byte >= 24:
            continue
        assert layout.raw(data).tolist() == [bits(row.tolist(), start, length, big) for row in data]


def bits(data: list[int], start: int, length: int, big: bool) -> int:
    """The obvious way, bit by bit."""
    if not big:
        return sum((data[(start + k) // 8] >> (start + k) % 8 & 1) << k for k in range(length))
    value, at = 0, start
    for _ in range(length):
        value = value << 1 | data[at // 8] >> at % 8 & 1
        at = at - 1 if at % 8 else at + 15
    return value


def test_pgns_have_18_bits_and_no_destination() -> None:
    assert j1939.parts(EXTENDED | 0x0DF11923).pgn == 0x1F119
    assert j1939.parts(EXTENDED | 0x18DAF110) == (6, 0xDA00, 0x10, 0xF1)
    assert j1939.parts(EXTENDED | 0x0CF00400) == (3, 0xF004, 0x00, 0xFF)

"""Damaged recordings: what is lost is said, and costs itself alone."""

import io
import random
import struct
import zlib
from pathlib import Path

import pytest

import can_files
from tickover.errors import LogError

can = pytest.importorskip("can")
START = 1_764_480_000.0


def messages(number: int) -> list:
    return [
        can.Message(
            timestamp=START + k * 0.001,
            arbitration_id=0x18FEF100 + k % 5,
            is_extended_id=True,
            data=struct.pack("<Q", k),
            channel=0,
        )
        for k in range(number)
    ]


def blf(path: Path, number: int = 20_000, **options: object) -> Path:
    with can.BLFWriter(str(path), max_container_size=16 * 1024, **options) as writer:
        for message in messages(number):
            writer(message)
    return path


def numbers(path: Path) -> tuple[list[int], list[str]]:
    frames, _, told = can_files.frames_of(path)
    return [struct.unpack("<Q", bytes(d))[0] for d in frames.data], told


@pytest.mark.parametrize("level", [0, 9])
def test_a_whole_blf_gives_every_message_in_order(tmp_path: Path, level: int) -> None:
    found, told = numbers(blf(tmp_path / "a.blf", compression_level=level))
    assert found == list(range(20_000))
    assert told == []


def test_a_damaged_blf_container_costs_itself(tmp_path: Path) -> None:
    path = blf(tmp_path / "a.blf")
    data = bytearray(path.read_bytes())
    at = data.index(b"LOBJ", len(data) // 2)
    data[at + 200 : at + 240] = bytes(40)
    path.write_bytes(data)
    found, told = numbers(path)
    assert found == sorted(found)
    assert 19_000 < len(found) < 20_000
    assert {0, 19_999} <= set(found)
    assert len(told) == 1
    assert "is lost" in told[0]


def test_four_zeroed_kilobytes_of_a_blf_cost_what_lay_there(tmp_path: Path) -> None:
    path = blf(tmp_path / "a.blf")
    data = bytearray(path.read_bytes())
    at = data.index(b"LOBJ", len(data) // 3) - 1_000
    data[at : at + 4096] = bytes(4096)
    path.write_bytes(data)
    found, told = numbers(path)
    assert found == sorted(found)
    assert 17_500 < len(found) < 20_000
    assert {0, 19_999} <= set(found)
    assert told


def test_a_size_of_zero_ends_no_blf_and_hangs_none(tmp_path: Path) -> None:
    path = blf(tmp_path / "a.blf")
    data = bytearray(path.read_bytes())
    at = data.index(b"LOBJ", len(data) // 2)
    data[at + 8 : at + 12] = bytes(4)
    path.write_bytes(data)
    found, told = numbers(path)
    assert {0, 19_999} <= set(found)
    assert len(found) > 19_000
    assert "size 0: damaged" in told[0]


def test_a_blf_cut_in_the_middle_says_so(tmp_path: Path) -> None:
    path = blf(tmp_path / "a.blf")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    found, told = numbers(path)
    assert found == list(range(len(found)))
    assert 11_000 < len(found) < 13_000
    assert any("cut short" in line for line in told)


def test_a_blf_cut_between_containers_says_so(tmp_path: Path) -> None:
    path = blf(tmp_path / "a.blf")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"LOBJ")])
    found, told = numbers(path)
    assert found == list(range(len(found)))
    assert len(told) == 1
    assert f"cut short: its header speaks of {len(data)} bytes" in told[0]


def test_a_blf_without_containers_is_read(tmp_path: Path) -> None:
    path = blf(tmp_path / "a.blf", 100)
    data = path.read_bytes()
    out, at = io.BytesIO(), 144
    out.write(data[:144])
    while at < len(data):
        _, _, _, size, kind = struct.unpack_from("<4sHHLL", data, at)
        assert kind == 10
        out.write(zlib.decompress(data[at + 32 : at + size]))
        at += size + size % 4
    path.write_bytes(data[:16] + bytes(8) + out.getvalue()[24:])  # its recorder has not said its size
    assert numbers(path) == (list(range(100)), [])


def attempt(path: Path) -> str | int:
    """How many messages a recording gives, or its refusal."""
    try:
        return len(can_files.frames_of(path)[0])
    except LogError as error:
        return str(error)


def test_damage_at_random_places_of_a_blf_ends_in_messages_or_one_sentence(tmp_path: Path) -> None:
    data = blf(tmp_path / "a.blf", 2_000).read_bytes()
    rng = random.Random(12)
    path = tmp_path / "b.blf"
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(broken))
            broken[at : at + rng.choice([1, 4, 40])] = rng.randbytes(rng.choice([0, 1, 4, 40]))
        path.write_bytes(broken)
        outcome = attempt(path)
        assert outcome.startswith(str(path)) if isinstance(outcome, str) else outcome <= 2_100


LINES = {
    "a.log": lambda k: f"({START + k:.6f}) can0 18FEF100#F3000{k % 10}FFFFFFFFFF",
    "a.asc": lambda k: f"   {k}.000000 1  18FEF100x       Rx   d 8 F3 00 0{k % 10} FF FF FF FF FF",
    "a.trc": lambda k: f"{k + 1:6d})  {k * 1000}.0  Rx  18FEF100  8  F3 00 0{k % 10} FF FF FF FF FF",
}
HEADERS = {
    "a.log": "",
    "a.asc": "date Sun Nov 30 05:20:00.000 am 2025\nbase hex  timestamps absolute\n",
    "a.trc": ";$FILEVERSION=1.1\n;$STARTTIME=45991.2222222222\n",
}
DAMAGE = {
    "half": lambda line: line[: len(line) // 2],
    "nuls": lambda line: b"\0" * 20,
    "latin": lambda line: line.replace(b"F3", b"\xb0C"),
    "odd": lambda line: line[:-1],
    "wide": lambda line: line.replace(b"18FEF100", b"98FEF100"),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_bad_line_is_lost_counted_and_told(name: str, kind: str, tmp_path: Path) -> None:
    lines = [LINES[name](k).encode() for k in range(50)]
    lines[30] = DAMAGE[kind](lines[30])
    path = tmp_path / name
    path.write_bytes(HEADERS[name].encode() + b"\n".join(lines) + b"\n")
    frames, counts, told = can_files.frames_of(path)
    assert len(frames) == 49
    assert counts["bad_rows"] == 1
    line = 31 + HEADERS[name].count("\n")
    assert told[0].startswith(f"{path}:{line}: expected ")
    with pytest.raises(LogError, match=f":{line}: expected "):
        can_files.frames_of(path, strict=True)


SIZED = {
    "screen.log": ("", lambda k: f" ({START + k:.6f})  can0  18FEF100   [8]  F3 00 0{k % 10} FF FF FF FF FF"),
    "x.log": ("", lambda k: f" ({START + k:.6f})  can0  RX - -  18FEF100   [8]  F3 00 0{k % 10} FF FF FF FF FF"),
    "date.log": (
        "",
        lambda k: f" (2025-11-30 05:20:{k % 60:02d}.5)  can0  18FEF100   [8]  F3 00 0{k % 10} FF FF FF FF FF",
    ),
    "a.asc": (HEADERS["a.asc"], LINES["a.asc"]),
    "a.trc": (HEADERS["a.trc"], LINES["a.trc"]),
}


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("cut", [{30}, set(range(50)) - {10, 20}])
def test_a_line_with_fewer_bytes_than_it_says_is_lost(name: str, cut: set[int], tmp_path: Path) -> None:
    header, line = SIZED[name]
    lines = [line(k)[: -15 if k in cut else None] for k in range(50)]
    path = tmp_path / name
    path.write_text(header + "\n".join(lines) + "\n")
    frames, counts, _ = can_files.frames_of(path)
    assert frames.length.tolist() == [8] * (50 - len(cut))
    assert counts["bad_rows"] == len(cut)


RELATIVE = {
    "delta.log": ("", " (000.500000)  can0  18FEF100   [8]  F3 00 01 FF FF FF FF FF", "delta"),
    "a.asc": (
        "date Sun Nov 30 05:20:00.000 am 2025\nbase hex  timestamps relative\n",
        "   0.500000 1  18FEF100x       Rx   d 8 F3 00 01 FF FF FF FF FF",
        "auto",
    ),
}


@pytest.mark.parametrize("name", RELATIVE)
@pytest.mark.parametrize("keep", [20, 40, 50])
def test_times_from_the_line_before_go_on_from_a_lost_line(name: str, keep: int, tmp_path: Path) -> None:
    header, line, times = RELATIVE[name]
    lines = [line] * 20
    lines[7] = line[:keep]
    path = tmp_path / name
    path.write_text(header + "\n".join(lines) + "\n")
    frames, counts, _ = can_files.frames_of(path, can_files.layout(times=times))
    assert counts["bad_rows"] == 1
    assert int(frames.time[-1] - frames.time[0]) == 19 * 500_000


def test_frames_without_bytes_stand_beside_lines_that_are_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.trc"
    path.write_text(f"{HEADERS['a.trc']};---\n     1)  1.0  Rx  0100  0\n     2)  2.0  Rx  0100  2  01 02\n")
    frames, counts, told = can_files.frames_of(path)
    assert (frames.length.tolist(), counts["bad_rows"], told) == ([0, 2], 0, [])


@pytest.mark.parametrize("name", ["a.candump", "a.asc", "a.trc", "a.blf"])
@pytest.mark.parametrize(
    ("content", "words"),
    [(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"), (b"", "got")],
)
def test_a_file_of_another_kind_is_refused_with_what_it_looks_like(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LogError, match=words):
        can_files.frames_of(tmp_path / name)

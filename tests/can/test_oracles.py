"""Messages of several frames against the obvious way to read them: random traffic with losses, blocks of any size."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tickover.payloads.can.frames import EXTENDED, Frames, of_payloads
from tickover.payloads.can.interpreter import Interpreter
from tickover.payloads.can.obd import Obd, rows_of
from tickover.payloads.can.shipped import shipped_catalogue

Traffic = list[tuple[int, int, bytes, int]]
"""Time, key, payload and bus of each frame."""
PIDS = {0x05: 1, 0x0C: 2, 0x0D: 1, 0x10: 2, 0x01: 4}
"""Some PIDs, and their bytes; 01 is no signal."""


def blocks(traffic: Traffic, rng: random.Random) -> Iterator[Frames]:
    at = 0
    while at < len(traffic):
        number = rng.randrange(1, 40)
        yield of_payloads(*zip(*traffic[at : at + number], strict=True))
        at += number


def transport(rng: random.Random) -> Traffic:
    """Sessions of three sources on two buses, some with lost, wrong, late or short packets, some aborted."""
    found: Traffic = []
    for _ in range(rng.randrange(1, 25)):
        time, source, bus = rng.randrange(4_000_000), rng.choice((0, 3, 0x31)), rng.choice((0, 0, 1))
        to, size = rng.choice((255, 255, 0xF9, 0x31)), rng.choice((9, 14, 15, 30, 64))
        number, pgn = -(-size // 7) + (rng.random() < 0.05), rng.choice((0xFECA, 0xFEEC, 0xFEE3, 0xEF00))
        name = bytes((pgn & 255, pgn >> 8, 0))
        control, data = (EXTENDED | 7 << 26 | kind << 16 | to << 8 | source for kind in (0xEC, 0xEB))
        back = EXTENDED | 7 << 26 | 0xEC << 16 | source << 8 | to
        found.append((time, control, bytes((32 if to == 255 else 16, size, 0, number, 255)) + name, bus))
        gap = rng.choice((10_000, 200_000, 800_000))
        for packet in range(1, number + 1):
            time += gap + 900_000 * (rng.random() < 0.03)
            label = packet if rng.random() > 0.03 else rng.randrange(256)
            if rng.random() > 0.05:
                found.append((time, data, (bytes((label,)) + rng.randbytes(7))[: 8 if rng.random() > 0.02 else 5], bus))
            if to != 255 and rng.random() < 0.2:
                found.append((time + 1000, back, bytes((17, 3, 1, 255, 255)) + name, bus))
        if rng.random() < 0.1:
            found.append((time, rng.choice((control, back)), bytes((255, 1, 255, 255, 255)) + name, bus))
    return sorted(found, key=lambda frame: frame[0])


def reassembled(traffic: Traffic) -> tuple[list, Counter]:
    """The messages, frame by frame; what is left open at the end is counted by its age."""
    sessions: dict[tuple, dict] = {}
    counts: Counter[str] = Counter()
    found = []
    late = lambda one, time: time - one["last"] > (750_000 if one["broadcast"] else 1_250_000)  # noqa: E731
    for time, key, data, bus in traffic:
        kind, to, source = key >> 16 & 255, key >> 8 & 255, key & 255
        place, back = (bus, source, to), (bus, to, source)
        one = sessions.get(place)
        if len(data) < 8:
            counts["malformed"] += 1
        elif kind == 0xEC and data[0] in (16, 32):
            if one:
                counts["timed out" if late(one, time) else "replaced"] += 1
                del sessions[place]
            if data[3] != -(-data[1] // 7):
                counts["malformed"] += 1
                continue
            sessions[place] = {"broadcast": data[0] == 32, "size": data[1], "number": data[3], "last": time, "got": {}}
            sessions[place]["pgn"] = int.from_bytes(data[5:8], "little")
        elif kind == 0xEC and data[0] == 255:
            counts["aborted"] += (sessions.pop(place, None) or sessions.pop(back, None)) is not None
        elif kind == 0xEC and back in sessions and not late(sessions[back], time):
            sessions[back]["last"] = time
        elif kind == 0xEB:
            if one and late(one, time):
                counts["timed out"] += 1
                one = sessions.pop(place) and None
            if one is None or not 1 <= data[0] <= one["number"]:
                counts["orphan"] += 1
                continue
            one["got"][data[0]], one["last"] = data[1:], time
            if len(one["got"]) == one["number"]:
                whole = b"".join(one["got"][number] for number in range(1, one["number"] + 1))[: one["size"]]
                found.append((time, one["pgn"], source, to, bus, whole))
                counts["completed"] += 1
                del sessions[place]
            elif one["broadcast"] and data[0] == one["number"]:
                counts["packet missing"] += 1
                del sessions[place]
    for one in sessions.values():
        counts["timed out" if late(one, traffic[-1][0]) else "open at the end"] += 1
    return found, counts


@pytest.mark.parametrize("seed", range(40))
def test_transport_equals_frame_by_frame(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    traffic = transport(rng)
    interpreter = Interpreter(shipped_catalogue())
    sessions, messages = interpreter.sessions, []
    assert sessions is not None
    take = sessions.take

    def watched(frames: Frames, rows: object) -> Iterator:
        for message in take(frames, rows):  # type: ignore[arg-type]
            messages.append(message)
            yield message

    monkeypatch.setattr(sessions, "take", watched)
    for frames in blocks(traffic, rng):
        interpreter.take(frames)
    interpreter.finish()
    wanted, counts = reassembled(traffic)
    assert [(m.time, m.pgn, m.source, m.destination, m.channel, m.payload) for m in messages] == wanted
    assert +sessions.counts == +counts


def diagnostics(rng: random.Random) -> Traffic:
    """Answers of several ECUs in single and consecutive frames, some lost, repeated or late."""
    found: Traffic = []
    for _ in range(rng.randrange(1, 15)):
        time, key = rng.randrange(3_000_000), rng.choice((0x7E8, 0x7EF, EXTENDED | 0x18DAF110, EXTENDED | 0x18DAF1E8))
        payload = b"\x41"
        for _ in range(rng.randrange(1, 6)):
            pid = rng.choice((*PIDS, 0xA6))
            payload += bytes((pid,)) + rng.randbytes(PIDS.get(pid, 4))
        if len(payload) <= 7:
            found.append((time, key, bytes((len(payload),)) + payload.ljust(7, b"\xaa"), 0))
            continue
        found.append((time, key, bytes((0x10, len(payload))) + payload[:6], 0))
        for number, first in enumerate(range(6, len(payload), 7), start=1):
            time += rng.choice((1_000, 20_000, 20_000, 1_100_000))
            frame = bytes((0x20 | number & 15,)) + payload[first : first + 7].ljust(7, b"\xaa")
            found += [(time, key, frame, 0)] * rng.choice((0, 1, 1, 1, 1, 1, 1, 1, 1, 2))
    return sorted(found, key=lambda frame: frame[0])


def answered(traffic: Traffic) -> Iterator[tuple]:
    """Each PID of the whole answers, up to the first that is not known."""
    sessions: dict[int, list] = {}
    for time, key, data, _ in traffic:
        payload = b""
        if data[0] >> 4 == 0:
            payload = data[1 : 1 + data[0]]
        elif data[0] >> 4 == 1:
            sessions[key] = [data[1], data[2:], 1, time]
        elif key in sessions:
            size, begun, following, last = sessions.pop(key)
            if time - last > 1_000_000 or data[0] & 15 != following:
                continue
            begun += data[1:]
            if len(begun) < size:
                sessions[key] = [size, begun, following + 1 & 15, time]
                continue
            payload = begun[:size]
        at = 1
        while at < len(payload) and payload[at] in PIDS:
            size = PIDS[payload[at]]
            yield time, key & 0xFF, payload[at], payload[at + 1 : at + 1 + size]
            at += 1 + size


@pytest.mark.parametrize("seed", range(40))
def test_answers_of_several_ecus_equal_frame_by_frame(seed: int) -> None:
    rng = random.Random(seed)
    traffic, obd, found = diagnostics(rng), Obd(), []
    for frames in blocks(traffic, rng):
        found += [(a.time, a.key >> 8 & 0xFF, a.key & 0xFF, a.data) for a in obd.take(frames, rows_of(frames)[0])]
    assert found == list(answered(traffic))

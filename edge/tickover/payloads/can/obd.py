"""OBD-II answers on CAN (ISO 15765-4, SAE J1979): messages put together (ISO-TP), PIDs to signals, trouble codes.

Only answers are read: 7E8 to 7EF, and 18DAF1xx. Requests and flow control are no readings.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from tickover.payloads.can.catalogue import OBD_MARK, MessageLayout
from tickover.payloads.can.frames import EXTENDED, Frames
from tickover.payloads.can.layouts import SignalLayout

TIMEOUT: Final = 1_000_000
"""N_Cr, microseconds: the longest time between consecutive frames."""
MAX_SESSIONS: Final = 1_024
MAX_MESSAGE: Final = 65_536
"""Bytes of a message, at most: answers of OBD-II have less than a tenth of it."""
LONG_HEAD: Final = 6
"""Bytes in front of the data in the first frame of a long message."""

_ANSWERS: Final = (0x7E8, 0x7EF)
_REQUESTS: Final = frozenset((0x7DF, *range(0x7E0, 0x7E8)))
_TESTER: Final = 0xF1
_NEGATIVE, _DATA, _VEHICLE = 0x7F, 0x41, 0x49
_CODES: Final = {0x43: "stored", 0x47: "pending", 0x4A: "permanent"}
_LETTERS: Final = "PCBU"

_TABLE: Final = """\
pid,name,length,scale,offset,unit,low,high
04,engine_load,1,0.39215686274509803,0,%,0,100
05,coolant_temperature,1,1,-40,°C,-40,150
06,short_term_fuel_trim_1,1,0.78125,-100,%,-100,100
07,long_term_fuel_trim_1,1,0.78125,-100,%,-100,100
08,short_term_fuel_trim_2,1,0.78125,-100,%,-100,100
09,long_term_fuel_trim_2,1,0.78125,-100,%,-100,100
0A,fuel_pressure,1,3,0,kPa,0,765
0B,intake_manifold_pressure,1,1,0,kPa,0,255
0C,engine_speed,2,0.25,0,rpm,0,8000
0D,vehicle_speed,1,1,0,km/h,0,255
0E,timing_advance,1,0.5,-64,°,-64,64
0F,intake_air_temperature,1,1,-40,°C,-40,150
10,mass_air_flow,2,0.01,0,g/s,0,655.35
11,throttle_position,1,0.39215686274509803,0,%,0,100
1F,run_time,2,1,0,s,0,65535
21,distance_with_mil,2,1,0,km,0,65535
23,fuel_rail_pressure,2,10,0,kPa,0,655350
2C,commanded_egr,1,0.39215686274509803,0,%,0,100
2F,fuel_level,1,0.39215686274509803,0,%,0,100
31,distance_since_codes_cleared,2,1,0,km,0,65535
33,barometric_pressure,1,1,0,kPa,50,120
42,control_module_voltage,2,0.001,0,V,0,36
43,absolute_load,2,0.39215686274509803,0,%,0,400
44,commanded_equivalence_ratio,2,0.000030517578125,0,,0,2
45,relative_throttle_position,1,0.39215686274509803,0,%,0,100
46,ambient_air_temperature,1,1,-40,°C,-40,80
49,accelerator_pedal_position_d,1,0.39215686274509803,0,%,0,100
4A,accelerator_pedal_position_e,1,0.39215686274509803,0,%,0,100
4C,commanded_throttle,1,0.39215686274509803,0,%,0,100
5C,engine_oil_temperature,1,1,-40,°C,-40,180
5E,fuel_rate,2,0.05,0,L/h,0,300
61,demand_engine_torque,1,1,-125,%,-125,130
62,actual_engine_torque,1,1,-125,%,-125,130
63,reference_engine_torque,2,1,0,Nm,0,10000
"""
_COUNTERS: Final = frozenset((0x1F, 0x21, 0x31))
_OTHER_LENGTHS: Final = {
    **dict.fromkeys((0x00, 0x01, 0x20, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x2B, 0x34, 0x35, 0x36, 0x37), 4),
    **dict.fromkeys((0x38, 0x39, 0x3A, 0x3B, 0x40, 0x41, 0x4F, 0x50, 0x60), 4),
    **dict.fromkeys((0x02, 0x03, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x22, 0x32, 0x3C, 0x3D), 2),
    **dict.fromkeys((0x3E, 0x3F, 0x4D, 0x4E, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5D), 2),
    **dict.fromkeys((0x12, 0x13, 0x1C, 0x1D, 0x1E, 0x2D, 0x2E, 0x30, 0x47, 0x48, 0x4B, 0x51, 0x52, 0x5A, 0x5B), 1),
}
"""Bytes of PIDs that are no signals here: what stands behind them in an answer is found only by stepping over them."""


class Answer(NamedTuple):
    """One PID of an answer: the frame that completed it (its row and time), its pseudo key, its bytes."""

    row: int
    time: int
    key: int
    data: bytes


class StoredCodes(NamedTuple):
    """Trouble codes of one answer to mode 03, 07 or 0A."""

    time: int
    ecu: int
    kind: str
    codes: tuple[str, ...]


@cache
def messages() -> tuple[MessageLayout, ...]:
    """A message for each PID that is a signal."""
    return tuple(
        MessageLayout(f"OBD_{row['pid']}", OBD_MARK | int(row["pid"], 16), (_signal(row),))
        for row in csv.DictReader(_TABLE.splitlines())
    )


def _signal(row: dict[str, str]) -> SignalLayout:
    return SignalLayout(
        name=f"obd_{row['name']}",
        start=7,
        length=8 * int(row["length"]),
        big_endian=True,
        scale=float(row["scale"]),
        offset=float(row["offset"]),
        unit=row["unit"],
        low=float(row["low"]),
        high=float(row["high"]),
        counter=int(row["pid"], 16) in _COUNTERS,
    )


@cache
def _lengths() -> dict[int, int]:
    return _OTHER_LENGTHS | {one.key & 0xFF: one.signals[0].length // 8 for one in messages()}


def rows_of(frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are answers, and all rows of OBD, requests included."""
    key = frames.key
    answers = (key >= _ANSWERS[0]) & (key <= _ANSWERS[1])
    extended = key & np.uint32(0xFFFF0000)
    diagnostic = (extended == (EXTENDED | 0x18DA0000)) | (extended == (EXTENDED | 0x18DB0000))
    answers |= key & np.uint32(0xFFFFFF00) == (EXTENDED | 0x18DA0000 | _TESTER << 8)
    asked = np.isin(key, np.array(sorted(_REQUESTS), np.uint32))
    return np.flatnonzero(answers), np.flatnonzero(answers | diagnostic | asked)


@dataclass
class _Session:
    size: int
    data: bytes
    next: int
    last: int


@dataclass
class Obd:
    """Answers from frames. ``counts``: answers, negative answers, other services, and lost messages.

    ``identification``: the texts of mode 09, by ECU; ``stored``: trouble codes.
    """

    counts: Counter[str] = field(default_factory=Counter)
    identification: dict[int, str] = field(default_factory=dict)
    stored: list[StoredCodes] = field(default_factory=list)
    _open: dict[tuple[int, int], _Session] = field(default_factory=dict)

    def take(self, frames: Frames, rows: np.ndarray) -> Iterator[Answer]:
        """The PIDs that these rows of a block answer."""
        for row in rows.tolist():
            key, time = int(frames.key[row]), int(frames.time[row])
            data = bytes(frames.data[row, : frames.length[row]])
            payload = self._payload((int(frames.channel[row]), key), data, time)
            if payload:
                yield from self._answers(payload, row, time, key & 0xFF)

    def finish(self) -> None:
        """The recording ends: what is on its way is lost."""
        self.counts["messages open at the end"] += len(self._open)
        self._open.clear()

    def _payload(self, place: tuple[int, int], data: bytes, time: int) -> bytes | None:
        """The message that a frame completes (ISO 15765-2)."""
        if not data:
            return None
        kind, low = data[0] >> 4, data[0] & 15
        if kind == 0:
            # Of CAN FD, a length of 0 says that the next byte has it.
            size, begin = (data[1], 2) if low == 0 and len(data) > 8 else (low, 1)
            return data[begin : begin + size] if len(data) >= begin + size else self._lose()
        if kind == 1 and len(data) > 2:
            self._forget(place)
            if len(self._open) >= MAX_SESSIONS:
                self._open.clear()
            size, begin = low << 8 | data[1], 2
            if size == 0 and len(data) > LONG_HEAD:
                # A message of more than 4,095 bytes has its length in the next four.
                size, begin = int.from_bytes(data[2:LONG_HEAD], "big"), LONG_HEAD
            if not len(data) - begin < size <= MAX_MESSAGE:
                return self._lose()
            self._open[place] = _Session(size, data[begin:], 1, time)
            return None
        if kind == 2:
            return self._consecutive(place, low, data, time)
        return None

    def _consecutive(self, place: tuple[int, int], number: int, data: bytes, time: int) -> bytes | None:
        session = self._open.get(place)
        if session is None or time - session.last > TIMEOUT or number != session.next:
            self._forget(place)
            return self._lose() if session is None else None
        session.data += data[1:]
        session.next, session.last = (number + 1) & 15, time
        if len(session.data) < session.size:
            return None
        del self._open[place]
        return session.data[: session.size]

    def _forget(self, place: tuple[int, int]) -> None:
        if self._open.pop(place, None) is not None:
            self._lose()

    def _lose(self) -> bytes | None:
        self.counts["lost messages"] += 1
        return None

    def _answers(self, payload: bytes, row: int, time: int, ecu: int) -> Iterator[Answer]:
        service = payload[0]
        if service == _NEGATIVE:
            self.counts["negative answers"] += 1
        elif service == _DATA:
            self.counts["answers"] += 1
            yield from self._pids(payload[1:], row, time, ecu)
        elif service in _CODES and len(payload) > 1:
            self.counts["answers"] += 1
            words = [payload[at : at + 2] for at in range(2, len(payload) - 1, 2)][: payload[1]]
            if len(self.stored) < 1_000:
                self.stored.append(StoredCodes(time, ecu, _CODES[service], tuple(map(code_of, words))))
        elif service == _VEHICLE and payload[1:2] == b"\x02":
            self.counts["answers"] += 1
            self.identification[ecu] = payload[3:].strip(b"\0 ").decode("ascii", "replace")
        else:
            self.counts["answers of other services"] += 1

    def _pids(self, data: bytes, row: int, time: int, ecu: int) -> Iterator[Answer]:
        at = 0
        while at < len(data):
            size = _lengths().get(data[at])
            if size is None or at + 1 + size > len(data):
                self.counts["unknown PIDs"] += size is None
                return
            yield Answer(row, time, OBD_MARK | ecu << 8 | data[at], data[at + 1 : at + 1 + size])
            at += 1 + size


def code_of(word: bytes) -> str:
    """A trouble code as people write it: ``P0171``."""
    number = int.from_bytes(word, "big")
    return f"{_LETTERS[number >> 14]}{number >> 12 & 3}{number & 0xFFF:03X}"

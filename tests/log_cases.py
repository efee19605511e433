"""The same four rows in every log format, for the suite in ``edge/logs/test_log_formats.py``."""

import csv
import io
import json
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import paths
from logs import START
from tickover.logs.mapping import LogLayout, Mapping, SignalColumn

NAN = math.nan
SIGNALS = ("rpm", "coolant")
ROWS = [(0, 850.0, 80.5), (1_000_000, 851.25, NAN), (2_500_000, NAN, 81.0), (4_000_000, -3.0e-2, 1e6)]
"""Microseconds after START, and a value for each signal: what every format's test file says."""

WIDE = Mapping(signals={"rpm": SignalColumn(column="Engine [rpm]"), "coolant": SignalColumn(column="T °C")})
LONG = Mapping(
    signals=WIDE.signals,
    log=LogLayout(layout="long", vehicle_column="truck", signal_column="what", value_column="how_much"),
)


BUS = Mapping(
    signals={"rpm": SignalColumn(column="Engine"), "coolant": SignalColumn(column="T")},
    log=LogLayout(dbc=(str(paths.TESTS / "can" / "suite.dbc"),)),
)
"""Of recordings of a bus: one message of CAN FD with two 64-bit floats."""


def iso(offset: int) -> str:
    return str(np.datetime64(START + offset, "us")) + "Z"


def cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def wide_csv(delimiter: str = ",", end: str = "\n", trailing: str = "", decimal: str = ".") -> str:
    header = delimiter.join(["time", "Engine [rpm]", "unused", "T °C"]) + trailing
    lines = [
        delimiter.join([iso(t), cell(a).replace(".", decimal), "x y", cell(b).replace(".", decimal)]) + trailing
        for t, a, b in ROWS
    ]
    return end.join([header, *lines]) + end


def long_rows() -> list[dict[str, object]]:
    return [
        {"time": iso(t), "truck": "van-1", "what": name, "how_much": value}
        for t, *values in ROWS
        for name, value in zip(("Engine [rpm]", "T °C"), values, strict=True)
        if not math.isnan(value)
    ]


def wide_objects() -> list[dict[str, object]]:
    return [
        {"time": iso(t)} | {k: v for k, v in (("Engine [rpm]", a), ("T °C", b)) if not math.isnan(v)}
        for t, a, b in ROWS
    ]


def lines_of(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def long_csv() -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["time", "truck", "what", "how_much"])
    writer.writeheader()
    writer.writerows(long_rows())
    return out.getvalue().encode()


def parquet(rows: list[dict[str, object]]) -> bytes:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.Table.from_pylist(rows)
    moments = pa.array([np.datetime64(str(row["time"]).rstrip("Z"), "ns") for row in rows])
    out = io.BytesIO()
    pq.write_table(table.set_column(0, "time", moments), out, row_group_size=2)
    return out.getvalue()


def trace(rows: list[tuple[int, float, float]], start: int = START) -> bytes:
    """A log of the third-party format in ``plugins/acme_trace.py``; ``start`` -1: without a clock."""
    channels = (("Engine [rpm]", "1/min"), ("unused", ""), ("T °C", ""))
    table = b"".join(bytes([len(text.encode())]) + text.encode() for channel in channels for text in channel)
    records = [
        struct.pack("<HId", channel, t // 1000, value)
        for t, *values in rows
        for channel, value in zip((0, 2), values, strict=True)
        if not math.isnan(value)
    ]
    return b"TRACE1\n" + struct.pack("<qH", start, len(channels)) + table + b"".join(records)


def payloads() -> list[tuple[float, bytes]]:
    """The rows as frames: seconds, and the bytes of the message of ``BUS``, whose DBC needs the extra ``can``."""
    pytest.importorskip("cantools")
    return [((START + t) / 1e6, struct.pack("<dd", rpm, coolant)) for t, rpm, coolant in ROWS]


def candump() -> bytes:
    return "".join(f"({t:.6f}) can0 100##0{data.hex().upper()}\n" for t, data in payloads()).encode()


def candump_screen() -> bytes:
    return "".join(f" ({t:.6f})  can0  100  [16]  {data.hex(' ').upper()}\n" for t, data in payloads()).encode()


def asc() -> bytes:
    head = "date Fri Mar 1 00:00:00.000 am 2024\nbase hex  timestamps absolute\n"
    rows = [
        f"   {t - START / 1e6:.6f} CANFD   1 Rx        100            0 0 a 16 {data.hex(' ')}  0 0 1000 0 0\n"
        for t, data in payloads()
    ]
    return (head + "".join(rows)).encode()


def trc() -> bytes:
    head = ";$FILEVERSION=2.0\n;$STARTTIME=45352.0\n;$COLUMNS=N,O,T,I,d,l,D\n"
    rows = [
        f"{n + 1:7d} {(t - START / 1e6) * 1000:13.3f} FD     0100 Rx 16  {data.hex(' ').upper()} \n"
        for n, (t, data) in enumerate(payloads())
    ]
    return (head + "".join(rows)).encode()


def blf() -> bytes:
    """A file header, and messages of CAN FD 64 in one container."""
    objects = b"".join(
        struct.pack("<4sHHLL", b"LOBJ", 32, 1, 88, 101)
        + struct.pack("<LHHQ", 2, 0, 0, round((t - START / 1e6) * 1e9))
        + struct.pack("<BBBBL", 1, 10, 16, 0, 0x100)
        + bytes(32)
        + data
        for t, data in payloads()
    )
    packed = zlib.compress(objects)
    container = struct.pack("<H6xL4x", 2, len(objects)) + packed
    size = 16 + len(container)
    head = b"LOGG" + struct.pack("<L", 144) + bytes(32) + struct.pack("<8H", 2024, 3, 5, 1, 0, 0, 0, 0)
    return head.ljust(144, b"\0") + struct.pack("<4sHHLL", b"LOBJ", 16, 1, size, 10) + container + bytes(size % 4)


def mf4() -> bytes:
    """An unfinalized file with one sorted group: the time in nanoseconds, the identifier, the length, 16 bytes."""

    def block(kind: bytes, links: list[int], data: bytes) -> bytes:
        size = 24 + 8 * len(links) + len(data)
        return (
            struct.pack(f"<4s4xQQ{len(links)}Q", kind, size + -size % 8, len(links), *links) + data + bytes(-size % 8)
        )

    def channel(kind: int, sync: int, data_type: int, byte: int, bits: int) -> bytes:
        return struct.pack("<BBBBLLLLBBHLdddddd", kind, sync, data_type, 0, byte, bits, 0, 0, 0, 0, 0, 0, *[0.0] * 6)

    names = ("time", "CAN_DataFrame.ID", "CAN_DataFrame.DataLength", "CAN_DataFrame.DataBytes")
    places = [64]
    parts: list[Callable[[list[int]], bytes]] = [
        lambda at: block(b"##HD", [at[1], 0, 0, 0, 0, 0], struct.pack("<QhhBBBxdd", START * 1000, 0, 0, 0, 0, 0, 0, 0)),
        lambda at: block(b"##DG", [0, at[2], at[12], 0], bytes(8)),
        lambda at: block(b"##CG", [0, at[3], 0, 0, 0, 0], struct.pack("<QQHHLLL", 0, 0, 0, 0, 0, 29, 0)),
        lambda at: block(b"##CN", [at[4], 0, at[7], 0, at[11], 0, 0, 0], channel(2, 1, 0, 0, 64)),
        lambda at: block(b"##CN", [at[5], 0, at[8], 0, 0, 0, 0, 0], channel(0, 0, 0, 8, 32)),
        lambda at: block(b"##CN", [at[6], 0, at[9], 0, 0, 0, 0, 0], channel(0, 0, 0, 12, 8)),
        lambda at: block(b"##CN", [0, 0, at[10], 0, 0, 0, 0, 0], channel(0, 0, 10, 13, 128)),
        *((lambda at, name=name: block(b"##TX", [], name.encode() + b"\0")) for name in names),
        lambda at: block(b"##CC", [0, 0, 0, 0], struct.pack("<BBHHHdddd", 1, 0, 0, 0, 2, 0.0, 0.0, 0.0, 1e-9)),
    ]
    for part in parts:
        places.append(places[-1] + len(part([0] * 20)))
    records = [struct.pack("<QLB", round((t - START / 1e6) * 1e9), 0x100, 16) + data for t, data in payloads()]
    body = b"".join(part(places) for part in parts) + struct.pack("<4s4xQQ", b"##DT", 24, 0) + b"".join(records)
    return b"UnFinMF 4.11    tests   " + bytes(4) + struct.pack("<H", 411) + bytes(30) + struct.pack("<HH", 5, 0) + body


@dataclass(frozen=True)
class Case:
    """One log of ROWS: its file's name, the mapping that fits it, its bytes; ``lines``: a row is a line of text."""

    name: str
    mapping: Mapping
    content: Callable[[], bytes]
    lines: bool = True

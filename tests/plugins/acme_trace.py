"""A log format of another distribution, as its authors would write it: binary, many channels, times of its own.

``TRACE1\\n``; the start in microseconds since 1970, or -1 when the recorder has no clock; the channels' names and
units; then records of a channel's number, milliseconds since the start, and the value.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from tickover.core.values import Readings
from tickover.errors import LogError
from tickover.logs.formats.base import Head, Job
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.header import clean_column
from tickover.logs.mapping import LogLayout

MAGIC = b"TRACE1\n"
NO_CLOCK = -1
START = struct.Struct("<qH")
RECORD = np.dtype([("channel", "<u2"), ("ms", "<u4"), ("value", "<f8")])
CHUNK = 4096 * RECORD.itemsize


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The channels, from the table at the start; no record is read."""
    start, units = _channels(stream, name)
    return Head(tuple(units), units=units, own_time="seconds" if start == NO_CLOCK else "iso")


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings; a row per time and channel, since each channel has times of its own."""
    start, units = _channels(stream, job.name)
    column = {clean_column(channel): place for place, channel in enumerate(job.mapping.columns)}
    places = np.array([column.get(clean_column(channel), -1) for channel in units])
    collector, at = Collector(job), stream.tell()
    while data := stream.read(CHUNK):
        whole = len(data) - len(data) % RECORD.itemsize
        if whole < len(data):
            job.bad(f"byte {at + whole}", f"expected a record of {RECORD.itemsize} bytes, got {len(data) - whole}")
        records = np.frombuffer(data[:whole], RECORD)
        for place in np.flatnonzero(records["channel"] >= len(places)):
            job.bad(
                f"byte {at + place * RECORD.itemsize}",
                f"expected a channel below {len(places)}, got {records['channel'][place]}",
            )
        records = records[records["channel"] < len(places)]
        records = records[places[records["channel"]] >= 0]
        stamps = max(start, 0) + records["ms"].astype(np.int64) * 1000
        times, row = np.unique(stamps, return_inverse=True)
        values = np.full((len(times), len(column)), np.nan)
        values[row, places[records["channel"]]] = records["value"]
        yield from collector.block(job.vehicle, times, values)
        at += len(data)


def _channels(stream: BinaryIO, name: str) -> tuple[int, dict[str, str]]:
    """The start, and each channel's unit by its name."""
    if stream.read(len(MAGIC)) != MAGIC:
        raise LogError(f"{name}: expected a trace that starts with {MAGIC!r}")
    try:
        start, count = START.unpack(stream.read(START.size))
        texts = [stream.read(stream.read(1)[0]).decode() for _ in range(2 * count)]
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise LogError(f"{name}: expected a table of channels, got damaged data: {error}") from error
    return start, dict(zip(texts[::2], texts[1::2], strict=True))

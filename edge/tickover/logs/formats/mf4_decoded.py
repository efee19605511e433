"""MDF 4 files whose channels are decoded already, through asammdf (extra ``mf4``): the only import of it.

Not in flat memory: the wanted channels are read whole, up to ``MAX_VALUES``.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, Final, cast

import numpy as np

from tickover.core.time_format import EARLIEST, LATEST
from tickover.core.values import SECOND, DoubleArray, Readings, TimeArray
from tickover.errors import LogError
from tickover.logs.formats.base import MAX_COLUMNS, Head, Job
from tickover.logs.formats.collector import Collector
from tickover.logs.formats.header import clean_column
from tickover.logs.mapping import LogLayout

MAX_VALUES: Final = 100_000_000
"""Values of the wanted channels together: 1.6 GB."""
BLOCK_ROWS: Final = 16_384
INSTALL: Final = "its channels are decoded already; reading them needs asammdf: pip install 'tickover[mf4]'"


def head(stream: BinaryIO, layout: LogLayout, name: str) -> Head:
    """The channels of numbers with their units."""
    file = _open(stream, name)
    places = _places(file)
    if not 1 <= len(places) <= MAX_COLUMNS:
        raise LogError(f"{name}: expected 1 to {MAX_COLUMNS} channels, got {len(places)}")
    units = {column: str(file.groups[group].channels[index].unit or "") for column, (group, index) in places.items()}
    return Head(tuple(places), sparse=True, units=units, own_time="iso" if _start(file) else "seconds")


def read(stream: BinaryIO, job: Job) -> Iterator[Readings]:
    """Blocks of readings in order of time; channels of one group share their rows."""
    file = _open(stream, job.name)
    time, values = _rows(file, job)
    order = np.argsort(time, kind="stable")
    time, values = time[order], values[order]
    collector = Collector(job)
    for first in range(0, len(time), BLOCK_ROWS):
        part = slice(first, first + BLOCK_ROWS)
        yield from collector.block(job.vehicle, time[part], values[part])


def _rows(file: Any, job: Job) -> tuple[TimeArray, DoubleArray]:
    """All rows of all groups with a wanted channel, one group after another."""
    places = {clean_column(column): place for column, place in _places(file).items()}
    wanted = [places.get(clean_column(column)) for column in job.mapping.columns]
    groups = sorted({place[0] for place in wanted if place is not None})
    total = sum(int(file.groups[group].channel_group.cycles_nr) for group in groups) * len(wanted)
    if total > MAX_VALUES:
        raise LogError(f"{job.name}: expected at most {MAX_VALUES:,} values of the mapped channels, got {total:,}")
    times, parts = [np.empty(0, np.int64)], [np.empty((0, len(wanted)))]
    for group in groups:
        columns = [column for column, place in enumerate(wanted) if place is not None and place[0] == group]
        stamps: TimeArray | None = None
        for column in columns:
            signal = _signal(file, wanted[column], job.name)
            if stamps is None:
                stamps = _stamps(signal.timestamps, _start(file))
                parts.append(np.full((len(stamps), len(wanted)), np.nan))
                times.append(stamps)
            parts[-1][:, column] = signal.samples
    time, values = np.concatenate(times), np.concatenate(parts)
    inside = (time >= EARLIEST) & (time <= LATEST)
    for row in np.flatnonzero(~inside)[:3].tolist():
        job.bad(f"sample {row}", "expected a time of the years 1 to 9999")
    return time[inside], values[inside]


def _signal(file: Any, place: tuple[int, int] | None, name: str) -> Any:
    group, index = place or (0, 0)
    try:
        signal = file.get(group=group, index=index)
        # Of a table of texts, the number that stands for each.
        return signal if signal.samples.dtype.kind in "iufb" else file.get(group=group, index=index, raw=True)
    except Exception as error:
        raise LogError(f"{name}: the MDF data are damaged: {error}") from error


def _stamps(seconds: DoubleArray, start: int) -> TimeArray:
    clipped = np.clip(np.nan_to_num(seconds * SECOND), -(2.0**60), 2.0**60)
    time: TimeArray = np.rint(clipped).astype(np.int64) + start
    return time


def _places(file: Any) -> dict[str, tuple[int, int]]:
    """Each channel of numbers that is no time; of a name that occurs several times, the first."""
    found: dict[str, tuple[int, int]] = {}
    for number, group in enumerate(file.groups):
        master = file.masters_db.get(number)
        for index, channel in enumerate(group.channels):
            if index != master and channel.dtype_fmt.kind in "iufb" and not channel.dtype_fmt.shape:
                found.setdefault(channel.name, (number, index))
    return found


def _start(file: Any) -> int:
    """Microseconds since 1970; 0 when the file names no start."""
    return int(file.header.abs_time) // 1000


def _open(stream: BinaryIO, name: str) -> Any:
    try:
        import asammdf
    except ImportError as error:
        raise LogError(f"{name}: {INSTALL}") from error
    try:
        return asammdf.MDF(cast(Any, stream))
    except Exception as error:
        raise LogError(f"{name}: expected an MDF 4 file: {error}") from error

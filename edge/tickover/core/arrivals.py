"""Which readings of one vehicle are new, which repeat, which are late, and when its clock was set back.

The rules, row by row in order of arrival; how rows are cut into blocks never matters, and no clock is read. The *front*
is the largest event time so far. A row more than ``limit`` behind it is *behind*, any other is *at the front*.

- A row with the exact time and values of one taken before is a *repeat* (`tickover.core.seen`): it is left out.
- A row behind is *held*. When ``BACK_ROWS`` rows have come behind with none at the front between them, and event time
  has run on by ``BACK_SPAN`` since the earliest of them, the clock was set back: the held rows run first, on a clock
  that starts again there, and what was seen before is forgotten (a parked truck shows the same values at the same
  times).
- When a row comes at the front first, the held rows are *late*: a store that is drained between current readings.
- Held rows that were here before, as far as is still known, are late and no clock that was set back.
- When the front that a clock was set back from is reached again at a leap, it was no clock but a store drained in large
  pieces: the next time ``DOUBT`` times as many rows and as much event time are asked for, up to ``MAX_DOUBT`` times; an
  hour of event time without rows behind ends the doubt.
- A row without any reading moves the front, but is no evidence when it is behind.
- At most ``MAX_HELD_VALUES / F`` rows are held; then the oldest of them is late.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tickover.core import windows
from tickover.core.seen import NOTHING_SEEN, KeyArray, Page, Room, Seen, keys_of
from tickover.core.values import SECOND, DoubleArray, TimeArray
from tickover.errors import StateError

BACK_ROWS: Final = 60
BACK_SPAN: Final = 60 * SECOND
DOUBT: Final = 10
MAX_DOUBT: Final = 2
DOUBT_ENDS: Final = 3600 * SECOND
MAX_HELD_VALUES: Final = 2**18
"""Values that may be held: 2 MiB."""
MAX_TIME: Final = 60_000_000_000 * SECOND
"""Largest |event time|: the years 69 to 3871. What ISO 8601 can write, and sums and differences fit 64 bits."""
DEFAULT_WINDOW: Final = 3600 * SECOND
"""How long a repeat is known, event time."""
AT_ONCE: Final = 1024
"""Rows out of order that are looked at together."""


Count = Callable[[str, windows.IndexArray], None]
"""Hears how many readings were left out, int64 ``[F]``, and why."""
Late = Callable[[TimeArray, DoubleArray], None]
"""Hears rows that came too late."""


class Step(NamedTuple):
    """Rows to be taken; ``anew``: the clock was set back before them."""

    time: TimeArray
    values: DoubleArray
    anew: bool = False


class _Rows(NamedTuple):
    """Rows in order of arrival: time ``[N]``, values ``[N, F]``, keys ``[N]`` (0 when nothing is remembered)."""

    time: TimeArray
    values: DoubleArray
    keys: KeyArray

    def part(self, rows: slice | npt.NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.time[rows], self.values[rows], self.keys[rows])


@dataclass(slots=True)
class _Held:
    """Rows behind, in order of arrival, values as bytes, and which of them repeat.

    ``count`` and ``low``: how many came that did not repeat, since the first of them, and their smallest time.
    ``known``: how often each key is among the keys.
    """

    time: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    repeats: list[bool] = field(default_factory=list)
    count: int = 0
    low: int = 0
    known: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.known.update(self.keys)

    def add(self, time: int, values: bytes, key: int, repeats: bool) -> None:
        self.time.append(time)
        self.values.append(values)
        self.keys.append(key)
        self.repeats.append(repeats)
        self.known[key] += 1
        if not repeats:
            self.low = min(self.low, time) if self.count else time
            self.count += 1

    def rows(self, width: int, first: int | None = None) -> tuple[_Rows, npt.NDArray[np.bool_]]:
        """The held rows, or the first few, and which of them repeat."""
        values = np.frombuffer(b"".join(self.values[:first]), "<f8").reshape(-1, width)
        time, keys = np.array(self.time[:first], np.int64), np.array(self.keys[:first], np.uint64)
        return _Rows(time, values, keys), np.array(self.repeats[:first], np.bool_)

    def drop_first(self) -> None:
        self.known[self.keys[0]] -= 1
        for column in (self.time, self.values, self.keys, self.repeats):
            del column[0]


class _State(msgspec.Struct, frozen=True, array_like=True):
    """What `Arrivals.state` saves."""

    newest: int | None
    left: int | None
    doubt: int
    doubted: int
    held_time: list[int]
    held_values: list[bytes]
    held_keys: list[int]
    held_repeats: list[bool]
    held_count: int
    held_low: int
    seen: bytes


class Arrivals:
    """One vehicle's rows of ``width`` signals; ``limit`` and ``window`` in microseconds, window 0: nothing repeats.

    ``newest`` is the front, None before the first row. ``count`` hears what is left out; ``late`` the rows that are
    late, which then count as ``replayed``.
    """

    __slots__ = (
        *("_anew", "_count", "_doubt", "_doubted", "_held", "_late", "_left", "_limit", "_most", "_width"),
        *("newest", "seen"),
    )

    def __init__(
        self,
        width: int,
        limit: int,
        count: Count,
        window: int = 0,
        late: Late | None = None,
        room: Room | None = None,
        vehicle: str = "",
    ) -> None:
        self._width, self._limit, self._count, self._late = width, limit, count, late
        self._most = max(2 * BACK_ROWS, MAX_HELD_VALUES // max(1, width))
        self.seen = Seen(max(window, limit), room or Room(), vehicle) if window else NOTHING_SEEN
        self.newest: int | None = None
        self._left: int | None = None
        self._doubt = self._doubted = 0
        self._held: _Held | None = None
        self._anew = False

    def begin(self) -> None:
        """As before the first row; rows that are held are late."""
        self.give_up()
        self._reset()

    def advance(self, time: int) -> None:
        """Event time has reached ``time`` without a row."""
        self.newest = time if self.newest is None else max(self.newest, time)

    @property
    def held(self) -> int:
        """How many rows are held."""
        return len(self._held.time) if self._held else 0

    def give_up(self, reason: str = "late") -> None:
        """No more rows are to be waited for: those that are held are late, and counted by that ``reason``."""
        held, self._held = self._held, None
        if held:
            self._leave_out(*held.rows(self._width), reason)
            if self._doubt and held.count and self.newest is not None:
                self._doubted = self.newest

    def add(self, time: TimeArray, values: DoubleArray) -> list[Step]:
        """Take rows in order of arrival, at least one; what of them is to be taken, in order, possibly nothing."""
        keys = keys_of(time, values) if self.seen.window else np.zeros(len(time), np.uint64)
        rows, steps = _Rows(time, values, keys), list[Step]()
        if not self._held and self._is_ahead(time):
            steps.append(self._pass(rows))
        else:
            for start in range(0, len(time), AT_ONCE):
                self._sort(rows.part(slice(start, start + AT_ONCE)), steps)
        if self.seen.window and self.newest is not None:
            self.seen.forget(self.newest)
        return steps

    def lend(self) -> int | None:
        """The front, when rows ahead of it change no more than that and what was seen; else None."""
        return None if self._held or self._left is not None or self._anew else self.newest

    def give(self, newest: int, time: TimeArray, keys: KeyArray) -> None:
        """Such rows came, in this order; those that are not in what was seen yet."""
        self.newest = newest
        if len(time):
            self.seen.add(time, keys)
        if self.seen.window:
            self.seen.forget(newest)

    def state(self) -> bytes:
        """All that the next row's fate depends on, less the full pages of ``seen``."""
        held = self._held or _Held()
        saved = _State(
            self.newest,
            self._left,
            self._doubt,
            self._doubted,
            held.time,
            held.values,
            held.keys,
            held.repeats,
            held.count,
            held.low,
            self.seen.state() if self.seen.window else b"",
        )
        return msgspec.msgpack.encode(saved)

    def restore(self, state: bytes, page: Page) -> None:
        """Continue from `state`; StateError when it is damaged or of another number of signals."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
            rows = {len(saved.held_time), len(saved.held_values), len(saved.held_keys), len(saved.held_repeats)}
            if len(rows) > 1 or any(len(row) != 8 * self._width for row in saved.held_values):
                raise StateError(f"state of held readings: expected rows of {self._width} signals, got others")
            self._reset()
            if saved.seen and self.seen.window:
                self.seen.restore(saved.seen, page)
        except (msgspec.MsgspecError, ValueError) as error:
            raise StateError(f"state of held readings: damaged: {error}") from error
        self.newest, self._left, self._doubt, self._doubted = saved.newest, saved.left, saved.doubt, saved.doubted
        held = (saved.held_time, saved.held_values, saved.held_keys, saved.held_repeats)
        self._held = _Held(*held, saved.held_count, saved.held_low) if saved.held_time else None

    @property
    def is_plain(self) -> bool:
        """Whether ``newest`` is all that there is to save."""
        return not (self._held or self._doubt or self._left is not None or self.seen.window)

    def _reset(self) -> None:
        self.newest = self._left = None
        self._doubt = self._doubted = 0
        self._held = None
        self._anew = False
        self.seen.clear()

    def _is_ahead(self, time: TimeArray) -> bool:
        """Whether every row lies ahead of all before it, and so can neither be behind nor a repeat."""
        step = 1 if self.seen.window else 0  # rows of one time may repeat one another
        first = self.newest is None or int(time[0]) >= self.newest + step
        return first and (len(time) == 1 or bool((time[1:] >= time[:-1] + step).all()))

    def _sort(self, rows: _Rows, steps: list[Step]) -> None:
        while len(rows.time):
            upto = until_put_back(self.newest, rows.time, self._limit)
            if upto:
                self._at_front(rows.part(slice(upto)), steps)
                rows = rows.part(slice(upto, None))
            else:
                rows = self._behind(rows)

    def _at_front(self, rows: _Rows, steps: list[Step]) -> None:
        """Rows none of which is behind those before it."""
        repeats = self._repeats(rows)
        if repeats.any():
            self._leave_out(rows.part(repeats), repeats[repeats])
            rows = rows.part(~repeats)
        if len(rows.time):
            self.give_up()
            steps.append(self._pass(rows))

    def _pass(self, rows: _Rows) -> Step:
        """Rows that are taken."""
        if self._left is not None:
            self._look_for_leap(rows.time)
        if self.seen.window:
            self.seen.add(rows.time, rows.keys)
        newest = int(rows.time.max())
        self.newest = newest if self.newest is None else max(self.newest, newest)
        anew, self._anew = self._anew, False
        return Step(rows.time, rows.values, anew)

    def _behind(self, rows: _Rows) -> _Rows:
        """Hold rows, the first of which is behind, up to one that is not or one that decides; the rows to go on
        with."""
        assert self.newest is not None
        at_front = np.flatnonzero(rows.time >= self.newest - self._limit)
        upto = int(at_front[0]) if len(at_front) else len(rows.time)
        repeats = np.zeros(upto, np.bool_)
        if self.seen.window:
            repeats = self.seen.known(rows.time[:upto], rows.keys[:upto], self.newest)
        silent = np.isnan(rows.values[:upto]).all(axis=1)
        for row in np.flatnonzero(~silent).tolist():
            after = slice(row + 1, None)
            if repeats[row] and not (self._held and self._held.count):
                self._leave_out(rows.part(slice(row, row + 1)), repeats[row : row + 1])
                continue
            full = self._held is not None and len(self._held.time) >= self._most
            if self._hold(rows, row, bool(repeats[row]) or self._is_held(int(rows.keys[row]))):
                return self._decide(rows.part(after))
            if full:
                return rows.part(after)  # what had to go may repeat
        return rows.part(slice(upto, None))

    def _is_held(self, key: int) -> bool:
        return self._held is not None and self.seen.window > 0 and self._held.known[key] > 0

    def _hold(self, rows: _Rows, row: int, repeats: bool) -> bool:
        """Hold one row; True when it decides whether the clock was set back."""
        held, time = self._held or _Held(), int(rows.time[row])
        self._held = held
        if not held.count and self._doubt and self.newest is not None and self.newest - self._doubted > DOUBT_ENDS:
            self._doubt = 0
        held.add(time, rows.values[row].astype("<f8").tobytes(), int(rows.keys[row]), repeats)
        if len(held.time) > self._most:
            self._leave_out(*held.rows(self._width, 1))
            held.drop_first()
        asked = DOUBT**self._doubt
        return not repeats and held.count >= asked * BACK_ROWS and time - held.low >= asked * BACK_SPAN

    def _decide(self, after: _Rows) -> _Rows:
        """The clock was set back, or the held rows were here before; the rows to go on with."""
        assert self._held is not None
        held, repeats = self._held.rows(self._width)
        new = held.part(~repeats)
        if self.seen.window and self.seen.was_here(new.time, new.keys):
            self.give_up()
            return after
        left = self.newest
        doubt, doubted = self._doubt, self._doubted
        self._reset()
        self._left, self._doubt, self._doubted, self._anew = left, doubt, doubted, True
        return _Rows(*(np.concatenate(both) for both in zip(held, after, strict=True)))

    def _look_for_leap(self, time: TimeArray) -> None:
        """Whether the front that the clock was set back from is reached again, and how."""
        assert self._left is not None
        reached = np.flatnonzero(time >= self._left - self._limit)
        if not len(reached):
            return
        first = int(reached[0])
        before = time[:first].max(initial=self.newest if self.newest is not None else time[0])
        if time[first] - before > self._limit:
            self._doubt, self._doubted = min(self._doubt + 1, MAX_DOUBT), int(time[first])
        self._left = None

    def _repeats(self, rows: _Rows) -> npt.NDArray[np.bool_]:
        """Which rows were taken before, or come twice here."""
        if not self.seen.window or self.newest is None:
            repeats = np.zeros(len(rows.time), np.bool_)
        else:
            repeats = self.seen.known(rows.time, rows.keys, self.newest)
        if self.seen.window and len(rows.time) > 1:
            first = np.zeros(len(rows.time), np.bool_)
            first[np.unique(rows.keys, return_index=True)[1]] = True
            repeats |= ~first
        return repeats

    def _leave_out(self, rows: _Rows, repeats: npt.NDArray[np.bool_], reason: str = "late") -> None:
        """Count rows that repeat as such, and the others as late."""
        if repeats.any():
            self._count("repeated", readings_in(rows.values[repeats]))
        if repeats.all():
            return
        late = rows.part(~repeats)
        self._count("replayed" if self._late else reason, readings_in(late.values))
        if self.seen.window:
            self.seen.add(late.time, late.keys)
        if self._late:
            self._late(late.time, late.values)


def readings_in(values: DoubleArray) -> windows.IndexArray:
    """Readings per signal in rows [N, F]."""
    counted: windows.IndexArray = np.count_nonzero(~np.isnan(values), axis=0)
    return counted


def possible(time: TimeArray, values: DoubleArray, count: Count) -> tuple[TimeArray, DoubleArray]:
    """Rows less those of times that cannot be, which are counted as ``bad_time``."""
    if len(time) and (time.max() > MAX_TIME or time.min() < -MAX_TIME):
        good = (time <= MAX_TIME) & (time >= -MAX_TIME)
        count("bad_time", readings_in(values[~good]))
        return time[good], values[good]
    return time, values


def until_put_back(newest: int | None, time: TimeArray, limit: int) -> int:
    """How many of the times ``[N]``, in order of arrival after ``newest``, come before one that is behind by more than
    ``limit``; all, usually."""
    start = time[0] if newest is None else newest
    if time[0] >= start and windows.in_order(time):
        return len(time)
    before = np.maximum.accumulate(np.concatenate([[start], time[:-1]]))
    back = np.flatnonzero(before - time > limit)
    return int(back[0]) if len(back) else len(time)

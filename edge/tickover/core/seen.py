"""What was taken already: readings that come again are told by their exact time and a digest of their values.

A broker that lost its newest writes, and a gateway after a reconnect, deliver again what was taken long ago. Two
memories know it, both bounded:

- *Near*: the key of every row of the last ``window`` of event time, 8 bytes each, in pages of ``PAGE`` keys. A page is
  forgotten when all its rows are older than the window, or when there are more than ``MAX_PAGES``: the oldest goes.
  Where full pages are stored, they are read again when a row may be in them, which is seldom, and are not held. Those
  that are held have `Room` for all vehicles of a fleet together: when it is full, who has most makes room for others.
- *Far*: of each ``BUCKET`` of event time the smallest key, 4 bytes, for the last ``BUCKETS`` of them. It knows no
  single row, but whether a minute of rows was here before.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from tickover.core.values import SECOND, DoubleArray, TimeArray

PAGE: Final = 256
"""Keys stored together: 2 KiB."""
MAX_PAGES: Final = 960
"""All pages of a vehicle: 1.9 MiB, 68 hours of one row a second."""
FLEET_PAGES: Final = 16_384
"""Pages of a fleet that are held: 32 MiB, those of seven minutes of one row a second of 10,000 vehicles."""
READ_AGAIN: Final = 64
"""Stored pages of a fleet that were read last and are held, 128 KiB: rows that come again come together."""
BUCKET: Final = 30 * SECOND
"""Of this much event time the far memory keeps one key: a minute of rows always holds a whole one."""
BUCKETS: Final = 960
"""Eight hours, 3.8 KiB; what was not driven yet takes no memory."""
KEYS_MORE: Final = 32
"""Room in a page that is begun, and so much more each time that it is full."""
FEWEST_BUCKETS: Final = 32
"""Room in a far memory that is begun, which doubles as it fills."""

KeyArray = npt.NDArray[np.uint64]
Page = Callable[[int], bytes | None]
"""The bytes of a full page by its number; None when they are lost."""
_EMPTY: Final = np.uint32(2**32 - 1)
_PCG_MULTIPLIER: Final = 0x2360ED051FC65DA44385DF649FCCF645
_PCG_STATE: Final = 0x655D74DDF2A699CE8944C9067E9C6AE4
_PCG_STEP: Final = 0xF7E2A79B2A2CE6634C4FA855B3F7775F
"""Of numpy's generator PCG64 (O'Neill, 2014) when it is seeded with 0x7C15. The factors are drawn from it here, since
``numpy.random`` takes 5 MiB of a daemon that needs nothing else of it."""
_LOWER_HALF: Final = np.uint64(32)
_MULTIPLIER: Final = np.uint64(0xD6E8FEB86659FD93)
"""Odd and without a pattern (Mix13, David Stafford, 2011, gives such multipliers for 64-bit finalisers)."""


def keys_of(time: TimeArray, values: DoubleArray) -> KeyArray:
    """A 64-bit key of each row's exact time and values, ``[N]`` and ``[N, F]``; all NaN are one value."""
    # Multilinear: each cell times an odd number of its column. The bits of a double differ mostly in its upper half,
    # which a product alone would push out of 64 bits: so halves are mixed before and after.
    numbers = np.empty((len(time), values.shape[1] + 1))
    cells = numbers.view(np.uint64)
    cells[:, 0] = time.view(np.uint64)
    np.add(values, 0.0, out=numbers[:, 1:])
    missing = np.isnan(values)
    if missing.any():
        numbers[:, 1:][missing] = np.nan
    cells ^= cells >> _LOWER_HALF
    keys: KeyArray = np.einsum("ij,j->i", cells, _factors(cells.shape[1]))
    keys ^= keys >> _LOWER_HALF
    keys *= _MULTIPLIER
    return keys ^ (keys >> _LOWER_HALF)


def keys_in(stored: bytes | None, number: int) -> KeyArray | None:
    """The keys of a stored page; None when it is none, or another."""
    found = np.frombuffer(stored or b"", "<u8").astype(np.uint64)
    return found[1:] if len(found) == PAGE + 1 and found[0] == number else None


def _factors(width: int) -> KeyArray:
    """An odd number with the highest bit set for each column, of a generator that always starts alike."""
    if width not in _FACTORS:
        drawn, state = [], _PCG_STATE
        for _ in range(width):
            state = (state * _PCG_MULTIPLIER + _PCG_STEP) % 2**128
            turn, mixed = state >> 122, (state >> 64 ^ state) % 2**64
            turned = (mixed >> turn | mixed << 64 - turn) % 2**64
            drawn.append(turned >> 1 | 2**63 | 1)
        _FACTORS[width] = np.array(drawn, np.uint64)
    return _FACTORS[width]


_FACTORS: Final[dict[int, KeyArray]] = {}
"""By width; the same in every run, as keys are stored."""


@dataclass(slots=True)
class _Full:
    """A page that takes no more; ``first`` and ``last``: its smallest and largest time; ``keys`` None: stored."""

    number: int
    first: int
    last: int
    keys: KeyArray | None


class _State(msgspec.Struct, frozen=True, array_like=True):
    """``full``: number, first and last of each full page; keys as little-endian bytes; ``far``: the newest buckets, in
    order, the last of them that of ``top``."""

    number: int
    full: list[tuple[int, int, int]]
    first: int
    last: int
    keys: bytes
    top: int
    far: bytes


class Room:
    """``most`` pages that several vehicles hold together: one more, and whoever has most of them loses its oldest.

    ``stored`` gives a stored page by vehicle and number, None when it is lost; without it all pages are held.
    """

    def __init__(self, most: int = MAX_PAGES) -> None:
        self.most, self.pages = most, 0
        self.stored: Callable[[str, int], bytes | None] | None = None
        self._holders: dict[int, Seen] = {}
        self._read: OrderedDict[tuple[str, int], KeyArray] = OrderedDict()

    def count(self, seen: "Seen", more: int) -> None:
        """A vehicle holds so many pages more than before, or less."""
        self.pages += more
        if seen.told:
            self._holders[id(seen)] = seen
        else:
            self._holders.pop(id(seen), None)
        while self.pages > self.most:
            max(self._holders.values(), key=Seen.held).drop_held()

    def read(self, vehicle: str, number: int) -> KeyArray | None:
        """The keys of a stored page; None when it is lost."""
        found = self._read.get((vehicle, number))
        if found is None:
            found = keys_in(self.stored(vehicle, number) if self.stored else None, number)
            if found is None:
                return None
            self._read[vehicle, number] = found
            if len(self._read) > READ_AGAIN:
                self._read.popitem(last=False)
        return found

    def forget(self, vehicle: str) -> None:
        """The vehicle starts anew, and numbers its pages anew."""
        for place in [place for place in self._read if place[0] == vehicle]:
            del self._read[place]


@dataclass(slots=True)
class Seen:
    """One vehicle's memory; ``window`` in microseconds, 0 remembers nothing. ``room`` is what it shares with others.

    Every vehicle has one, so that what is empty is None, and what is begun is small.
    """

    window: int
    room: Room = field(default_factory=Room)
    vehicle: str = ""
    _fresh: set[int] | None = None
    _number: int = 0
    _full: list[_Full] | None = None
    _open: KeyArray | None = None
    _used: int = 0
    _first: int = 0
    _last: int = 0
    _top: int = 0
    told: int = 0
    """How many full pages in memory the room knows of."""
    _far: npt.NDArray[np.uint32] | None = None
    _gone: list[int] | None = None

    def add(self, time: TimeArray, keys: KeyArray) -> None:
        """Remember rows, in order of arrival."""
        if len(keys):
            self._remember_far(time, keys)
        while len(keys):
            room = PAGE - self._used
            now, part = time[:room], keys[:room]
            low, high = int(now.min()), int(now.max())
            self._first = min(self._first, low) if self._used else low
            self._last = max(self._last, high) if self._used else high
            self._append(part)
            time, keys = time[room:], keys[room:]

    def known(self, time: TimeArray, keys: KeyArray, newest: int) -> npt.NDArray[np.bool_]:
        """Which rows are in the near memory; ``newest`` is the largest time taken before them."""
        low, high = int(time.min()), int(time.max())
        found = np.zeros(len(keys), np.bool_)
        # A page too old by `newest` may still be here: when it is dropped depends on how rows come in blocks.
        oldest = max(low, newest - self.window)
        for page in [page for page in self._full or () if page.first <= high and page.last >= oldest]:
            if (held := self._keys(page)) is not None:
                found |= np.isin(keys, held)
        if self._used and self._first <= high and self._last >= max(low, newest - self.window):
            found |= np.isin(keys, self._open_page())
        return found

    def was_here(self, time: TimeArray, keys: KeyArray) -> bool:
        """Whether the rows of any whole bucket between the first and the last of these times are those of before."""
        if self._far is None:
            return False
        bucket = time // BUCKET
        inside = (bucket > bucket.min()) & (bucket < bucket.max())
        for number in np.unique(bucket[inside]).tolist():
            if self._top - BUCKETS < number <= self._top:
                smallest = (keys[bucket == number] >> _LOWER_HALF).min()
                if self._bucket(number) == smallest != _EMPTY:
                    return True
        return False

    def forget(self, newest: int) -> None:
        """Drop the pages that the window has left behind."""
        while self._full and (self._full[0].last < newest - self.window or len(self._full) > MAX_PAGES):
            self._drop(0)

    def held(self) -> int:
        """How many full pages are in memory."""
        return sum(page.keys is not None for page in self._full or ())

    def drop_held(self) -> None:
        """Forget the oldest full page that is in memory."""
        self._drop(next(place for place, page in enumerate(self._full or ()) if page.keys is not None))

    def _drop(self, place: int) -> None:
        assert self._full
        gone = self._full.pop(place)
        if self._fresh and gone.number in self._fresh:
            self._fresh.discard(gone.number)
        else:  # it was stored
            self._gone = [*(self._gone or ()), gone.number][-MAX_PAGES:]
        self._more(-(gone.keys is not None))

    def _keys(self, page: _Full) -> KeyArray | None:
        """Those of a full page; None when it is lost, or the disk does not give it now."""
        return self.room.read(self.vehicle, page.number) if page.keys is None else page.keys

    def clear(self) -> None:
        """Forget everything."""
        if self._full:
            self.room.forget(self.vehicle)
        self._full = self._fresh = self._open = self._far = self._gone = None
        self._used = 0
        self._counted()

    def to_store(self, everything: bool) -> dict[int, bytes]:
        """By number, the pages that became full since the last call, or all. They are stored now: where they can be
        read again, they are not held any longer."""
        fresh, self._fresh = self._fresh, None
        found = {number: self.page(number) for number in (self.pages if everything else sorted(fresh or ()))}
        if self.room.stored:
            for page in self._full or ():
                page.keys = None
            self._counted()
        return {number: body for number, body in found.items() if body}

    def gone(self) -> list[int]:
        """The numbers of stored pages that were forgotten since the last call."""
        gone, self._gone = self._gone or [], None
        return gone

    def page(self, number: int) -> bytes:
        """A full page as it is stored: its number, then its keys; nothing when it is lost."""
        keys = self._keys(next(full for full in self._full or () if full.number == number))
        return b"" if keys is None else np.concatenate([[np.uint64(number)], keys]).astype("<u8").tobytes()

    @property
    def pages(self) -> list[int]:
        """The numbers of the full pages."""
        return [full.number for full in self._full or ()]

    def state(self) -> bytes:
        """All but the full pages."""
        far = b"" if self._far is None else self._in_order(self._far).astype("<u4").tobytes()
        full = [(page.number, page.first, page.last) for page in self._full or ()]
        keys = np.sort(self._open_page()).astype("<u8").tobytes()
        return msgspec.msgpack.encode(_State(self._number, full, self._first, self._last, keys, self._top, far))

    def restore(self, state: bytes, page: Page) -> None:
        """Continue from `state`; a page that is lost, or is no page, is forgotten."""
        saved = msgspec.msgpack.decode(state, type=_State)
        keys = np.frombuffer(saved.keys, "<u8").astype(np.uint64)
        far = np.frombuffer(saved.far, "<u4").astype(np.uint32)
        if len(keys) >= PAGE or len(far) > BUCKETS:
            raise ValueError(f"expected fewer than {PAGE} keys and {BUCKETS} buckets, got {len(keys)}, {len(far)}")
        self.clear()
        full = [_Full(*one, None) for one in saved.full[-MAX_PAGES:]]
        if not self.room.stored:
            for one in full:
                one.keys = keys_in(page(one.number), one.number)
            full = [one for one in full if one.keys is not None]
        self._full = full or None
        self._counted()
        self._number, self._first, self._last, self._top = saved.number, saved.first, saved.last, saved.top
        if len(far):
            self._far = np.full(_room_for(len(far), FEWEST_BUCKETS, BUCKETS), _EMPTY)
            self._far[np.arange(saved.top - len(far) + 1, saved.top + 1) % len(self._far)] = far
        if len(keys):
            self._append(keys)

    def _counted(self) -> None:
        """Tell the room how many pages there are now."""
        self._more(self.held() - self.told)

    def _more(self, pages: int) -> None:
        """Tell the room of so many more, or less."""
        self.told += pages
        if pages:
            self.room.count(self, pages)

    def _in_order(self, far: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """The buckets from the first in use to that of ``top``."""
        ordered = far[np.arange(self._top - len(far) + 1, self._top + 1) % len(far)]
        return ordered[np.argmax(ordered != _EMPTY) :]

    def _open_page(self) -> KeyArray:
        return np.empty(0, np.uint64) if self._open is None else self._open[: self._used]

    def _append(self, keys: KeyArray) -> None:
        """No more than there is room for."""
        used = self._used + len(keys)
        if self._open is None or len(self._open) < used:
            larger = np.empty(min(PAGE, -(-used // KEYS_MORE) * KEYS_MORE), np.uint64)
            larger[: self._used] = self._open_page()
            self._open = larger
        self._open[self._used : used] = keys
        self._used = used
        if used == PAGE:
            self._close_page(self._open)

    def _close_page(self, keys: KeyArray) -> None:
        # A page is a set: in order, so that rows that came in another order within it leave the same page.
        keys.sort()
        self._full = self._full or []
        self._full.append(_Full(self._number, self._first, self._last, keys))
        self._fresh = self._fresh or set()
        self._fresh.add(self._number)
        self._more(1)
        self._number += 1
        self._open, self._used = None, 0

    def _bucket(self, number: int) -> np.uint32:
        """That of the far memory, which reaches so far back."""
        known = self._far is not None and number > self._top - len(self._far)
        return self._far[number % len(self._far)] if known and self._far is not None else _EMPTY

    def _remember_far(self, time: TimeArray, keys: KeyArray) -> None:
        bucket, small = time // BUCKET, (keys >> _LOWER_HALF).astype(np.uint32)
        if len(bucket) == 1:
            low = top = int(bucket[-1])
        else:
            low, top = int(bucket.min()), int(bucket.max())
        far = self._far_over(low, max(top, self._top) if self._far is not None else top)
        near = bucket > self._top - BUCKETS
        np.minimum.at(far, bucket[near] % len(far), small[near])

    def _far_over(self, low: int, top: int) -> npt.NDArray[np.uint32]:
        """The far memory with room for buckets from ``low``, or from ``BUCKETS`` before its top, up to ``top``."""
        if self._far is None:
            self._top = top
            self._far = np.full(_room_for(top - low + 1, FEWEST_BUCKETS, BUCKETS), _EMPTY)
            return self._far
        if top <= self._top and low > self._top - len(self._far):
            return self._far
        kept = self._in_order(self._far)
        room = _room_for(top - min(low, self._top - len(kept) + 1) + 1, FEWEST_BUCKETS, BUCKETS)
        if room > len(self._far):
            kept = kept[max(0, top - self._top + len(kept) - room) :]
            larger = np.full(room, _EMPTY)
            larger[np.arange(self._top - len(kept) + 1, self._top + 1) % room] = kept
            self._far = larger
        if top > self._top:
            # What is in these places is of a time so much earlier.
            self._far[np.arange(max(self._top + 1, top - len(self._far) + 1), top + 1) % len(self._far)] = _EMPTY
            self._top = top
        return self._far


NOTHING_SEEN: Final = Seen(0)
"""That of all vehicles whose repeats somebody else tells."""


def _room_for(count: int, fewest: int, most: int) -> int:
    """Room for so many, twice what there was before, as long as that is not the most there may be."""
    room = fewest
    while room < min(count, most):
        room *= 2
    return min(room, most)

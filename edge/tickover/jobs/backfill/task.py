"""A piece of a back-fill, and what came of it: plain values that any scheduler can send."""

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Struct

from tickover import __version__
from tickover.logs.mapping import Mapping

VERSION: Final = 1
"""Of what is written beside the results; another one is run again."""


class Rules(Struct, frozen=True, kw_only=True):
    """What is the same for all vehicles.

    ``model``: its path, on every machine that works; ``digest``: what it must hold. ``out``: the folder of results,
    likewise. ``start``, ``strict``: as in `logs.reading.read_log`. ``keep_open``: episodes stay open at the end, and
    states are kept.
    """

    model: str
    digest: str
    out: str
    mapping: Mapping
    start: int = 0
    strict: bool = False
    keep_open: bool = False


class Part(Struct, frozen=True):
    """A log of one vehicle: ``where`` it is, its ``size`` in bytes and its ``stamp``.

    ``spool``: the file with this vehicle's readings, where the log holds several vehicles.
    """

    where: str
    size: int
    stamp: str
    spool: str = ""


class Task(Struct, frozen=True, kw_only=True):
    """One vehicle's logs, and what it begins with: a file with its state, and one with verdicts of people."""

    vehicle: str
    parts: tuple[Part, ...]
    rules: Rules
    state: str = ""
    events: str = ""
    given: str = ""
    """Digest of both."""

    @property
    def id(self) -> str:
        """What its files are called."""
        return file_id(self.vehicle)

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(part.size for part in self.parts)

    @property
    def digest(self) -> str:
        """Of all that its alerts depend on."""
        logs = [(part.where, part.size, part.stamp) for part in self.parts]
        return digest_of([self.vehicle, logs, settings_of(self.rules), self.given])


class SplitTask(Struct, frozen=True, kw_only=True):
    """A log of several vehicles; the mapping of ``rules`` names the column that tells them apart."""

    part: Part
    column: str
    rules: Rules

    @property
    def id(self) -> str:
        """What its files are called."""
        return file_id(self.part.where)

    @property
    def size(self) -> int:
        """Bytes to read."""
        return self.part.size

    @property
    def digest(self) -> str:
        """Of all that the split data depend on."""
        part = self.part
        return digest_of([part.where, part.size, part.stamp, self.column, settings_of(self.rules)])


class Dropped(Struct, frozen=True, kw_only=True):
    """What was dropped or repaired: by reason, and by reason and signal where it belongs to one."""

    counts: dict[str, int] = {}
    signals: dict[str, dict[str, int]] = {}


class Share(Struct, frozen=True):
    """What a log of several vehicles holds of one: the first time, the number of rows, and the file with them."""

    vehicle: str
    first: int
    rows: int
    spool: str


class Split(Struct, frozen=True, kw_only=True):
    """A log that was split: ``why`` is empty, or says why it could not be read to its end."""

    where: str
    digest: str
    shares: tuple[Share, ...]
    dropped: Dropped
    why: str = ""
    version: int = VERSION


class Result(Struct, frozen=True, kw_only=True):
    """What came of one vehicle.

    ``why``: the reason that it failed, empty when it did not. ``broken``: logs that could not be read (to their end),
    each with the reason; the others were run. ``days``: ticks by day since 1970 (UTC). ``sealed``: digest of its
    alerts' file. ``begun``: ``state`` or ``afresh``. ``adapted``: limits that are not the trained ones, times those.
    ``verdicts``: those of people by what became of them (`replay_verdicts.Verdicts`).
    """

    vehicle: str
    digest: str
    why: str = ""
    broken: tuple[tuple[str, str], ...] = ()
    files: int = 0
    size: int = 0
    ticks: int = 0
    trips: int = 0
    episodes: int = 0
    alerts: int = 0
    sealed: str = ""
    begun: str = "afresh"
    days: dict[int, int] = {}
    first: int | None = None
    last: int | None = None
    dropped: Dropped = Dropped()
    adapted: dict[str, float] = {}
    promise: str = ""
    verdicts: dict[str, int] = {}
    seconds: float = 0.0
    version: int = VERSION

    @property
    def is_whole(self) -> bool:
        """Whether all was read."""
        return not self.why and not self.broken


def settings_of(rules: Rules) -> list[Any]:
    """What of the rules results depend on."""
    return [VERSION, __version__, rules.digest, _plain(rules.mapping), rules.start, rules.strict, rules.keep_open]


def _plain(value: Any) -> Any:
    """A struct with all of its fields: msgspec leaves out defaults by identity, and one that was sent has others."""
    if isinstance(value, Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def digest_of(value: object) -> str:
    """Hex digits of a plain value."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def file_id(name: str) -> str:
    """A file name for any name: what can be read of it, and digits that tell it from all others."""
    plain = "".join(mark if mark.isascii() and (mark.isalnum() or mark in "-_") else "-" for mark in name[-40:])
    return f"{plain.strip('-') or 'x'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"

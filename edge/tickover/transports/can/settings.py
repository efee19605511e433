"""The table ``[bus]`` of the daemon's configuration."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tickover.transports.base import Level

SOCKETCAN: Final = "socketcan"
Option = str | int | float | bool


class Bus(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bus that the daemon listens to, beside its inputs.

    ``interface``: ``socketcan``, or one of python-can's (extra ``can``) with its ``options``. ``channel``: ``can0``.
    ``vehicle``: whose bus it is. ``map``: the mapping that `tickover inspect` proposed for a recording of it; without
    one, the models' signals are looked for by name in the ``dbc`` files, or among the shipped signals.
    """

    channel: Annotated[str, Meta(min_length=1, max_length=256)]
    vehicle: Level
    interface: Annotated[str, Meta(min_length=1, max_length=64)] = SOCKETCAN
    map: str | None = None
    dbc: tuple[str, ...] = ()
    j1939: Literal["auto", "on", "off"] = "auto"
    names: Literal["dbc", "ours", "vss"] = "dbc"
    options: dict[str, Option] = {}

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.interface}:{self.channel}"

    def problem(self) -> str | None:
        """What types alone cannot say; a problem of one key begins with the key."""
        if self.interface == SOCKETCAN and len(self.channel.encode()) > 15:
            return f"channel: expected the name of an interface of at most 15 bytes, got {self.channel!r}"
        if self.map and self.dbc:
            return "dbc: expected none beside map, whose [log] table names the DBC files"
        return None

"""Several daemons share a fleet by one configuration: each takes the vehicles whose names hash to its number.

All of them receive all messages, and each leaves the others' vehicles alone. A shard is a daemon of its own for the
broker and on the disk: its number stands behind the client id and the node's name, and names its state folder.
"""

import os
import re
import socket
import zlib
from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta, Struct

from tickover.errors import ConfigError

VARIABLE: Final = "TICKOVER_SHARD"
MOST: Final = 1_024
_ORDINAL: Final = re.compile(r"-(\d+)$")
"""The number behind the name of a pod of a StatefulSet."""


class Fleet(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many daemons share the vehicles, and which one this is.

    ``shard``, from 0 to ``shards`` - 1; absent: $TICKOVER_SHARD, else the number at the end of the host's
    name (``-2``).
    """

    shards: Annotated[int, Meta(ge=1, le=MOST)] = 1
    shard: Annotated[int, Meta(ge=0, lt=MOST)] | None = None


def shard_of(vehicle: str, shards: int) -> int:
    """Which of several daemons a vehicle belongs to: CRC-32 of its name in UTF-8, modulo their number."""
    return zlib.crc32(vehicle.encode()) % shards


def taken_by(fleet: Fleet) -> Callable[[str], bool] | None:
    """Whether a vehicle is this daemon's; None where all are. ``fleet.shard`` is settled."""
    if fleet.shards == 1:
        return None
    return lambda vehicle: shard_of(vehicle, fleet.shards) == fleet.shard


def is_for(target: str, node: str, fleet: Fleet) -> bool:
    """Whether a command to a node or vehicle is for this shard: another one answers for itself and its vehicles."""
    if fleet.shards == 1 or target == node:
        return True
    stem = node.removesuffix(f"-{fleet.shard}")
    others = {f"{stem}-{number}" for number in range(fleet.shards)}
    return target not in others and shard_of(target, fleet.shards) == fleet.shard


def number_of(fleet: Fleet) -> int:
    """Which shard this daemon is; ConfigError when neither the configuration nor the machine says."""
    ordinal = _ORDINAL.search(socket.gethostname().partition(".")[0])
    given = os.environ.get(VARIABLE) or (ordinal[1] if ordinal else "")
    if fleet.shard is None and not (given.isdecimal() and len(given) < 8):
        raise ConfigError(f"fleet.shard: expected the number of this daemon, here or in ${VARIABLE}, got {given!r}")
    number = int(given) if fleet.shard is None else fleet.shard
    if number >= fleet.shards:
        raise ConfigError(f"fleet.shard: expected 0 to {fleet.shards - 1} of {fleet.shards} shards, got {number}")
    return number

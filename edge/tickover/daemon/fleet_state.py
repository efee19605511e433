"""The saved state of a vehicle in a fleet: what `tickover.daemon.fleet.Fleet` goes on from."""

from collections.abc import Collection

import msgspec

from tickover.daemon.late import LateRows, with_late
from tickover.errors import StateError


class FleetState(msgspec.Struct, frozen=True, array_like=True):
    """``last``: the newest reading by column name; ``columns``: those of ``arrivals``; ``detectors``: their states."""

    newest: int
    last: dict[str, int]
    stale: list[str]
    gate: dict[str, float]
    detectors: dict[str, bytes]
    columns: tuple[str, ...] = ()
    arrivals: bytes = b""
    late: LateRows = msgspec.field(default_factory=LateRows)
    broken: tuple[str, ...] = ()


def encode(state: FleetState) -> bytes:
    """As it is stored."""
    return msgspec.msgpack.encode(state)


def decode(state: bytes) -> FleetState:
    """What `encode` made; StateError when it is damaged."""
    try:
        return msgspec.msgpack.decode(state, type=FleetState)
    except msgspec.MsgspecError as error:
        raise StateError(f"saved state is damaged: {error}") from error


def without(state: bytes, detectors: Collection[str]) -> bytes:
    """A stored state, less what some detectors know; StateError when it is damaged."""
    saved = decode(state)
    kept = {name: part for name, part in saved.detectors.items() if name not in with_late(detectors)}
    return encode(msgspec.structs.replace(saved, detectors=kept))

"""The saved state of one vehicle under one model: what `tickover.core.pipeline.Pipeline` goes on from."""

from typing import Final

import msgspec
import numpy as np

from tickover.core.state_codec import seal, unseal
from tickover.core.values import FloatArray
from tickover.errors import StateError

STATE_VERSION: Final = 1


class PipelineState(msgspec.Struct, frozen=True, array_like=True):
    """``digest``: the model's. ``ticks``, ``episodes``, ``sensors`` and ``record`` are the states of these parts;
    ``numbers`` the recurrent state as little-endian float32."""

    version: int
    digest: str
    vehicle: str
    ticks: bytes
    episodes: bytes
    trip: int
    numbers: bytes
    sensors: bytes = b""
    record: bytes = b""

    def encode(self) -> bytes:
        """As it is stored, sealed."""
        return seal(msgspec.msgpack.encode(self))

    def recurrent(self, size: int) -> FloatArray:
        """The recurrent state, float32 ``[size]``; StateError when it cannot be."""
        if len(self.numbers) != 4 * size:
            raise StateError(f"vehicle {self.vehicle}: expected {size} numbers of recurrent state")
        numbers = np.frombuffer(self.numbers, "<f4").astype(np.float32)
        if not np.isfinite(numbers).all():
            raise StateError(f"vehicle {self.vehicle}: expected finite numbers of recurrent state")
        return numbers


def decode(state: bytes, vehicle: str, digest: str) -> PipelineState:
    """What `PipelineState.encode` made; StateError when damaged, or of another version, model or vehicle."""
    try:
        saved = msgspec.msgpack.decode(unseal(state), type=PipelineState)
    except msgspec.MsgspecError as error:
        raise StateError(f"saved state is damaged: {error}") from error
    if saved.version != STATE_VERSION:
        raise StateError(f"vehicle {vehicle}: expected state of version {STATE_VERSION}, got {saved.version}")
    if saved.digest != digest:
        raise StateError(
            f"vehicle {vehicle}: expected state of the model {digest[:12]}, got state of {saved.digest[:12]}"
        )
    if saved.vehicle != vehicle:
        raise StateError(f"expected state of vehicle {vehicle}, got state of {saved.vehicle}")
    return saved

"""A detector's state as bytes: magic, version, model digest, count, float32 little-endian, CRC-32 of all before it."""

import struct
import zlib
from typing import Final

import numpy as np

from tickover.errors import StateError
from tickover.records import FloatArray

MAGIC: Final = b"TKOV"
VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sH32sI")
_CRC: Final = struct.Struct("<I")


def encode(state: FloatArray, digest: str) -> bytes:
    """``state`` ``float32[S]`` of the model with this digest."""
    body = _HEAD.pack(MAGIC, VERSION, bytes.fromhex(digest), len(state)) + state.astype("<f4").tobytes()
    return body + _CRC.pack(zlib.crc32(body))


def decode(data: bytes, digest: str, size: int) -> FloatArray:
    """The other way round; StateError when the bytes are damaged, of another version, or of another model."""
    if len(data) < _HEAD.size + _CRC.size or data[: len(MAGIC)] != MAGIC:
        raise StateError(f"state: expected saved detector state, got {len(data)} bytes of something else")
    body, (crc,) = data[: -_CRC.size], _CRC.unpack(data[-_CRC.size :])
    if zlib.crc32(body) != crc:
        raise StateError("state: the checksum does not match; the saved state is damaged")
    _, version, model, count = _HEAD.unpack_from(body)
    if version != VERSION:
        raise StateError(f"state: expected format version {VERSION}, got {version}")
    if model.hex() != digest:
        raise StateError(f"state: expected state of the model {digest[:12]}, got state of {model.hex()[:12]}")
    values = np.frombuffer(body, "<f4", offset=_HEAD.size)
    if count != size or len(values) != size:
        raise StateError(f"state: expected {size} numbers, got {len(values)}")
    if not np.isfinite(values).all():
        raise StateError("state: expected finite numbers")
    return values.astype(np.float32)

"""Saved state as bytes: anybody's, sealed with its CRC-32; and a detector's own.

A detector's: magic, version, model digest, count, float32 little-endian, sealed.
"""

import struct
import zlib
from typing import Final

import numpy as np

from tickover.core.values import FloatArray
from tickover.errors import StateError

MAGIC: Final = b"TKOV"
VERSION: Final = 1
_HEAD: Final = struct.Struct("<4sH32sI")
_CRC: Final = struct.Struct("<I")


def seal(body: bytes) -> bytes:
    """``body`` and, little-endian, its CRC-32."""
    return body + _CRC.pack(zlib.crc32(body))


def unseal(data: bytes) -> bytes:
    """The other way round; StateError when the checksum does not fit, or nothing is sealed."""
    body, crc = data[: -_CRC.size], data[-_CRC.size :]
    if not body or _CRC.pack(zlib.crc32(body)) != crc:
        raise StateError("expected saved state with its checksum; it is damaged or something else")
    return body


def encode(state: FloatArray, digest: str) -> bytes:
    """``state`` ``float32[S]`` of the model with this digest."""
    return seal(_HEAD.pack(MAGIC, VERSION, bytes.fromhex(digest), len(state)) + state.astype("<f4").tobytes())


def decode(data: bytes, digest: str, size: int) -> FloatArray:
    """The other way round; StateError when the bytes are damaged, of another version, or of another model."""
    if len(data) < _HEAD.size + _CRC.size or data[: len(MAGIC)] != MAGIC:
        raise StateError(f"state: expected saved detector state, got {len(data)} bytes of something else")
    body = unseal(data)
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

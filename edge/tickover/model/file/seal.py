"""The seal: the last bytes of a model file, a ``metadata_props`` entry with the SHA-256 of all bytes before it.

A protobuf message may be continued by concatenation, so the sealed file is still one ONNX model. The seal is checked
before anything parses the file and is the model's digest everywhere. It is integrity, not authenticity.
"""

import hashlib
from typing import Final

from tickover.core.manifest import KEY_SEAL
from tickover.errors import ModelError

_DIGITS: Final = 64
_KEY: Final = KEY_SEAL.encode()
_HEAD: Final = (
    bytes([14 << 3 | 2, 2 + len(_KEY) + 2 + _DIGITS])  # ModelProto.metadata_props
    + bytes([1 << 3 | 2, len(_KEY)])  # StringStringEntryProto.key
    + _KEY
    + bytes([2 << 3 | 2, _DIGITS])  # StringStringEntryProto.value
)
SEAL_BYTES: Final = len(_HEAD) + _DIGITS


def seal(model: bytes) -> bytes:
    """The model with its seal appended."""
    return model + _HEAD + hashlib.sha256(model).hexdigest().encode()


def check_seal(sealed: bytes) -> str:
    """The digest, 64 hex digits; ModelError when there is no seal or it does not match."""
    body, tail = sealed[:-SEAL_BYTES], sealed[-SEAL_BYTES:]
    if not tail.startswith(_HEAD):
        raise ModelError(
            "seal: expected a tickover seal at the end of the file, found none; "
            "not a tickover model, or the file was cut short"
        )
    digest = hashlib.sha256(body).hexdigest()
    if tail[len(_HEAD) :] != digest.encode():
        raise ModelError(
            "seal: expected the SHA-256 that the seal states, got another; the file was damaged or changed after export"
        )
    return digest

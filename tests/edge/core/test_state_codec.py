"""The one frame around saved state: the same bytes in every version, and no damage passes."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.core.state_codec import seal, unseal
from tickover.errors import StateError


def test_the_frame_is_the_body_and_its_crc() -> None:
    assert seal(b"state") == b"state" + zlib.crc32(b"state").to_bytes(4, "little")


@given(body=st.binary(min_size=1, max_size=100), place=st.integers(0), bit=st.integers(0, 7))
def test_what_was_sealed_comes_back_and_a_flipped_bit_does_not(body: bytes, place: int, bit: int) -> None:
    sealed = bytearray(seal(body))
    assert unseal(bytes(sealed)) == body
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(StateError, match="damaged or something else"):
        unseal(bytes(sealed))


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\0", b"not sealed"])
def test_what_was_never_sealed_is_refused(data: bytes) -> None:
    with pytest.raises(StateError):
        unseal(data)

"""Messages of several frames of OBD-II answers (ISO 15765-2): long ones, empty ones, and lengths that cannot be."""

import pytest

from tickover.payloads.can.frames import Frames, of_payloads
from tickover.payloads.can.obd import MAX_MESSAGE, Obd, rows_of


def frames_of(*payloads: bytes) -> Frames:
    return of_payloads([k * 1_000 for k in range(len(payloads))], [0x7E8] * len(payloads), payloads)


def followed(message: bytes, first: bytes, room: int) -> list[bytes]:
    """A message in frames: the head of the first, what fits behind it, and the rest by sevens."""
    rest = message[room:]
    consecutive = [bytes([0x20 | (k + 1) & 15]) + rest[7 * k : 7 * k + 7] for k in range(-(-len(rest) // 7))]
    return [first + message[:room], *consecutive]


def answers(obd: Obd, frames: Frames) -> list[bytes]:
    return [one.data for one in obd.take(frames, rows_of(frames)[0])]


@pytest.mark.parametrize("size", [9, 100, 4_095, 5_000])
def test_a_message_of_any_length_is_put_together(size: int) -> None:
    message = (b"\x41" + b"\x0d\x2a" * size)[:size]
    if size > 4_095:
        frames = followed(message, b"\x10\x00" + size.to_bytes(4, "big"), 2)
    else:
        frames = followed(message, bytes([0x10 | size >> 8, size & 255]), 6)
    obd = Obd()
    assert answers(obd, frames_of(*frames)) == [b"\x2a"] * ((size - 1) // 2)
    assert obd.counts["lost messages"] == 0


@pytest.mark.parametrize(
    "first",
    [
        b"\x10\x00" + (MAX_MESSAGE + 1).to_bytes(4, "big") + b"\x41\x0d",
        b"\x10\x00" + (1 << 31).to_bytes(4, "big") + b"\x41\x0d",
        b"\x10\x00\x00\x00\x00\x00\x41\x0d",
        b"\x10\x03\x41\x0d\x2a\x00\x00\x00",
    ],
)
def test_a_length_that_cannot_be_costs_its_message_alone(first: bytes) -> None:
    obd = Obd()
    assert answers(obd, frames_of(first, b"\x03\x41\x0d\x2a\x00\x00\x00\x00")) == [b"\x2a"]
    assert obd.counts["lost messages"] == 1

"""Reading runs of PUBLISH packets equals reading them one by one, whatever lies between and behind them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.transports.mqtt.packets import Publish, pubacks, whole_publishes

TOPICS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
PUBLISHES = st.lists(
    st.builds(Publish, st.integers(1, 65_535), TOPICS, st.binary(max_size=300), st.booleans(), st.booleans()),
    max_size=6,
)
PINGRESP = b"\xd0\x00"


def number(value: int) -> bytes:
    digits = b""
    while True:
        value, low = divmod(value, 128)
        digits += bytes([low | (128 if value else 0)])
        if not value:
            return digits


def encoded(publish: Publish, properties: bytes | None, qos: int = 1) -> bytes:
    name = publish.topic.encode()
    head = struct.pack(">H", len(name)) + name + (struct.pack(">H", publish.packet_id) if qos else b"")
    rest = head + (b"" if properties is None else number(len(properties)) + properties) + publish.payload
    return bytes([0x30 | publish.dup << 3 | qos << 1 | publish.retain]) + number(len(rest)) + rest


@given(
    PUBLISHES, st.sampled_from([None, b"", b"\x01\x00", b"\x26" + b"\x00\x60" * 2 + b"k" * 192]), st.binary(max_size=3)
)
def test_all_whole_packets_are_read(publishes: list[Publish], properties: bytes | None, before: bytes) -> None:
    data = before + b"".join(encoded(publish, properties) for publish in publishes)
    assert whole_publishes(data, len(before), properties is not None) == (publishes, len(data))


@given(PUBLISHES.filter(bool), st.data())
def test_a_cut_packet_is_left_whole(publishes: list[Publish], data: st.DataObject) -> None:
    packets = [encoded(publish, b"") for publish in publishes]
    last = len(packets[-1])
    kept = data.draw(st.integers(0, last - 1))
    whole = b"".join(packets[:-1])
    assert whole_publishes(whole + packets[-1][:kept], 0, True) == (publishes[:-1], len(whole))


ONE = Publish(7, "a/b", b"x", False, False)


@pytest.mark.parametrize(
    "other",
    [
        PINGRESP,
        encoded(ONE, b"", qos=0),
        encoded(ONE, b"", qos=2),
        encoded(ONE._replace(packet_id=0), b""),
        encoded(ONE._replace(topic=""), b""),
        encoded(ONE, b"").replace(b"a/b", b"a/\xff"),
        b"\x32\x80\x80\x80\x80\x01",
        b"\x32\x05\x00\x03a/b\x00\x07\x00x",
        b"\x32\x09\x00\x03a/b\x00\x07\x09x",
    ],
)
def test_what_is_not_a_good_publish_at_qos_1_is_left_to_paho(other: bytes) -> None:
    first = encoded(ONE, b"")
    assert whole_publishes(first + other + first, 0, True) == ([ONE], len(first))


@given(st.binary(max_size=200), st.booleans())
def test_noise_neither_raises_nor_is_overrun(noise: bytes, five: bool) -> None:
    found, end = whole_publishes(noise, 0, five)
    assert 0 <= end <= len(noise)
    assert bool(found) == (end > 0)


def test_acknowledgements_are_in_order() -> None:
    assert pubacks([1, 513]) == b"\x40\x02\x00\x01\x40\x02\x02\x01"

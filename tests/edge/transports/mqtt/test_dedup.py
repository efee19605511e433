"""Repeats are recognised by packet identifier and content, over checkpoints and restarts."""

from hypothesis import given
from hypothesis import strategies as st

from tickover.transports.base import Received
from tickover.transports.mqtt.dedup import IDS, PAGE, Delivery, PacketIds


def message(packet_id: int, payload: bytes, dup: bool = False) -> Received:
    return Received("t", payload, 0, Delivery(1, 0, packet_id, 1, dup))


MESSAGES = st.lists(
    st.tuples(st.sampled_from([1, 2, PAGE, IDS - 1]), st.binary(max_size=2), st.booleans()), max_size=20
)


@given(st.lists(MESSAGES, max_size=4), st.booleans())
def test_repeats_are_known_over_checkpoints_and_restarts(parts: list, everything: bool) -> None:
    """As a table from id to newest content knows them; checkpoints lie between ``parts``, the last is journalled."""
    store: dict[str, bytes] = {}
    known: dict[int, bytes] = {}
    packet_ids, journal = PacketIds(), b""
    for number, part in enumerate(parts):
        for packet_id, payload, dup in part:
            one = message(packet_id, payload, dup)
            assert packet_ids.is_repeat(one) == (dup and known.get(packet_id) == payload)
            packet_ids.note(one)
            known[packet_id] = payload
        journal = packet_ids.new()
        if number < len(parts) - 1:
            store |= packet_ids.pages(everything)
    after = PacketIds()
    after.restore(store.get, journal)
    for packet_id, payload in known.items():
        assert after.is_repeat(message(packet_id, payload, dup=True))
        assert not after.is_repeat(message(packet_id, payload + b"x", dup=True))
        assert not after.is_repeat(message(packet_id, payload))


def test_a_checkpoint_writes_only_what_has_changed() -> None:
    packet_ids = PacketIds()
    packet_ids.note(message(5, b"x"))
    assert [len(body) for body in packet_ids.pages(False).values()] == [4 * PAGE]
    assert packet_ids.pages(False) == {}
    packet_ids.note(message(IDS - 1, b"x"))
    assert len(packet_ids.pages(True)) == 2
    assert len(packet_ids.pages(True)) == 2


def test_a_new_session_repeats_nothing() -> None:
    packet_ids, store = PacketIds(), dict[str, bytes]()
    packet_ids.note(message(5, b"x"))
    store |= packet_ids.pages(False)
    packet_ids.forget()
    assert not packet_ids.is_repeat(message(5, b"x", dup=True))
    after = PacketIds()
    after.restore((store | packet_ids.pages(False)).get, b"")
    assert not after.is_repeat(message(5, b"x", dup=True))

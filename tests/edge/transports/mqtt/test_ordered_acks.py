"""Acknowledgements leave in order of arrival; which messages were taken; when the next attempt to connect is made."""

from hypothesis import given
from hypothesis import strategies as st

from tickover.daemon.dedup import IDS, PAGE, Taken
from tickover.transports.backoff import FIRST_S, Waits, attempt_s
from tickover.transports.mqtt.link import Incoming
from tickover.transports.mqtt.ordered_acks import Receipts


@given(st.permutations(range(12)), st.lists(st.integers(1, 4)), st.integers(0, 12))
def test_acknowledgements_leave_in_the_order_of_arrival(order: list[int], sizes: list[int], early: int) -> None:
    """Given in any order, in any portions, while messages still come: each id once, in order, as soon as it can."""
    receipts, sent, given_so_far = Receipts(), [], set[int]()
    places = [receipts.came(100 + number) for number in range(early)]
    order = sorted(order, key=lambda place: place >= early)
    for size in [*sizes, len(order)]:
        portion, order = order[:size], order[size:]
        while len(places) <= max(portion, default=0):
            places.append(receipts.came(100 + len(places)))
        given_so_far |= set(portion)
        sent += receipts.done(places[place] for place in portion)
        ready = next((place for place in range(12) if place not in given_so_far), 12)
        assert sent == [100 + place for place in range(ready)]


def test_an_acknowledgement_given_twice_is_sent_once() -> None:
    receipts = Receipts()
    places = [receipts.came(7), receipts.came(8)]
    assert receipts.done(places[:1]) == [7]
    assert receipts.done(places) == [8]
    assert receipts.done(places) == []


def message(mid: int, payload: bytes, again: bool = False) -> Incoming:
    return Incoming(1, mid, 1, "t", payload, 0, again)


MESSAGES = st.lists(
    st.tuples(st.sampled_from([1, 2, PAGE, IDS - 1]), st.binary(max_size=2), st.booleans()), max_size=20
)


@given(st.lists(MESSAGES, max_size=4), st.booleans())
def test_repeats_are_known_over_checkpoints_and_restarts(parts: list, everything: bool) -> None:
    """As a table from id to newest content knows them; checkpoints lie between ``parts``, the last is journalled."""
    store: dict[str, bytes] = {}
    known: dict[int, bytes] = {}
    taken, journal = Taken(), b""
    for number, part in enumerate(parts):
        for mid, payload, again in part:
            one = message(mid, payload, again)
            assert taken.is_repeat(one) == (again and known.get(mid) == payload)
            taken.note(one)
            known[mid] = payload
        journal = taken.new()
        if number < len(parts) - 1:
            store |= taken.pages(everything)
    after = Taken()
    after.restore(store.get, journal)
    for mid, payload in known.items():
        assert after.is_repeat(message(mid, payload, again=True))
        assert not after.is_repeat(message(mid, payload + b"x", again=True))
        assert not after.is_repeat(message(mid, payload))


def test_a_checkpoint_writes_only_what_has_changed() -> None:
    taken = Taken()
    taken.note(message(5, b"x"))
    assert [len(body) for body in taken.pages(False).values()] == [4 * PAGE]
    assert taken.pages(False) == {}
    taken.note(message(IDS - 1, b"x"))
    assert len(taken.pages(True)) == 2
    assert len(taken.pages(True)) == 2


def test_a_new_session_repeats_nothing() -> None:
    taken, store = Taken(), dict[str, bytes]()
    taken.note(message(5, b"x"))
    store |= taken.pages(False)
    taken.forget()
    assert not taken.is_repeat(message(5, b"x", again=True))
    after = Taken()
    after.restore((store | taken.pages(False)).get, b"")
    assert not after.is_repeat(message(5, b"x", again=True))


@given(st.integers(2, 3600), st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.7, 90.0]), max_size=30))
def test_a_broker_that_is_back_is_tried_within_twice_the_keepalive_and_two_seconds(
    keepalive: int, lasted: list[float]
) -> None:
    waits = Waits(keepalive)
    for seconds in lasted:
        assert 0 < waits.after(seconds) + attempt_s(keepalive) <= 2 * keepalive + 1
    assert waits.after(10 * keepalive) <= FIRST_S, "after a connection that lasted"


def test_a_broker_that_hangs_up_at_once_is_left_in_peace() -> None:
    waits = Waits(30)
    assert sum(waits.after(0.01) for _ in range(20)) > 30
    assert len({waits.after(0.01) for _ in range(10)}) == 10, "a fleet spreads out"

"""Acknowledgements are sent in order of arrival, whatever the order in which they are given."""

from hypothesis import given
from hypothesis import strategies as st

from tickover.transports.mqtt.ordered_acks import Receipts


@given(st.permutations(range(12)), st.lists(st.integers(1, 4)), st.integers(0, 12))
def test_acknowledgements_leave_in_the_order_of_arrival(order: list[int], sizes: list[int], early: int) -> None:
    """Given in any order, in any portions, while messages still come: each id once, in order, as soon as it can."""
    receipts, sent, given_so_far = Receipts(), [], set[int]()
    places = [receipts.arrived([100 + number]) for number in range(early)]
    order = sorted(order, key=lambda place: place >= early)
    for size in [*sizes, len(order)]:
        portion, order = order[:size], order[size:]
        while len(places) <= max(portion, default=0):
            places.append(receipts.arrived([100 + len(places)]))
        given_so_far |= set(portion)
        sent += receipts.done(places[place] for place in portion)
        ready = next((place for place in range(12) if place not in given_so_far), 12)
        assert sent == [100 + place for place in range(ready)]


def test_an_acknowledgement_given_twice_is_sent_once() -> None:
    receipts = Receipts()
    first = receipts.arrived([7, 8])
    places = [first, first + 1]
    assert receipts.done(places[:1]) == [7]
    assert receipts.done(places) == [8]
    assert receipts.done(places) == []

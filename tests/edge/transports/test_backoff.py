"""When the next attempt to connect is made."""

from hypothesis import given
from hypothesis import strategies as st

from tickover.transports.backoff import FIRST_S, Waits, attempt_s


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

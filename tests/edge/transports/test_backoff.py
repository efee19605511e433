"""When the next attempt to connect is made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.transports.backoff import FIRST_S, LONGEST_S, SHORT_MOST, SHORT_WAITS_S, Waits, attempt_s


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


@pytest.mark.parametrize("keepalive", [2, 30])
def test_clients_that_cut_each_other_off_give_each_other_time_to_read(keepalive: int) -> None:
    waits = Waits(keepalive)
    for _ in range(SHORT_MOST):
        assert min(SHORT_WAITS_S[0], keepalive) <= waits.after(0.2) <= SHORT_WAITS_S[1]
    assert max(waits.after(0.2) for _ in range(50)) > min(keepalive, LONGEST_S) / 2, "a broker is then left in peace"

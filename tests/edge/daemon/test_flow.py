"""How much is handed over to a link: as much as leaves in a few seconds. A link of a given rate is simulated."""

import pytest

from tickover.daemon.flow import FIRST, LEAST, MOST, TARGET_S, Flow
from tickover.transports.mqtt.window import LEAST as FEWEST
from tickover.transports.mqtt.window import SLOW_S, WANTED_S, Window

MESSAGE = 2_500
TURN_S = 0.05


def run(flow: Flow, rate: float, seconds: float) -> tuple[float, float]:
    """Send all that there is room for at each turn; bytes that left a second, and the most that waited."""
    waiting = most = left = now = 0.0
    while now < seconds:
        now += TURN_S
        gone = min(waiting, rate * TURN_S)
        waiting, left = waiting - gone, left + gone
        flow.look(round(waiting), now)
        while flow.has_room() and waiting < 100 * MESSAGE:  # the outbox has its own bound of 100 messages
            flow.sent(MESSAGE)
            waiting += MESSAGE
        most = max(most, waiting)
    return left / seconds, most


@pytest.mark.parametrize("rate", [2_000, 4_000, 20_000, 100_000])
def test_a_narrow_link_is_used_whole_and_what_waits_leaves_within_seconds(rate: float) -> None:
    used, most = run(Flow(), rate, 60)
    assert used >= 0.9 * rate
    assert most <= max(FIRST, LEAST, 2 * TARGET_S * rate) + MESSAGE


def test_a_fast_link_is_held_back_for_a_moment_only() -> None:
    used, _ = run(Flow(), 1e9, 10)
    assert used >= 0.9 * 100 * MESSAGE / TURN_S


def test_a_message_larger_than_the_limit_goes_when_nothing_waits() -> None:
    flow = Flow()
    flow.look(0, 0.0)
    assert flow.has_room()
    flow.sent(MOST)
    assert not flow.has_room()


def test_a_new_connection_may_be_another_link() -> None:
    flow = Flow()
    run(flow, 1e9, 5)
    assert flow.limit > FIRST
    flow.connected()
    assert flow.limit == FIRST


def test_the_next_connection_has_under_way_what_the_link_carries() -> None:
    window = Window(2000)
    window.answered(40.0, 2000)
    assert window.size == round(2000 * WANTED_S / 40)
    window.answered(0.5, 100)
    assert window.size == 2 * round(2000 * WANTED_S / 40)
    for _ in range(10):
        window.answered(0.01, 0)
    assert window.size == 2000


def test_a_slow_broker_is_no_narrow_link() -> None:
    window = Window(2000)
    window.answered(2 * SLOW_S, FEWEST - 1)
    assert window.size == 2000
    window.answered(1000.0, 2000)
    assert window.size == FEWEST

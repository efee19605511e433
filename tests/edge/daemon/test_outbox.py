"""The outbox against a broker that ends the connection at each refusal, as Mosquitto 2.0.11 does."""

from pathlib import Path

import pytest

from tickover.daemon.outbox import WINDOW, Outbox
from tickover.storage.store import Change, Message, Store
from tickover.transports.base import Published

ALARMS, ALERTS = 150, 300


class TouchyBroker:
    """Takes what it allows. A refusal ends the connection, and arrives only when nothing else was under way."""

    def __init__(self, forbidden: set[str]) -> None:
        self.forbidden, self.taken, self.connections = forbidden, list[tuple[str, bytes]](), 1
        self.most = 0
        self._way: list[tuple[object, str, bytes]] = []

    waiting = 0

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False) -> None:
        self._way.append((token, topic, payload))

    def answer(self, outbox: Outbox) -> None:
        way, self._way = self._way, []
        self.most = max(self.most, len(way))
        for place, (token, topic, payload) in enumerate(way):
            if topic in self.forbidden:
                if len(way) == 1:
                    outbox.published(Published(token, "Not authorized"))
                self.hang_up(outbox)
                return
            self.taken.append((topic, payload))
            if place % 2:  # some acknowledgements are under way when the connection ends
                outbox.published(Published(token, ""))
        for token, *_ in way[::2]:
            outbox.published(Published(token, ""))

    def hang_up(self, outbox: Outbox) -> None:
        self._way.clear()
        self.connections += 1
        outbox.disconnected()
        outbox.connected()

    @property
    def under_way(self) -> int:
        return len(self._way)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    one = Store(tmp_path)
    messages = [Message(f"id-{number}", f"alert/{number % 7}", b"%d" % number, 0) for number in range(ALERTS)]
    one.commit(Change(messages=messages, retained={f"alarm/{number}": b"on" for number in range(ALARMS)}))
    return one


def run(outbox: Outbox, broker: TouchyBroker, turns: int = 2000) -> None:
    for _ in range(turns):
        outbox.pump()
        if not broker.under_way:
            return
        broker.answer(outbox)
    raise AssertionError("the outbox never comes to rest")


def test_forbidden_topics_keep_nothing_else_from_going_out(store: Store) -> None:
    """Among more retained topics, stored messages and remarks than fit into the window."""
    broker = TouchyBroker({"alarm/120", "alert/3", "health"})
    outbox = Outbox(store, broker, refused_retry_s=60)  # type: ignore[arg-type]
    outbox.connected()
    outbox.remark("health", b"h")
    outbox.remark("cmd/status/response", b"r")
    run(outbox, broker)
    assert {topic for topic, _ in broker.taken} >= {f"alarm/{n}" for n in range(ALARMS) if n != 120}
    alerts = [int(body) for topic, body in broker.taken if topic.startswith("alert/")]
    assert set(alerts) == {number for number in range(ALERTS) if number % 7 != 3}
    assert ("cmd/status/response", b"r") in broker.taken
    assert outbox.refusal == "Not authorized"
    assert broker.connections < 10
    assert broker.most == WINDOW
    assert outbox.lost_remarks == 1
    outbox.remark("health", b"h")
    run(outbox, broker)
    assert outbox.lost_remarks == 2, "the topic is left alone, and that is counted"
    store.close()


def test_an_answer_in_flight_goes_out_again_after_a_break(store: Store) -> None:
    """At least once, oldest first, never more than the window; what had no room is counted."""
    broker = TouchyBroker(set())
    outbox = Outbox(store, broker, refused_retry_s=60)  # type: ignore[arg-type]
    outbox.connected()
    run(outbox, broker)
    for number in range(5):
        outbox.remark("response", b"%d" % number)
    outbox.pump()
    broker.hang_up(outbox)
    broker.taken.clear()
    run(outbox, broker)
    assert [body for topic, body in broker.taken if topic == "response"] == [b"0", b"1", b"2", b"3", b"4"]
    outbox.disconnected()
    for number in range(WINDOW + 2):
        outbox.remark("response", b"%d" % number)
    assert outbox.lost_remarks == 2
    store.close()

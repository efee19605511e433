"""Sparkplug B: a node whose births are unknown or whose numbers have a hole is asked for its births again."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker, wait_until
from daemon_process import MODEL, START, Daemon, Row, Watcher, as_told, drive, replayed
from tickover.daemon.config import Vehicles
from tickover.daemon.intake import Intake
from tickover.daemon.requests import AT_ONCE, PAUSE_S
from tickover.payloads.base import Input
from tickover.payloads.sparkplug import Payload
from tickover.transports.base import Received

NODE = "spBv1.0/plant/{kind}/{vehicle}"
COLUMNS = ("coolant", "rpm", "speed")
REBIRTH_S = 2.0


def body(seq: int | None, stamp: float = START, birth: bool = False, **shown: float) -> bytes:
    """A payload whose metrics carry aliases; names too when it is a birth."""
    message = Payload(timestamp=round(stamp * 1000))
    if seq is not None:
        message.seq = seq
    for alias, name in enumerate(COLUMNS, 1):
        if birth or name in shown:
            metric = message.metrics.add(alias=alias, double_value=shown.get(name, 0.0))
            if birth:
                metric.name, metric.datatype, metric.is_null = name, 10, name not in shown
    return message.SerializeToString()


class Heard:
    """An intake that is handed messages; ``now`` in monotonic seconds goes on by itself, one pause at each look."""

    def __init__(self, *inputs: Input) -> None:
        self.intake = Intake(inputs, COLUMNS, Vehicles(), lambda _: False)
        self.now = 1000.0

    def take(self, topic: str, payload: bytes = b"") -> None:
        self.intake.take(Received(topic, payload, START * 10**6, None), synced=False)

    def asked(self, after: float = PAUSE_S) -> list[str]:
        self.now += after
        return [topic for topic, _ in self.intake.requester.due(self.now)]


def of(kind: str, node: str = "t1", device: str = "") -> str:
    return f"spBv1.0/plant/{kind}/{node}" + (f"/{device}" if device else "")


@pytest.fixture
def heard() -> Heard:
    return Heard(Input(topic=NODE, format="sparkplug_b", rebirth_s=60))


def test_an_alias_that_nobody_named_is_asked_for_again_only_after_a_while(heard: Heard) -> None:
    heard.take(of("NDATA"), body(5, rpm=1.0))
    assert heard.asked() == [of("NCMD")]
    heard.take(of("NDATA"), body(6, rpm=1.0))
    assert heard.asked() == []
    assert heard.asked(60) == [of("NCMD")]
    assert heard.intake.requester.asked == 2
    heard.take(of("NDATA"), body(7, rpm=1.0))
    heard.take(of("NBIRTH"), body(0, birth=True))
    assert heard.asked(60) == [], "the birth came by itself"


def test_a_hole_in_the_numbers_is_counted_and_asked_for_and_a_repeat_is_none(heard: Heard) -> None:
    heard.take(of("NBIRTH"), body(0, birth=True))
    for seq in [*range(1, 256), 0, 1, 1]:
        heard.take(of("NDATA"), body(seq, rpm=1.0))
    assert heard.asked() == []
    heard.take(of("NDATA"), body(3, rpm=1.0))
    assert heard.intake.counts["sequence_gap"] == 1
    assert heard.asked() == [of("NCMD")]
    heard.take(of("NDATA"), body(4, rpm=1.0))
    heard.take(of("NDATA"), body(None, rpm=1.0))
    assert heard.asked(60) == [], "the hole is behind us"
    assert heard.intake.counts["rows"] == 1 + 258 + 3, "what can be read is read"


def test_messages_of_the_devices_count_in_the_numbers_but_are_not_read(heard: Heard) -> None:
    assert heard.intake.filters == ["spBv1.0/plant/+/+", "spBv1.0/plant/+/+/+"]
    heard.take(of("NBIRTH"), body(0, birth=True))
    heard.take(of("DBIRTH", device="ecu"), body(1, birth=True))
    heard.take(of("DDATA", device="ecu"), body(2, rpm=9.0))
    heard.take(of("DDEATH", device="ecu"), body(3))
    heard.take(of("NDATA"), body(4, rpm=1.0))
    assert heard.asked() == []
    assert heard.intake.counts == Counter(rows=2)


def test_for_devices_the_node_itself_counts_and_is_asked() -> None:
    heard = Heard(Input(topic="spBv1.0/plant/{kind}/+/{vehicle}", format="sparkplug_b"))
    heard.take(of("NBIRTH", "gw"), body(0))
    heard.take(of("DBIRTH", "gw", "t1"), body(1, birth=True))
    heard.take(of("NDATA", "gw"), body(2))
    heard.take(of("DDATA", "gw", "t1"), body(3, rpm=1.0))
    assert heard.asked() == []
    heard.take(of("DDATA", "gw", "t2"), body(4, rpm=1.0))
    assert heard.asked() == [of("NCMD", "gw")]


def test_a_node_met_in_the_middle_is_asked_once_because_its_aliases_may_be_new(heard: Heard) -> None:
    heard.take(of("NBIRTH"), body(0, birth=True))
    again = Heard(Input(topic=NODE, format="sparkplug_b"))
    again.intake.restore(heard.intake.learnt() or b"")
    again.take(of("NDATA"), body(9, rpm=1.0))
    assert again.intake.counts == Counter(rows=1), "meanwhile it is read as it was known"
    assert again.asked() == [of("NCMD")]
    again.take(of("NDATA"), body(10, rpm=1.0))
    assert again.asked(60) == []


def test_a_whole_fleet_is_asked_a_few_at_a_time(heard: Heard) -> None:
    names = [f"t{number:03}" for number in range(2 * AT_ONCE + 5)]
    for name in names:
        heard.take(of("NDATA", name), body(9, rpm=1.0))
    goes = [heard.asked() for _ in range(4)]
    assert [len(go) for go in goes] == [AT_ONCE, AT_ONCE, 5, 0]
    assert sorted(node for go in goes for node in go) == [of("NCMD", name) for name in names]
    assert heard.asked(0) == []


def test_0_asks_nobody_and_listens_to_nothing_else() -> None:
    heard = Heard(Input(topic=NODE, format="sparkplug_b", rebirth_s=0))
    assert heard.intake.filters == ["spBv1.0/plant/+/+"]
    heard.take(of("NDATA"), body(5, rpm=1.0))
    heard.take(of("NDATA"), body(8, rpm=1.0))
    assert heard.asked() == []
    assert heard.intake.counts == Counter(unknown_alias=2)


class Node:
    """An edge node on a real broker that gives birth when it is told to, and not before."""

    def __init__(self, broker: Broker) -> None:
        self.seq, self.requests = 7, []
        self.client = broker.client("node")
        self.client.on_message = lambda _, __, message: self.requests.append(message)
        self.client.subscribe(of("NCMD"), qos=1)

    def publish(self, kind: str, **about: object) -> None:
        self.seq = 0 if kind == "NBIRTH" else (self.seq + 1) % 256
        self.client.publish(of(kind), body(self.seq, **about), qos=0).wait_for_publish(5)

    def send(self, rows: list[Row]) -> None:
        for stamp, shown in rows:
            self.publish("NDATA", stamp=stamp, **shown)


class SparkplugDaemon(Daemon):
    """A daemon that reads Sparkplug B."""

    def write_config(self, model: Path = MODEL, **tables: dict[str, object]) -> None:
        super().write_config(model, **tables)
        text = self.config.read_text().split("\n[[inputs]]")[0]
        spec = f'topic = "{NODE}"\nformat = "sparkplug_b"\nrebirth_s = {REBIRTH_S}\n'
        self.config.write_text(f"{text}\n[[inputs]]\n{spec}")


@pytest.fixture
def node(broker: Broker) -> Iterator[Node]:
    one = Node(broker)
    yield one
    one.client.disconnect()
    one.client.loop_stop()


def test_on_a_real_broker_the_node_is_asked_and_its_data_are_read(
    broker: Broker, tmp_path: Path, node: Node, watcher: Watcher
) -> None:
    rows = drive(200)
    with SparkplugDaemon(tmp_path / "daemon", broker.port):
        node.send([(1.0, {"rpm": 1.0})])
        wait_until(lambda: len(node.requests) == 1, 10, "a request")
        request = node.requests[0]
        assert (request.topic, request.qos, request.retain) == (of("NCMD"), 0, False)
        (metric,) = Payload.FromString(request.payload).metrics
        assert (metric.name, metric.datatype, metric.boolean_value) == ("Node Control/Rebirth", 11, True)
        assert not Payload.FromString(request.payload).HasField("seq")

        node.publish("NBIRTH", birth=True, stamp=rows[0][0] - 100)
        node.send(rows[:100])
        node.seq += 1  # one is lost on the way
        node.send(rows[100:])
        watcher.expect(as_told(replayed(rows)))
        wait_until(lambda: len(node.requests) == 2, 2 * REBIRTH_S + 5, "a second request")
        report = watcher.answer("status")["result"]
        assert report["rebirths_asked"] == 2
        assert (report["dropped"]["sequence_gap"], report["dropped"]["unknown_alias"]) == (1, 1)

"""What is remembered per name is bounded in bytes, whatever comes."""

import tracemalloc
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.daemon.config import Vehicles
from tickover.daemon.intake import LONGEST_TOPIC, TOPICS_BYTES, Intake
from tickover.payloads.base import Input, open_decoder
from tickover.payloads.remembered import Remembered
from tickover.payloads.sparkplug import BIRTH_BYTES, BIRTHS_BYTES, Known, Payload
from tickover.transports.base import Received

SPEC = Input(topic="spBv1.0/+/{kind}/{vehicle}/{device}", format="sparkplug_b")
MEMORY = 32 * 2**20
"""Bytes in all: twice what is counted, for what Python and the decoder add."""


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 40))))
def test_the_bound_holds_and_the_least_recently_used_goes_first(steps: list[tuple[str, int]]) -> None:
    one, order = Remembered[int](100, 30), list[str]()
    for name, size in steps:
        gone = one.put(name, size, size)
        order = [other for other in order if other != name] + ([name] if size <= 30 else [])
        assert gone == (size > 30) + len(order) - len(one)
        order = order[len(order) - len(one) :]
        assert [kept for kept, _ in one.items()] == order
        assert one.bytes == sum(value for _, value in one.items()) <= 100


def test_what_is_used_stays() -> None:
    one = Remembered[str](10)
    one.put("old", "o", 5)
    one.put("new", "n", 5)
    assert one.get("old") == "o"
    assert one.put("third", "t", 5) == 1
    assert [name for name, _ in one.items()] == ["old", "third"]
    assert one.get("new") is None
    one.forget("old")
    one.forget("old")
    assert (one.get("old"), one.bytes) == (None, 5)


def birth(metrics: int) -> bytes:
    message = Payload(timestamp=1_700_000_000_000)
    for alias in range(metrics):
        message.metrics.add(name=f"metric/of/some/length/{alias}", alias=alias, datatype=9, timestamp=1_700_000_000_000)
    return bytes(message.SerializeToString())


def test_thousands_of_births_stay_within_their_room() -> None:
    decoder, counts, body = open_decoder(SPEC, {"rpm": 0}), Counter[str](), birth(900)
    assert len(body) < 65_536
    tracemalloc.start()
    for number in range(100):
        decoder.decode({"kind": "DBIRTH", "vehicle": f"v{number}", "device": "d"}, body, counts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY
    assert counts["births_forgotten"] > 0
    assert len(decoder.state()) < BIRTHS_BYTES
    assert decoder.state() is decoder.state(), "not encoded anew for each commit"


def test_one_birth_too_large_harms_no_other() -> None:
    decoder, counts = open_decoder(SPEC, {"rpm": 0}), Counter[str]()
    decoder.decode({"kind": "DBIRTH", "vehicle": "good", "device": "d"}, birth(10), counts)
    big = {alias: Known("n" * 300, 9) for alias in range(BIRTH_BYTES // 300)}
    decoder.restore(msgspec.msgpack.encode({"/good/d": {1: Known("rpm", 9)}, "/bad/d": big}))
    assert b"good" in decoder.state()
    assert b"bad" not in decoder.state()


@pytest.mark.parametrize("state", [b"\xc1", b"x" * (BIRTHS_BYTES + 1), b""])
def test_a_state_that_grew_or_is_damaged_begins_empty(state: bytes) -> None:
    decoder = open_decoder(SPEC, {"rpm": 0})
    decoder.restore(state)
    assert decoder.state() == b""


def test_long_topics_are_refused_and_many_are_forgotten() -> None:
    intake = Intake([Input(topic="t/{vehicle}/+", time="t")], ("rpm",), Vehicles(), lambda _: False)
    take = lambda topic: intake.take(Received(topic, b'{"t": 1700000000, "rpm": 2}', 0, None), False)  # noqa: E731
    assert take(f"t/v/{'x' * 60_000}") == "unknown_topic"
    for number in range(30_000):
        assert take(f"t/v/{number}-{'x' * 500}"[:LONGEST_TOPIC]) is None
    assert intake._topics.bytes <= TOPICS_BYTES
    assert len(intake._topics) < 30_000


def test_the_old_key_is_read(tmp_path: Path) -> None:
    from tickover.host import toml

    assert toml.decode("most = 7", Vehicles, "x").max == 7
    assert Vehicles().max == 1000

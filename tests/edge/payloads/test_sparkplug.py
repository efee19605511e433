"""Sparkplug B: births, aliases, datatypes, times; and that an unfinished birth is survived."""

from collections import Counter

from hostile_files import field
from tickover.payloads.base import Input, open_decoder
from tickover.payloads.sparkplug import Payload

SPEC = Input(topic="spBv1.0/{group}/{kind}/{vehicle}/{device}", format="sparkplug_b", signals={"Engine/RPM": "rpm"})
COLUMNS = {"rpm": 0, "coolant": 1}
INT16 = 2
T = 1_500_000_000_000
"""Milliseconds."""


def fields(kind: str, device: str = "ecu") -> dict[str, str]:
    return {"group": "g", "kind": kind, "vehicle": "t1", "device": device}


def birth() -> bytes:
    message = Payload(timestamp=T, seq=0)
    message.metrics.add(name="Engine/RPM", alias=1, datatype=9).float_value = 600.0
    message.metrics.add(name="coolant", alias=2, datatype=INT16).int_value = 2**16 - 5
    return message.SerializeToString()


def data(alias: int, **value: float) -> bytes:
    message = Payload(timestamp=T + 1000)
    message.metrics.add(alias=alias, **value)
    return message.SerializeToString()


def test_a_birth_is_data_too_and_signed_values_are_signed() -> None:
    (row,) = open_decoder(SPEC, COLUMNS).decode(fields("DBIRTH"), birth(), Counter())
    assert (row.time, row.values) == (T * 1000, [600.0, -5.0])


def test_aliases_of_the_birth_name_later_metrics_and_survive_a_restart() -> None:
    first, second = open_decoder(SPEC, COLUMNS), open_decoder(SPEC, COLUMNS)
    first.decode(fields("DBIRTH"), birth(), Counter())
    second.restore(first.state())
    for decoder in (first, second):
        (row,) = decoder.decode(fields("DDATA"), data(2, int_value=2**16 - 7), Counter())
        assert row.values[1] == -7


def test_an_alias_nobody_named_is_counted() -> None:
    decoder, counts = open_decoder(SPEC, COLUMNS), Counter()
    decoder.decode(fields("DBIRTH"), birth(), counts)
    assert decoder.decode(fields("DDATA", device="other"), data(1, int_value=1), counts) == []
    assert counts["unknown_alias"] == 1


def test_metrics_at_different_times_are_different_rows_and_null_is_no_reading() -> None:
    message = Payload(timestamp=T + 9000)
    message.metrics.add(name="Engine/RPM", timestamp=T + 5000).double_value = 1.0
    message.metrics.add(name="coolant", timestamp=T + 6000).double_value = 2.0
    message.metrics.add(name="coolant", is_null=True)
    rows = open_decoder(SPEC, COLUMNS).decode(fields("DDATA"), message.SerializeToString(), Counter())
    assert [row.time for row in rows] == [(T + late) * 1000 for late in (5000, 6000, 9000)]
    assert rows[2].values[1] != rows[2].values[1]


def test_other_kinds_carry_no_readings() -> None:
    counts: Counter[str] = Counter()
    assert open_decoder(SPEC, COLUMNS).decode(fields("NDEATH"), b"anything", counts) == []
    assert counts == {"other_kind": 1}


def test_a_metric_that_cannot_be_read_costs_itself_and_is_counted_by_signal() -> None:
    message = Payload(timestamp=T)
    message.metrics.add(name="Engine/RPM", timestamp=5).double_value = 1.0
    message.metrics.add(name="coolant").string_value = b"88 C"
    message.metrics.add(name="oil").double_value = 2.0
    decoder, counts = open_decoder(SPEC, COLUMNS), Counter()
    (row,) = decoder.decode(fields("DDATA"), message.SerializeToString(), counts)
    assert (row.time, row.values[1]) == (T * 1000, 88.0)
    assert counts == {"bad_time": 1, "unknown_signal": 1}
    assert decoder.drops.counts == {"rpm": {"bad_time": 1}, "oil": {"unknown_signal": 1}}
    message = Payload(timestamp=T)
    message.metrics.add(name="coolant").double_value = float("nan")
    decoder.decode(fields("DDATA"), message.SerializeToString(), counts)
    assert decoder.drops.counts["coolant"] == {"not_finite": 1}


def test_names_are_those_of_metrics_with_a_number() -> None:
    message = Payload(seq=0)
    message.metrics.add(name="Engine/RPM", alias=1).float_value = 600.0
    message.metrics.add(name="driver").string_value = b"Bob"
    message.metrics.add(name="door").boolean_value = True
    message.metrics.add(name="bdSeq").long_value = 7
    message.metrics.add(name="Node Control/Scan Rate").long_value = 1000
    message.metrics.add(alias=2).double_value = 5.0
    decoder = open_decoder(SPEC, {})
    assert decoder.names(fields("DBIRTH"), message.SerializeToString()) == ["rpm", "door"]
    assert decoder.names(fields("NDEATH"), b"anything") == []


def test_a_damaged_state_is_forgotten() -> None:
    decoder = open_decoder(SPEC, COLUMNS)
    decoder.restore(b"\x00damaged")
    assert decoder.state() == open_decoder(SPEC, COLUMNS).state()


def test_kinds_of_values_that_are_no_numbers_are_counted_and_cost_themselves() -> None:
    """A data set, a template, bytes and a file have fields of their own; a name that is not UTF-8 is a stranger's."""
    decoder, counts = open_decoder(SPEC, COLUMNS), Counter()
    others = b"".join(field(2, field(1, b"coolant") + field(kind, b"")) for kind in (16, 17, 18, 19))
    others += field(2, field(1, b"\xff\xfe") + b"\x65\x00\x00\x80\x3f")
    (row,) = decoder.decode(fields("DDATA"), data(9) + others + named("Engine/RPM", 5), counts)
    assert row.values[0] == 5
    assert counts == {"not_a_number": 4, "unknown_signal": 1, "unknown_alias": 1}
    assert decoder.drops.counts["coolant"] == {"not_a_number": 4}


def named(name: str, value: float) -> bytes:
    message = Payload()
    message.metrics.add(name=name, float_value=value)
    return message.SerializeToString()

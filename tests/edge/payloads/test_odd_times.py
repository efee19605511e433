"""Times that are no plain number and no ISO 8601 text."""

import pytest

from tickover.payloads.base import PayloadError
from tickover.payloads.values import event_time

AT = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"seconds": 1_700_000_000, "nanos": 250_000_000}, AT + 250_000),
        ({"seconds": "1700000000"}, AT),
        ({"sec": 1_700_000_000, "nanosec": 999}, AT),
        ({"secs": 1_700_000_000, "nsecs": 5_000}, AT + 5),
        ({"sec": 1_700_000_000.0, "usec": 7}, AT + 7),
        ({"epochSecond": 1_700_000_000, "nano": 1_000}, AT + 1),
        ({"$date": 1_700_000_000_000}, AT),
        ({"$date": "2023-11-14T22:13:20Z"}, AT),
        ({"$date": {"$numberLong": "1700000000000"}}, AT),
        ("/Date(1700000000000)/", AT),
        ("/Date(1700000000000+0100)/", AT),
        ("Tue, 14 Nov 2023 22:13:20 GMT", AT),
        ("Tue, 14 Nov 2023 23:13:20 +0100", AT),
        ("2023/11/14 22:13:20", AT),
        ("2023-11-14t22:13:20z", AT),
        ({"_seconds": 1_700_000_000, "_nanoseconds": 5_000}, AT + 5),
        ("2023/11/14T22:13:20.25Z", AT + 250_000),
        ("14.11.2023 22:13:20", AT),
        ("14-Nov-2023 22:13:20", AT),
        ("2023-11-14T23:13:20+01:00[Europe/Berlin]", AT),
        ("Tue Nov 14 22:13:20 2023", AT),
        ("Tue Nov 14 2023 23:13:20 GMT+0100 (Central European Standard Time)", AT),
    ],
)
@pytest.mark.parametrize("unit", ["s", "ms", "iso"])
def test_read(value, expected, unit):
    assert event_time(value, unit) == expected


def test_comma_before_the_fraction():
    assert event_time("1700000000,25", "s") == AT + 250_000


@pytest.mark.parametrize(
    "value",
    [
        *({}, {"nanos": 5}, {"seconds": None}, {"seconds": "x"}, {"sec": 1_700_000_000, "nanosec": "x"}),
        *({"$date": None}, {"$date": "x"}, {"$date": {}}, {"seconds": True}, {"seconds": float("nan")}),
        *({"seconds": float("inf")}, {"seconds": 10**30}, "/Date(x)/", "/Date(99999999999999999)/", "2023/13/14"),
        *(
            "11/14/2023 22:13:20",
            "14.13.2023",
            "14-Xyz-2023",
            "Tue Nov 99 22:13:20 2023",
            "2023-11-14T22:13:20Z[",
            "20231399000000",
        ),
        *("Tue, 99 Nov 2023 22:13:20 GMT", "Tue, 1", "z", "2023-11-14x", "1,2,3", [1_700_000_000, 0]),
    ],
)
def test_refused(value):
    with pytest.raises(PayloadError, match="bad_time"):
        event_time(value, "s")

"""Addresses as people write them, and the keys that say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickover.transports.mqtt.address import Address, read_address, written
from tickover.transports.mqtt.settings import Broker


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h", Address("h")),
        ("h:1", Address("h", 1)),
        ("broker.example.org", Address("broker.example.org")),
        ("10.0.0.1", Address("10.0.0.1")),
        ("::1", Address("::1")),
        ("[::1]", Address("::1")),
        ("[fe80::1%2]:9", Address("fe80::1%2", 9)),
        ("mqtt://h", Address("h", 0, "mqtt")),
        ("MQTTS://h:8884/", Address("h", 8884, "mqtts")),
        ("ws://[::1]:8080/mqtt", Address("::1", 8080, "ws", "/mqtt")),
        ("wss://h/a/b", Address("h", 0, "wss", "/a/b")),
    ],
)
def test_the_parts_of_an_address(text: str, expected: Address) -> None:
    assert read_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "h ",
        "h:",
        "h:0",
        "h:65536",
        "h:x",
        "h/mqtt",
        "http://h",
        "mqtt://",
        "user@h",
        "[h]:1",
        "h#",
        "h\n",
        "a b",
    ],
)
def test_what_is_no_address_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_address(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = read_address(text)
    except ValueError:
        return
    assert address.host
    assert read_address(written(address.host, address.port or 1)).host == address.host


@pytest.mark.parametrize(
    ("host", "keys"),
    [
        ("mqtt://b.example", 'set host = "b.example", port = 1883'),
        ("mqtts://b.example", 'set host = "b.example", port = 8883 and a table [broker.tls]'),
        ("ws://b.example/x", 'set host = "b.example", port = 80, transport = "websockets", path = "/x"'),
        ("127.0.0.1:1883", 'set host = "127.0.0.1", port = 1883'),
        ("[::1]", 'set host = "::1"'),
        ("http://b", "expected a host's name or address"),
        ("", "expected a host's name or address"),
        ("b.example ", "expected a host's name or address"),
    ],
)
def test_a_host_that_says_more_is_refused_with_the_keys_to_set(host: str, keys: str) -> None:
    problem = Broker(client_id="d", host=host).problem()
    assert problem
    assert problem.startswith("host: ")
    assert keys in problem


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_host_is_a_host(host: str) -> None:
    assert Broker(client_id="d", host=host).problem() is None


@pytest.mark.parametrize(
    ("fallback", "said"),
    [("x:y", "expected HOST"), ("mqtt://b", "broker.transport"), ("b.example", "plaintext to b.example")],
)
def test_another_broker_is_checked_as_the_first(fallback: str, said: str) -> None:
    problem = Broker(client_id="d", fallback=(fallback,)).problem()
    assert problem
    assert said in problem


def test_another_broker_has_the_port_of_the_first_unless_it_names_one() -> None:
    broker = Broker(client_id="d", host="::1", port=7, fallback=("localhost", "[::1]:9"))
    assert broker.problem() is None
    assert broker.addresses == (("::1", 7), ("localhost", 7), ("::1", 9))

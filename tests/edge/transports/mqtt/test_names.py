"""Where the broker is: names that no server knows or that no server answers for, and addresses of IPv6."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import MOSQUITTO, Broker, free_port
from edge.transports.mqtt.test_link import Tap, payloads, send
from peers import tickover
from tickover.transports.base import Connected, Disconnected
from tickover.transports.mqtt.lookup import At, Lookup, connect
from tickover.transports.mqtt.settings import Broker as Settings

NAME = "broker.example"
AT_ONCE_S = 3.0


class Names:
    """The name server: answers are `socket.getaddrinfo`'s for this machine; ``hang`` and ``unknown`` are for `NAME`."""

    def __init__(self) -> None:
        self.asked = 0
        self.unknown = False
        self.hang: threading.Event | None = None
        self._ask = socket.getaddrinfo

    def __call__(self, host: str, port: int, *rest: Any, **more: Any) -> Any:
        if host != NAME:
            return self._ask(host, port, *rest, **more)
        self.asked += 1
        if self.hang:
            self.hang.wait(30)
        if self.unknown:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self._ask("127.0.0.1", port, *rest, **more)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    server = Names()
    monkeypatch.setattr(socket, "getaddrinfo", server)
    yield server
    if server.hang:
        server.hang.set()


def settings(broker: Broker, **more: Any) -> Settings:
    return Settings(client_id="d", host=NAME, port=broker.port, allow_plaintext=True, keepalive_s=2, **more)


def test_a_name_that_is_unknown_at_boot_is_asked_for_again(broker: Broker, names: Names) -> None:
    names.unknown = True
    tap = Tap(settings(broker))
    tap.until(lambda: bool(tap.of(Disconnected)), "an attempt")
    assert "name resolution" in tap.of(Disconnected)[0].reason
    names.unknown = False
    tap.ready().link.stop(2)


def test_a_lookup_that_hangs_stops_nothing(broker: Broker, names: Names) -> None:
    """The thread shows signs of life, the next broker is tried, and the thread ends when told to."""
    names.hang = threading.Event()
    tap = Tap(settings(broker, fallback=(f"127.0.0.1:{broker.port}",)))
    oldest = [0.0]

    def connected() -> bool:
        oldest[0] = max(oldest[0], time.monotonic() - tap.link.beat)
        return bool(tap.of(Connected))

    tap.until(connected, "the other broker")
    assert "no name server answered for 'broker.example' within 3 s" in tap.of(Disconnected)[0].reason
    assert oldest[0] < AT_ONCE_S
    tap.link.stop(2)

    lonely = Tap(settings(broker))
    lonely.until(lambda: names.asked == 2, "asked")
    began = time.monotonic()
    lonely.link.stop(AT_ONCE_S)
    assert time.monotonic() - began < AT_ONCE_S


def test_a_lookup_that_hangs_is_waited_for_again(names: Names) -> None:
    names.hang = threading.Event()
    lookup = Lookup(lambda: True)
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"broker\.example"):
            lookup.find(NAME, 1, 0.05)
    names.hang.set()
    assert lookup.find(NAME, 1, 5) == [At(socket.AF_INET, ("127.0.0.1", 1))]
    assert names.asked == 1


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "\udc80"])
def test_what_is_no_name_is_an_error_of_the_connection(host: str) -> None:
    with pytest.raises(OSError, match=r"no host name|not known|Errno"):
        Lookup(lambda: True).find(host, 1, 5)


def test_the_first_address_that_accepts_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody, somebody = At(socket.AF_INET, ("127.0.0.1", free_port())), At(socket.AF_INET, server.getsockname())
        assert connect([nobody, somebody], 5).getpeername() == server.getsockname()
    with pytest.raises(ConnectionRefusedError):
        connect([nobody, somebody], 5)


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_the_link_and_a_command_reach_a_broker_by_ipv6(tmp_path: Path, host: str) -> None:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = free_port()
    with Broker(tmp_path / "broker", f"allow_anonymous true\nlistener {port} {host}") as broker:
        tap = Tap(Settings(client_id="d", host=host, port=port)).ready()
        send(broker, 20)
        tap.until(lambda: len(payloads(tap)) == 20, "all messages")
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        assert tap.of(Connected)[0].address == where
        tap.link.stop(2)
        done = tickover("simulate", "--broker", where, "--count", "5", "--speed", "100")
        assert (done.returncode, "5 messages acknowledged" in done.stderr) == (0, True), done.stderr

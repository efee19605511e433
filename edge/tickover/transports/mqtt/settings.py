"""``[broker]`` of the configuration: where the MQTT broker is, and how the daemon connects to it."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tickover.host import toml
from tickover.host.toml import Seconds
from tickover.transports.base import Level
from tickover.transports.mqtt.address import WEBSOCKET_PATH, Address, read_address

Protocol = Literal["auto", "5", "3.1.1"]
Carrier = Literal["tcp", "websockets"]
MOST_FALLBACKS: Final = 8
ENV_USERNAME: Final = "TICKOVER_MQTT_USERNAME"
ENV_PASSWORD: Final = "TICKOVER_MQTT_PASSWORD"  # the variable's name


class Tls(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Files in PEM: ``ca`` (absent: the system's), and for client certificates ``certificate`` and ``key``."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class Secret(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the credentials file holds (TOML)."""

    username: str
    password: str


class Broker(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the broker is and how to talk to it.

    ``receive_maximum`` bounds the messages in flight to the daemon (Mosquitto 2.0.11 sends more); half of it
    unacknowledged forces a commit. ``taken_over_wait_s``: how long to stay disconnected when another client uses the
    client id.
    ``protocol`` auto: MQTT 5, and 3.1.1 with a broker that does not speak it. ``transport``: how MQTT travels; ``path``
    is that of a WebSocket. ``fallback``: other brokers, HOST or HOST:PORT, tried in order when one cannot be reached;
    user, TLS and transport are the same.
    Plaintext to another machine needs ``allow_plaintext = true``. Credentials come from the TOML file
    ``credentials`` (``username``, ``password``) or the environment, never from the command line.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    client_id: Level
    protocol: Protocol = "auto"
    transport: Carrier = "tcp"
    path: Annotated[str, Meta(pattern=r"^/[^\s?#]*$(?!\n)", max_length=1024)] = WEBSOCKET_PATH
    fallback: Annotated[tuple[str, ...], Meta(max_length=MOST_FALLBACKS)] = ()
    keepalive_s: Annotated[int, Meta(ge=2, le=3600)] = 30
    session_expiry_s: Annotated[int, Meta(ge=60, le=4_294_967_295)] = 7 * 86_400
    receive_maximum: Annotated[int, Meta(ge=2, le=65_535)] = 2000
    credentials: str | None = None
    tls: Tls | None = None
    allow_plaintext: bool = False
    taken_over_wait_s: Seconds = 300.0

    def credentials_of(self) -> tuple[str | None, str | None]:
        """Username and password, or two Nones."""
        if self.credentials:
            secret = toml.decode(toml.read(Path(self.credentials)), Secret, self.credentials)
            return secret.username, secret.password
        return os.environ.get(ENV_USERNAME), os.environ.get(ENV_PASSWORD)

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each broker, in order of preference; only of settings without a `problem`."""
        others = [read_address(text) for text in self.fallback]
        return ((self.host, self.port), *((other.host, other.port or self.port) for other in others))

    def problem(self) -> str | None:
        """What types alone cannot say, or None; a problem of one key begins with the key."""
        if problem := self._host_problem() or self._fallback_problem():
            return problem
        open_hosts = [host for host, _ in self.addresses if not is_loopback(host)]
        if self.tls is None and not self.allow_plaintext and open_hosts:
            return f"plaintext to {open_hosts[0]}: expected [broker.tls], or allow_plaintext = true"
        if self.tls and bool(self.tls.certificate) != bool(self.tls.key):
            return "tls: expected certificate and key together"
        return None

    def _host_problem(self) -> str | None:
        expected = f"host: expected a host's name or address, got {self.host!r}"
        try:
            address = read_address(self.host)
        except ValueError:
            return expected
        # paho takes an IPv6 address without brackets, and the port apart from it.
        return None if address == Address(self.host) else f"{expected}; set {keys_of(address)}"

    def _fallback_problem(self) -> str | None:
        for text in self.fallback:
            try:
                address = read_address(text)
            except ValueError as error:
                return f"fallback: {error}"
            if address.scheme:
                keys = "broker.transport and [broker.tls] hold for all"
                return f"fallback: expected HOST or HOST:PORT, got {text!r}; {keys}"
        return None


def keys_of(address: Address) -> str:
    """The keys of ``[broker]`` that say the same as an address."""
    keys, kind = [f'host = "{address.host}"'], address.kind
    if port := address.port or (kind.port if kind else 0):
        keys.append(f"port = {port}")
    if kind and kind.websockets:
        keys.append('transport = "websockets"')
    if address.path:
        keys.append(f'path = "{address.path}"')
    return ", ".join(keys) + (" and a table [broker.tls]" if kind and kind.tls else "")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its name or address alone: where plaintext is always allowed."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

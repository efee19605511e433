"""How to reach a broker: address, credentials, TLS. The daemon's client and that of the commands share it."""

import ssl
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from paho.mqtt.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tickover.errors import BrokerError, ConfigError
from tickover.transports.mqtt.address import WEBSOCKET_PATH, written
from tickover.transports.mqtt.settings import Broker, Carrier, Protocol, Tls, is_loopback

MAX_PACKET: Final = 65_536
"""The longest packet that the broker may send, bytes."""


class Connection(Struct, frozen=True, kw_only=True):
    """``ca`` absent: the system's authorities; ``certificate`` and ``key`` are the client's.

    ``plaintext`` allows a connection without TLS to a host that is not loopback. ``fallback``: host and port of other
    brokers, for when this one cannot be reached.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    plaintext: bool = False
    protocol: Protocol = "auto"
    transport: Carrier = "tcp"
    path: str = WEBSOCKET_PATH
    fallback: tuple[tuple[str, int], ...] = ()

    @property
    def address(self) -> str:
        """HOST:PORT for messages, or the URL of a WebSocket."""
        where = written(self.host, self.port)
        return where if self.transport == "tcp" else f"{'wss' if self.tls else 'ws'}://{where}{self.path}"

    @property
    def each(self) -> "tuple[Connection, ...]":
        """This connection and those to the other brokers, each without others."""
        alone = replace(self, fallback=())
        return (alone, *(replace(alone, host=host, port=port) for host, port in self.fallback))

    @property
    def is_allowed(self) -> bool:
        """False for plaintext to another machine without ``plaintext``."""
        hosts = (self.host, *(host for host, _ in self.fallback))
        return self.tls or self.plaintext or all(map(is_loopback, hosts))

    @property
    def files(self) -> str:
        """The TLS files, for messages."""
        return ", ".join(str(path) for path in (self.ca, self.certificate, self.key) if path)

    def tls_context(self) -> ssl.SSLContext:
        """The TLS context; BrokerError names the files when one cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            raise BrokerError(f"broker {self.address}: cannot use the TLS files {self.files}: {error}") from error
        return context

    def introduce(self, client: Client) -> None:
        """Give the client its credentials, TLS context and path."""
        if self.transport == "websockets":
            # paho names an IPv6 host there without its brackets.
            client.ws_set_options(self.path, {"Host": written(self.host, self.port)})
        if self.username:
            client.username_pw_set(self.username, self.password)
        if self.tls:
            client.tls_set_context(self.tls_context())


def configured(broker: Broker) -> Connection:
    """The connection that the daemon's configuration describes; ConfigError when the credentials cannot be read."""
    username, password = broker.credentials_of()
    tls = broker.tls or Tls()
    (host, port), *others = broker.addresses
    return Connection(
        host=host,
        port=port,
        username=username,
        password=password,
        tls=broker.tls is not None,
        ca=_path(tls.ca),
        certificate=_path(tls.certificate),
        key=_path(tls.key),
        plaintext=broker.allow_plaintext,
        protocol=broker.protocol,
        transport=broker.transport,
        path=broker.path,
        fallback=tuple(others),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def check_files(broker: Broker) -> None:
    """Read credentials and certificates as connecting will; ConfigError names what cannot be used."""
    connection = configured(broker)
    if not connection.tls:
        return
    try:
        connection.tls_context()
    except BrokerError as error:
        got = f"{connection.files}: {error.__cause__}"
        raise ConfigError(f"broker.tls: expected PEM files that can be read, got {got}") from error


def session(expiry_s: int, receive_maximum: int, max_packet: int = MAX_PACKET) -> Properties:
    """What an MQTT 5 client asks for when it connects: how long its session outlives the connection, and how many
    messages the broker may send unacknowledged."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = expiry_s
    properties.ReceiveMaximum = receive_maximum
    properties.MaximumPacketSize = max_packet
    return properties

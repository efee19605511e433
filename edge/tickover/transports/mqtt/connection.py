"""How to reach a broker: address, credentials, TLS. The daemon's client and that of the commands share it."""

import ssl
from pathlib import Path
from typing import Final

from msgspec import Struct
from paho.mqtt.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tickover.errors import BrokerError, ConfigError
from tickover.transports.mqtt.settings import Broker, Tls, is_loopback

PORT: Final = 1883
TLS_PORT: Final = 8883
MAX_PACKET: Final = 65_536
"""The longest packet that the broker may send, bytes."""


class Connection(Struct, frozen=True, kw_only=True):
    """``ca`` absent: the system's authorities; ``certificate`` and ``key`` are the client's.

    ``plaintext`` allows a connection without TLS to a host that is not loopback.
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

    @property
    def address(self) -> str:
        """HOST:PORT for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_allowed(self) -> bool:
        """False for plaintext to another machine without ``plaintext``."""
        return self.tls or self.plaintext or is_loopback(self.host)

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
        """Give the client its credentials and TLS context."""
        if self.username:
            client.username_pw_set(self.username, self.password)
        if self.tls:
            client.tls_set_context(self.tls_context())


def configured(broker: Broker) -> Connection:
    """The connection that the daemon's configuration describes; ConfigError when the credentials cannot be read."""
    username, password = broker.credentials_of()
    tls = broker.tls or Tls()
    return Connection(
        host=broker.host,
        port=broker.port,
        username=username,
        password=password,
        tls=broker.tls is not None,
        ca=_path(tls.ca),
        certificate=_path(tls.certificate),
        key=_path(tls.key),
        plaintext=broker.allow_plaintext,
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


def session(expiry_s: int, receive_maximum: int) -> Properties:
    """What an MQTT 5 client asks for when it connects: how long its session outlives the connection, and how many
    messages the broker may send unacknowledged."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = expiry_s
    properties.ReceiveMaximum = receive_maximum
    properties.MaximumPacketSize = MAX_PACKET
    return properties

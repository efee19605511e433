"""``[broker]`` of the configuration: where the MQTT broker is, and how the daemon connects to it."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tickover.host import toml
from tickover.host.toml import Seconds
from tickover.transports.base import Level

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
    Plaintext to another machine needs ``allow_plaintext = true``. Credentials come from the TOML file
    ``credentials`` (``username``, ``password``) or the environment, never from the command line.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    client_id: Level
    protocol: Literal["5", "3.1.1"] = "5"
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

    def problem(self) -> str | None:
        """What types alone cannot say, or None."""
        if self.tls is None and not self.allow_plaintext and not is_loopback(self.host):
            return f"plaintext to {self.host}: expected [broker.tls], or allow_plaintext = true"
        if self.tls and bool(self.tls.certificate) != bool(self.tls.key):
            return "tls: expected certificate and key together"
        return None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its name or address alone: where plaintext is always allowed."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Where a broker is, as people write it: ``HOST``, ``HOST:PORT``, ``[IPV6]:PORT``, or a URL such as ``wss://HOST/mqtt``."""

import re
from typing import Final, NamedTuple

PORT: Final = 1883
TLS_PORT: Final = 8883
WEBSOCKET_PATH: Final = "/mqtt"
"""Where brokers listen for WebSockets when nothing else is said."""
EXPECTED: Final = "expected HOST, HOST:PORT, [IPV6]:PORT, or a URL of mqtt, mqtts, ws or wss"


class Scheme(NamedTuple):
    """What a URL's scheme says."""

    websockets: bool
    tls: bool
    port: int


SCHEMES: Final = {
    "mqtt": Scheme(False, False, PORT),
    "tcp": Scheme(False, False, PORT),
    "mqtts": Scheme(False, True, TLS_PORT),
    "ssl": Scheme(False, True, TLS_PORT),
    "tls": Scheme(False, True, TLS_PORT),
    "ws": Scheme(True, False, 80),
    "wss": Scheme(True, True, 443),
}
_ADDRESS: Final = re.compile(
    r"(?:(?P<scheme>[a-zA-Z]+)://)?"
    r"(?:\[(?P<six>[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%[\w.-]+)?)\]|(?P<bare>[0-9a-fA-F]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*)"
    r"|(?P<host>[^\s:\[\]/@?#]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^\s?#]*)?"
)
LONGEST_PORT: Final = 65_535


class Address(NamedTuple):
    """``scheme`` empty, ``port`` 0, ``path`` empty: not named."""

    host: str
    port: int = 0
    scheme: str = ""
    path: str = ""

    @property
    def kind(self) -> Scheme | None:
        """What the scheme says, when one is named."""
        return SCHEMES.get(self.scheme)


def read_address(text: str) -> Address:
    """The parts of an address; ValueError says what was expected. An IPv6 address may stand without brackets alone."""
    found = _ADDRESS.fullmatch(text)
    scheme = ((found and found["scheme"]) or "").lower()
    if found is None or (scheme and scheme not in SCHEMES) or (found["path"] and not scheme):
        raise ValueError(f"{EXPECTED}, got {text!r}")
    if found["port"] and not 0 < int(found["port"]) <= LONGEST_PORT:
        raise ValueError(f"expected a port from 1 to {LONGEST_PORT}, got {found['port']} in {text!r}")
    host = found["six"] or found["bare"] or found["host"]
    return Address(host, int(found["port"] or 0), scheme, (found["path"] or "").rstrip("/"))


def written(host: str, port: int) -> str:
    """HOST:PORT for messages; an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""Runs the page: the listener in its thread, the web server in this one, until it is told to stop."""

import contextlib
import ipaddress
import logging
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn

from tickover.errors import TickoverError
from tickover.web.app import application
from tickover.web.desk import Desk
from tickover.web.listener import Listener
from tickover.web.security import Guard
from tickover.web.stream import Bell

CLOSE_S: Final = 2
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""What a browser on this machine asks for; any other name is a trick to reach loopback from a foreign site."""
MOST_CONNECTIONS: Final = 400


class WebError(TickoverError):
    """The page cannot be served as asked."""

    exit_code = 2


@dataclass(frozen=True)
class Front:
    """Where the page is served, and to whom. ``names``: further names under which a browser may ask for it."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    plaintext: bool = False
    names: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"

    @property
    def hosts(self) -> frozenset[str]:
        """The names that are answered; empty: all, since a token or a certificate is asked for."""
        local = not self.token and not self.client_ca
        return LOCAL_NAMES | {name.lower() for name in self.names} if local else frozenset()

    @property
    def url(self) -> str:
        """The address to open."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}/"

    def check(self) -> None:
        """WebError when others could see the page without saying who they are, or read along."""
        if bool(self.certificate) != bool(self.key):
            raise WebError("--tls-cert and --tls-key: expected both or neither")
        if self.client_ca and not self.certificate:
            raise WebError("--client-ca: expected --tls-cert and --tls-key with it: client certificates need TLS")
        if self.is_local:
            return
        if not self.token and not self.client_ca:
            raise WebError(
                f"--listen {self.host}: expected --token-file FILE or --client-ca FILE, since other machines reach it"
            )
        if not self.certificate and not self.plaintext:
            raise WebError(
                f"--listen {self.host}: expected --tls-cert and --tls-key; --plaintext-web sends the token unencrypted"
            )


class _Server(uvicorn.Server):
    """Ends the streams first: they would wait for ever."""

    bell: Bell

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving."""
        self.bell.close()
        await super().shutdown(sockets)


def serve(desk: Desk, listener: Listener, front: Front, ready: Any = lambda: None) -> None:
    """Serve until KeyboardInterrupt, by whichever signal; ``ready`` is called once the address is taken (WebError)."""
    front.check()
    bell = Bell()
    desk.changed = bell.ring
    guard = Guard(application(desk, listener, bell), front.hosts, front.token, front.certificate is not None)
    config = uvicorn.Config(
        guard,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=CLOSE_S,
        ssl_certfile=front.certificate,
        ssl_keyfile=front.key,
        ssl_ca_certs=str(front.client_ca) if front.client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if front.client_ca else ssl.CERT_NONE,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise WebError(f"--tls-cert, --tls-key, --client-ca: cannot be used: {error}") from error
    server = _Server(config)
    server.bell = bell
    with _listen(front) as channel:
        listener.start()
        ready()
        try:
            # uvicorn raises the signal again once it has stopped.
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[channel])
        finally:
            listener.stop()


def _listen(front: Front) -> socket.socket:
    family = socket.AF_INET6 if ":" in front.host else socket.AF_INET
    try:
        return socket.create_server((front.host, front.port), family=family, backlog=128)
    except OSError as error:
        where = f"{front.host}:{front.port}"
        reason = os.strerror(error.errno) if error.errno else error
        raise WebError(f"cannot listen on {where}: {reason}; choose another --port or --listen") from error

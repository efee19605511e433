"""A broker's addresses, without waiting for its name server longer than is allowed.

The C library's lookup cannot be interrupted, and lasts minutes when no name server answers, as when a truck starts out
of reach of its network. So it has a thread of its own; one that hangs is waited for again by the next attempt.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

LOOK_S: Final = 0.1
"""How often a wait looks up."""


class At(NamedTuple):
    """Where to connect: the address family, and the address as the socket takes it."""

    family: int
    address: Any


class Lookup:
    """Finds addresses by name. ``go_on``: called while waiting; False ends the wait."""

    def __init__(self, go_on: Callable[[], bool]) -> None:
        self._go_on = go_on
        self._pending: dict[tuple[str, int], _Query] = {}

    def find(self, host: str, port: int, seconds: float) -> list[At]:
        """The addresses in order of preference; OSError when there are none or they did not come in time."""
        query = self._pending.get((host, port))
        if query is None:
            query = self._pending[host, port] = _Query(host, port)
        end = time.monotonic() + seconds
        while not query.done.wait(min(LOOK_S, max(0.0, end - time.monotonic()))):
            if not self._go_on() or time.monotonic() >= end:
                raise TimeoutError(f"no name server answered for {host!r} within {seconds:g} s")
        del self._pending[host, port]
        if query.error:
            raise query.error
        return query.found


class _Query:
    """One lookup in a thread."""

    def __init__(self, host: str, port: int) -> None:
        self.found: list[At] = []
        self.error: OSError | None = None
        self.done = threading.Event()
        threading.Thread(target=self._run, args=(host, port), name="lookup", daemon=True).start()

    def _run(self, host: str, port: int) -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.found = [At(family, address) for family, _, _, _, address in answers]
        except (OSError, UnicodeError) as error:  # a name that no name can be, such as one with an empty label
            self.error = error if isinstance(error, OSError) else OSError(f"{host!r} is no host name: {error}")
        finally:
            self.done.set()


def connect(places: Sequence[At], seconds: float) -> socket.socket:
    """A TCP connection to the first that accepts it, within ``seconds`` in all; OSError of the last that did not."""
    end, last = time.monotonic() + seconds, OSError("the name has no address")
    for place, (family, address) in enumerate(places):
        one = socket.socket(family, socket.SOCK_STREAM)
        try:
            one.settimeout(max(LOOK_S, (end - time.monotonic()) / (len(places) - place)))
            one.connect(address)
        except OSError as error:
            one.close()
            last = error
        else:
            one.settimeout(seconds)
            return one
    raise last

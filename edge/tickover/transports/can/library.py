"""Other interfaces through python-can (extra ``can``): the only import of it."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tickover.errors import ConfigError
from tickover.transports.can.base import ERROR, EXTENDED, REMOTE, Filter, Frame

BATCH: Final = 512
INSTALL: Final = "python-can is missing; install it with: pip install 'tickover[can]'"
_HEAVY: Final = ("asammdf", "pandas")
"""What python-can imports where it is installed, for files that nothing here reads: 2 s and 100 MB."""


def check_installed(interface: str) -> None:
    """ConfigError when python-can is missing, or does not know the interface."""
    can = _library()
    known = sorted(can.interfaces.VALID_INTERFACES)
    if interface not in known:
        raise ConfigError(f"bus.interface: expected socketcan or one of python-can's ({', '.join(known)})")


def open_bus(interface: str, channel: str, options: Mapping[str, Any], filters: Sequence[Filter]) -> "LibraryPort":
    """An interface of python-can; OSError when it cannot be opened."""
    can = _library()
    wanted = [
        {"can_id": one.match & 0x1FFFFFFF, "can_mask": one.mask & 0x1FFFFFFF, "extended": bool(one.match & EXTENDED)}
        for one in filters
    ]
    try:
        bus = can.Bus(interface=interface, channel=channel, can_filters=wanted or None, **options)
    except (can.CanError, ValueError, TypeError, ImportError) as error:
        raise OSError(f"{interface}: {error}") from error
    return LibraryPort(bus, can.CanError)


def _library() -> Any:
    hidden = [name for name in _HEAVY if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import can
    except ImportError as error:
        raise ConfigError(f"bus.interface: {INSTALL}") from error
    finally:
        for name in hidden:
            del sys.modules[name]
    return can


class LibraryPort:
    """An open bus of python-can."""

    dropped = 0
    """It does not say."""

    def __init__(self, bus: Any, failure: type[Exception]) -> None:
        self._bus, self._failure = bus, failure

    def receive(self, timeout: float) -> list[Frame]:
        """Frames that are there, waiting for the first."""
        frames: list[Frame] = []
        try:
            message = self._bus.recv(timeout)
            while message is not None:
                flags = EXTENDED * message.is_extended_id | REMOTE * message.is_remote_frame
                flags |= ERROR * message.is_error_frame
                key = message.arbitration_id | flags
                frames.append(Frame(round(message.timestamp * 1e6), key, bytes(message.data)))
                message = self._bus.recv(0) if len(frames) < BATCH else None
        except self._failure as error:
            raise OSError(str(error)) from error
        return frames

    def close(self) -> None:
        """Let go of the interface."""
        self._bus.shutdown()

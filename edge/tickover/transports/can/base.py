"""What a bus gives: frames one by one, and what was lost."""

from typing import NamedTuple, Protocol

EXTENDED = 0x8000_0000
REMOTE = 0x4000_0000
ERROR = 0x2000_0000
"""Flags of an identifier, as the kernel has them."""


class Frame(NamedTuple):
    """One frame: ``time`` in microseconds since 1970, ``key`` the identifier with the kernel's flags."""

    time: int
    key: int
    payload: bytes


class Filter(NamedTuple):
    """Frames with ``key & mask == match`` are wanted."""

    match: int
    mask: int


class Port(Protocol):
    """An open interface."""

    def receive(self, timeout: float) -> list[Frame]:
        """Frames, waiting up to ``timeout`` seconds for the first; OSError when the interface is gone or down."""

    @property
    def dropped(self) -> int:
        """Frames that the receiver lost because nobody took them in time, since it was opened."""

    def close(self) -> None:
        """Let go of the interface."""

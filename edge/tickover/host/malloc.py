"""The C library's memory allocator, set up for the daemon's two threads."""

import ctypes
from contextlib import suppress
from typing import Final

ARENA_MAX: Final = -8
"""``M_ARENA_MAX`` of glibc's malloc.h."""


def share_one_arena() -> None:
    """Both threads take memory from one arena, so that what one frees serves the other; call before threads start.

    With an arena each, messages that one thread makes and the other frees leave holes in both (docs/daemon.md). Where
    the C library is not glibc, nothing happens.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(ARENA_MAX, 1)

"""The C library's memory allocator, set up for the daemon's two threads, and for processes that work through logs."""

import ctypes
from contextlib import suppress
from typing import Final

ARENA_MAX: Final = -8
TRIM_THRESHOLD: Final = -1
MMAP_THRESHOLD: Final = -3
"""``M_ARENA_MAX`` and the others of glibc's malloc.h."""
LARGEST_BLOCK: Final = 32 << 20
"""What glibc allows at most for ``M_MMAP_THRESHOLD``."""
KEPT: Final = 512 << 20


def share_one_arena() -> None:
    """Both threads take memory from one arena, so that what one frees serves the other; call before threads start.

    With an arena each, messages that one thread makes and the other frees leave holes in both (docs/daemon.md). Where
    the C library is not glibc, nothing happens.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(ARENA_MAX, 1)


def keep_freed_memory() -> None:
    """Arrays of some megabytes that are made and freed again and again take memory that is there, and not new pages of
    the system each time: that takes longer than what is done with them. The process gives up to ``KEPT`` bytes back
    only at its end. Where the C library is not glibc, nothing happens.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, LARGEST_BLOCK)
        library.mallopt(TRIM_THRESHOLD, KEPT)


def give_back_free() -> None:
    """Return the pages of the heap that hold nothing to the system; some milliseconds. Not glibc: nothing happens.

    What a start, a large batch or a checkpoint took leaves room between what stays, and glibc by itself gives back only
    what lies at the end.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

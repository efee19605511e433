"""The clock, and whether the kernel says that it is synchronised (``adjtimex``, Linux; elsewhere: yes)."""

import ctypes
import functools
import time
from typing import Any, Final

TIME_ERROR: Final = 5
"""``adjtimex`` returns this while the clock is not synchronised."""
TIMEX_BYTES: Final = 512
"""More than ``struct timex`` takes; all zero: read only."""


def now_us() -> int:
    """The time of this clock, microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def is_synced(setting: str = "auto") -> bool:
    """True when the clock can be trusted; ``setting`` synced or unsynced overrides the kernel."""
    if setting != "auto":
        return setting == "synced"
    try:
        return int(_libc().adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))) != TIME_ERROR
    except (OSError, AttributeError):
        return True

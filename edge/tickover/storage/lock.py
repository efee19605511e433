"""The lock of a state folder: one daemon at a time, and none while the store is moved."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InUseError(Exception):
    """Another process holds the lock."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; InUseError when another process does, OSError when the folder cannot be opened.

    The folder itself is locked, not a file in it: that works on a read-only disk and leaves nothing behind.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(str(folder)) from None
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether another process, a daemon, holds the folder. A folder that cannot be opened is held by nobody."""
    try:
        with held(folder):
            return False
    except InUseError:
        return True
    except OSError:
        return False

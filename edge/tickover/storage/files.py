"""Files: bounded reads, and atomic, durable replacement."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

TEMPORARY: Final = ".tmp"


def read_text(path: Path, limit: int) -> str:
    """A UTF-8 text file; OSError when it cannot be read, ValueError when it is no UTF-8 or over ``limit`` bytes."""
    return read_bytes(path, limit).decode("utf-8-sig")


def read_bytes(path: Path, limit: int) -> bytes:
    """A whole file; OSError when it cannot be read, ValueError when it is over ``limit`` bytes or no plain file."""
    with open(path, "rb", opener=_at_once) as file:
        # Asked of the open file: another can stand under its name a moment later.
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("expected a plain file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"expected at most {limit} bytes")
    return data


def _at_once(path: str, flags: int) -> int:
    """An ``opener`` that does not wait for whoever writes a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def no_link(path: str, flags: int) -> int:
    """An ``opener`` for ``open`` that does not follow a symbolic link at the path's end: OSError (ELOOP)."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


@contextlib.contextmanager
def replace_file(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to write, which replaces ``path`` durably when the block ends without an error.

    OSError names ``path``, not the temporary file beside it.
    """
    # The rename makes the change atomic. Both calls of fsync are needed: without the first a power cut can leave an
    # empty file under the new name, without the second the old file.
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with open(temporary, "wb", opener=no_link) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename and Path(error.filename) == temporary:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

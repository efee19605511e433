"""A disk so small that a test can fill it: a tmpfs, which needs the right to mount."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

SIZE = "500k"


class SmallDisk:
    """A mounted ``folder`` to fill, to free again, and to make read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Take all the room that is left."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1024))

    def free(self) -> None:
        """Give back what ``fill`` took."""
        self._ballast.unlink()

    def remount(self, how: str) -> None:
        """``ro`` makes it read-only, ``rw`` writable again."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[SmallDisk | None]:
    """A small disk at ``folder``; None where mounting is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder]
    if os.geteuid() or subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode:
        yield None
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)

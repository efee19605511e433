"""A state folder that only its user reads: mode 0700, and 0600 for the files in it, however they came to be."""

import os
import stat
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
UMASK: Final = 0o077
OTHERS: Final = 0o077
"""The permissions of everybody but the owner."""


def create(folder: Path) -> None:
    """The folder, for its user alone where it is new; its parents as usual."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def tighten(folder: Path, start: str) -> list[str]:
    """Close the folder, and the files in it whose names begin with ``start``, to others; what to tell people.

    A folder that holds anything else is left as it is, and told: it may be everybody's. OSError when the folder cannot
    be read.
    """
    entries = [entry for entry in os.scandir(folder) if entry.name != "lost+found"]
    own = [entry for entry in entries if entry.name.startswith(start)]
    modes = ((Path(entry.path), FOLDER_MODE if entry.is_dir() else FILE_MODE) for entry in own)
    told = [line for path, mode in modes if (line := _close(path, mode))]
    if len(own) == len(entries):
        return [*told, *filter(None, [_close(folder, FOLDER_MODE)])]
    mode = stat.S_IMODE(folder.stat().st_mode)
    other = sorted({entry.name for entry in entries} - {entry.name for entry in own})[0]
    if mode & OTHERS:
        told.append(
            f"state.folder: {folder} can be read by others (mode {mode:04o}) and is left so, as it holds other files "
            f"({other!r}); name a folder of its own"
        )
    return told


def links(folder: Path, start: str) -> list[Path]:
    """Symbolic links that bear the names of our files; following one would write where it points."""
    if not folder.is_dir():
        return []
    own = (entry for entry in os.scandir(folder) if entry.name.startswith(start))
    return sorted(Path(entry.path) for entry in own if entry.is_symlink())


def _close(path: Path, mode: int) -> str:
    """Take the permissions of others away, not following a link; what to tell, or nothing."""
    try:
        # The folder may be a link that its owner made; a file in it may not, and chmod would follow it.
        before = stat.S_IMODE(path.stat().st_mode)
        if not before & OTHERS or (path.is_symlink() and not path.is_dir()):
            return ""
        path.chmod(mode)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{path} can be read by others and cannot be closed to them: {error.strerror or error}"
    return f"{path} could be read by others (mode {before:04o}); it is {mode:04o} now"

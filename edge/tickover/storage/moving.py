"""A stopped daemon's store as one file, to go on elsewhere: on another machine, or in another folder."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from tickover.errors import StateError
from tickover.storage import private
from tickover.storage.contents import Contents, copied, look
from tickover.storage.database import Error, open_plain
from tickover.storage.files import replace_file
from tickover.storage.lock import InUseError, held
from tickover.storage.store import FILE

PIECE: Final = 1 << 20


def export(folder: Path, file: Path) -> Contents:
    """Write the store of a folder into one file, its log included; what it holds.

    StateError when there is no sound store, or a daemon holds it: what it acknowledges afterwards would be lost.
    """
    with _held(folder):
        found = _sound(look(folder))
        with copied(folder) as copy, tempfile.TemporaryDirectory(prefix="tickover-state-") as name:
            whole = Path(name) / FILE
            try:
                with closing(open_plain(copy)) as db:
                    db.execute("VACUUM INTO ?", (str(whole),))
            except Error as error:
                raise StateError(f"{folder}: the store cannot be copied: {error}") from error
            _write(whole, file)
            file.chmod(private.FILE_MODE)
    return found


def take(file: Path, folder: Path) -> Contents:
    """Put an exported store into a folder that has none; what it holds.

    StateError when the file is no sound store that this release reads, or the folder has a store already.
    """
    with tempfile.TemporaryDirectory(prefix="tickover-state-") as name:
        try:
            _write(file, Path(name) / FILE)
        except OSError as error:
            raise StateError(f"{file}: cannot be read: {error.strerror or error}") from error
        found = _sound(look(Path(name)), str(file))
        try:
            private.create(folder)
        except OSError as error:
            raise StateError(f"{folder}: cannot be used: {error.strerror or error}") from error
        with _held(folder):
            if (folder / FILE).exists():
                raise StateError(
                    f"{folder}: expected a folder without a store, got one with {FILE}; nothing is changed"
                )
            _write(Path(name) / FILE, folder / FILE)
            (folder / FILE).chmod(private.FILE_MODE)
    return found


def _sound(found: Contents, name: str = "") -> Contents:
    name = name or str(found.folder)
    if found.problem:
        raise StateError(f"{name}: expected a sound store, got a damaged one: {found.problem}")
    if found.version is None:
        raise StateError(f"{name}: expected a store, got none")
    if found.is_newer:
        raise StateError(
            f"{name}: a later release wrote the store (version {found.version}): this one does not read it"
        )
    return found


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder as a daemon does; StateError when one runs."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder))
        except InUseError:
            raise StateError(f"{folder}: a running daemon holds it; stop that one first") from None
        except OSError as error:
            raise StateError(f"{folder}: cannot be read: {error.strerror or error}") from error
        yield


def _write(source: Path, target: Path) -> None:
    with source.open("rb") as read, replace_file(target) as out:
        while piece := read.read(PIECE):
            out.write(piece)

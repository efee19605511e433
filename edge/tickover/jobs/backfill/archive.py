"""The log files of an archive: files, folders, globs, and URLs that ``fsspec`` knows."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tickover.errors import LogError
from tickover.jobs.backfill import remote
from tickover.jobs.backfill.archive_file import HIDDEN, MAGIC, STAMP, ArchiveFile
from tickover.logs.formats.registry import log_suffixes
from tickover.logs.packed import PACKED


class Found(NamedTuple):
    """The ``files`` in order of their names, and how many others lie beside them that are no logs."""

    files: list[ArchiveFile]
    others: int


def find(archives: Sequence[str], besides: Path | None = None) -> Found:
    """All logs of the ``archives``, each once; what lies under ``besides`` is not looked at.

    LogError names an archive that holds none, or cannot be read.
    """
    suffixes = log_suffixes()
    files: dict[str, ArchiveFile] = {}
    others = 0
    for archive in archives:
        is_empty = True
        try:
            for file, named in remote.find(archive) if remote.is_url(archive) else _local(archive, besides):
                is_empty = False
                if named or _is_log(file.where, suffixes):
                    files[file.where] = file
                else:
                    others += 1
        except OSError as error:
            raise LogError(f"{archive}: cannot read the archive: {error.strerror or error}") from error
        if is_empty:
            raise LogError(f"{archive}: expected logs (a file, a folder, a glob in quotes, or a URL), got none there")
    if not files:
        known = ", ".join("*" + suffix for suffix in suffixes)
        raise LogError(f"{archives[0]}: expected logs named {known} (or packed: {', '.join(PACKED)}), got none")
    apart = len({file.where.rpartition("/")[0] for file in files.values()}) > 1
    found = [_in_its_folder(file) if apart and not file.folders else file for file in files.values()]
    return Found(sorted(found, key=lambda file: natural(file.where)), others)


def _in_its_folder(file: ArchiveFile) -> ArchiveFile:
    """A shell writes ``archive/*`` out: of logs that lie in several folders, each one's own tells it apart."""
    return file._replace(folders=(PurePosixPath(file.where).parent.name,))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts names by the numbers in them: ``trip 9`` before ``trip 10``."""
    parts: list[str] = [""]
    for mark in name:
        if parts[-1] and mark.isdecimal() != parts[-1].isdecimal():
            parts.append("")
        parts[-1] += mark
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def dated(where: str) -> str:
    """The last date, with a time or without, in a path, as it is written (year first); empty for none."""
    found = STAMP.findall(where)
    return found[-1] if found else ""


def _is_log(where: str, suffixes: Iterable[str]) -> bool:
    path = PurePosixPath(where)
    while path.suffix.lower() in PACKED:
        path = path.with_suffix("")
    return path.suffix.lower() in suffixes


def _local(archive: str, besides: Path | None) -> Iterator[tuple[ArchiveFile, bool]]:
    """The files of a path or a glob; and whether each was named itself, whatever it is called."""
    if not Path(archive).exists() and any(mark in archive for mark in MAGIC):
        root = _fixed(archive)
        for text in sorted(glob.glob(archive, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute patterns
            for file in _below(Path(text), besides) if Path(text).is_dir() else [_entry(Path(text), ())]:
                inner = Path(file.where).relative_to(root.absolute())
                if besides is None or not Path(file.where).is_relative_to(besides.absolute()):
                    yield file._replace(folders=inner.parts[:-1]), False
        return
    path = Path(archive)
    if path.is_dir():
        yield from ((file, False) for file in _below(path, besides))
    elif path.exists():
        yield _entry(path, ()), True
    else:
        raise LogError(f"{archive}: expected a log, a folder, a glob in quotes or a URL, got nothing there")


def _fixed(pattern: str) -> Path:
    """The folders of a glob before the first mark."""
    parts = Path(pattern).parts
    count = next(place for place, part in enumerate(parts) if any(mark in part for mark in MAGIC))
    return Path(*parts[:count])


def _below(root: Path, besides: Path | None) -> Iterator[ArchiveFile]:
    """What lies below a folder; a folder that is a link is not entered, so that a circle ends."""
    for folder, inner, names in os.walk(root, onerror=_raise):
        inner[:] = sorted(
            name for name in inner if not name.startswith(HIDDEN) and not _is_same(Path(folder, name), besides)
        )
        folders = Path(folder).relative_to(root).parts
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(HIDDEN) and path.is_file():
                yield _entry(path, folders)


def _is_same(folder: Path, besides: Path | None) -> bool:
    return besides is not None and besides.exists() and folder.resolve() == besides.resolve()


def _raise(error: OSError) -> None:
    raise error


def _entry(path: Path, folders: tuple[str, ...]) -> ArchiveFile:
    about = path.stat()
    return ArchiveFile(str(path.absolute()), about.st_size, str(about.st_mtime_ns), folders)

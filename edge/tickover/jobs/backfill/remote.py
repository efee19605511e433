"""Archives elsewhere, by their URL: the only import of ``fsspec`` (extra ``s3`` brings it with Amazon's S3)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, Literal, cast

from tickover.errors import LogError
from tickover.jobs.backfill.archive_file import HIDDEN, MAGIC, ArchiveFile

MARK: Final = "://"
STAMPS: Final = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "checksum",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
)
"""What file systems say of a file's content or its last change, the surest first."""
S3: Final = ("s3", "s3a")
NOT_THERE: Final = (ImportError, ValueError)
"""What fsspec raises for a URL that nothing installed knows."""


def is_url(text: str) -> bool:
    """Whether this is a URL rather than a path of this machine."""
    return MARK in text


@dataclass(frozen=True, slots=True)
class RemoteLog:
    """A log by its URL, as `logs.reading` opens one."""

    url: str

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return PurePosixPath(self.url).name

    def __str__(self) -> str:
        return self.url

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """Open it to read, block by block; OSError when that fails."""
        system, path = _system(self.url)
        try:
            return cast(BinaryIO, system.open(path, mode))
        except OSError:
            raise
        except Exception as error:  # the libraries' errors share no narrower base
            raise OSError(f"{type(error).__name__}: {error}") from error


def find(url: str) -> Iterator[tuple[ArchiveFile, bool]]:
    """The files that a URL names: one, those below it, or those that its glob fits; and whether it is named itself."""
    system, path = _system(url)
    many = any(mark in path for mark in MAGIC)
    root = PurePosixPath(
        path.partition("*")[0].partition("?")[0].partition("[")[0].rpartition("/")[0] if many else path
    )
    try:
        found: dict[str, Any] = system.glob(path, detail=True) if many else system.find(path, detail=True)
    except OSError:
        raise
    except Exception as error:  # as above
        raise LogError(f"{url}: cannot read the archive: {type(error).__name__}: {error}") from error
    for name, about in sorted(found.items()):
        inner = PurePosixPath(name)
        below = inner.relative_to(root).parts[:-1] if inner.is_relative_to(root) else ()
        hidden = any(part.startswith(HIDDEN) for part in (*below, inner.name))
        if about.get("type") == "file" and not hidden:
            stamp = next((str(about[key]) for key in STAMPS if about.get(key)), "")
            yield ArchiveFile(system.unstrip_protocol(name), int(about.get("size") or 0), stamp, below), name == path


def _system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it; LogError says what is missing."""
    import fsspec

    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
        return found
    except NOT_THERE as error:
        scheme = url.partition(MARK)[0]
        hint = "; pip install 'tickover[s3]'" if scheme in S3 else ""
        raise LogError(f"{url}: expected a URL that fsspec can open, got {scheme}{MARK}: {error}{hint}") from error

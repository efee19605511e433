"""Compressed logs: gzip, bzip2, xz and zip archives with one member, told by their first bytes."""

import bz2
import contextlib
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import BinaryIO, Final, cast

from tickover.errors import LogError

PACKED: Final = (".gz", ".bz2", ".xz", ".zip")
"""Suffixes that may follow that of a log."""
DAMAGED: Final = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)
"""What unpacking raises when the data are damaged or cut short."""
ZIP: Final = b"PK\x03\x04"
WORKBOOK: Final = "[Content_Types].xml"
TABLES: Final = frozenset(
    (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".asc", ".trc", ".blf", ".mf4", ".log")
)
"""Suffixes of a member that is the log when the others have none of them."""
_HIDDEN: Final = ("__MACOSX/", ".")

_UNPACK: Final[dict[bytes, Callable[[BinaryIO], object]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


@contextlib.contextmanager
def unpacked(file: BinaryIO, name: str) -> Iterator[tuple[BinaryIO, str]]:
    """The stream inside ``file`` and the name that its content goes by; the file itself when it is not packed."""
    start = file.read(8)
    file.seek(0)
    inner = name
    while PurePath(inner).suffix.lower() in PACKED:
        inner = str(PurePath(inner).with_suffix(""))
    unpack = next((unpack for magic, unpack in _UNPACK.items() if start.startswith(magic)), None)
    if unpack:
        yield cast(BinaryIO, unpack(file)), inner
    elif start.startswith(ZIP):
        with zipfile.ZipFile(file) as archive:
            member = _only_member(archive, name)
            with archive.open(member) as stream:
                yield cast(BinaryIO, stream), member.filename
    else:
        yield file, name


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [
        info
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith(_HIDDEN) and "/." not in info.filename
    ]
    if any(info.filename == WORKBOOK for info in members):
        raise LogError(f"{name}: expected a log, got an Excel workbook: save the sheet with the log as CSV")
    if len(members) > 1:
        # Exports come with a README or a licence beside the log.
        tables = [info for info in members if PurePath(info.filename).suffix.lower() in TABLES]
        members = tables if len(tables) == 1 else members
    if len(members) != 1:
        names = ", ".join(ascii(info.filename) for info in members[:5])
        raise LogError(f"{name}: expected a zip archive with one log, got {len(members)} members ({names}); unpack it")
    if members[0].flag_bits & 1:
        raise LogError(f"{name}: expected a zip archive without a password; unpack it")
    return members[0]

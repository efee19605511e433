"""One log of an archive, and the names that archives use."""

import re
from typing import Final, NamedTuple

HIDDEN: Final = (".", "_")
"""How the names begin of what other tools leave beside their data (``_SUCCESS``, ``_metadata``, ``.part.crc``)."""
MAGIC: Final = ("*", "?", "[")

YEAR: Final = r"(?:19|20)\d\d"
DATE: Final = rf"{YEAR}[-_.]?(?:0?[1-9]|1[0-2])(?:[-_.]?(?:0?[1-9]|[12]\d|3[01]))?"
_TIME: Final = r"(?:[T_ -]*\d{1,2}[-_.:h]?\d{2}(?:[-_.:m]?\d{2})?(?:[.,]\d+)?Z?)?"
STAMP: Final = re.compile(rf"(?<!\d){DATE}{_TIME}(?!\d)", re.ASCII)
"""A date in a path, the year first, and a time that may follow it."""


class ArchiveFile(NamedTuple):
    """One log of an archive, not opened yet.

    ``where``: its path or URL. ``size`` in bytes. ``stamp``: changes when its content does (the time of the last
    change, or what an object store says). ``folders``: those between what was named and the file.
    """

    where: str
    size: int
    stamp: str
    folders: tuple[str, ...] = ()

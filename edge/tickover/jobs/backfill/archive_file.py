"""One log of an archive, and the names that archives use."""

from typing import Final, NamedTuple

HIDDEN: Final = (".", "_")
"""How the names begin of what other tools leave beside their data (``_SUCCESS``, ``_metadata``, ``.part.crc``)."""
MAGIC: Final = ("*", "?", "[")


class ArchiveFile(NamedTuple):
    """One log of an archive, not opened yet.

    ``where``: its path or URL. ``size`` in bytes. ``stamp``: changes when its content does (the time of the last
    change, or what an object store says). ``folders``: those between what was named and the file.
    """

    where: str
    size: int
    stamp: str
    folders: tuple[str, ...] = ()

"""Log formats of other distributions, by the entry-point group ``tickover.log_formats``.

An entry point's name is the suffix (``.trc``); its value is a module, or an object in one, with the two functions of
`base.LogFormat`. It is loaded when a log with its suffix is met and no format of tickover has that suffix. Every
failure in it becomes a LogError that names the distribution.
"""

import contextlib
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

from tickover.core.values import Readings
from tickover.errors import LogError, TickoverError
from tickover.logs.formats.base import Head, Job, LogFormat
from tickover.logs.mapping import LogLayout

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "tickover.log_formats"


def suffixes() -> tuple[str, ...]:
    """The suffixes that installed distributions offer to read, in lower case."""
    return tuple(sorted({entry.name.lower() for entry in _entries()}))


def find(suffix: str) -> LogFormat | None:
    """The plug-in of a suffix in lower case, loaded; None when no distribution offers one."""
    offered = [entry for entry in _entries() if entry.name.lower() == suffix]
    if len(offered) > 1:
        names = " and ".join(_origin(entry) for entry in offered)
        raise LogError(f"expected one distribution that reads *{suffix}, got {names}; uninstall all but one")
    return _Plugin(offered[0]) if offered else None


def _entries() -> "Iterable[EntryPoint]":
    from importlib.metadata import entry_points  # costs start-up time that few logs need

    return entry_points(group=GROUP)


class _Plugin:
    """A format of another distribution; its failures are reported under the name of the distribution."""

    def __init__(self, entry: "EntryPoint") -> None:
        self._who = f"the log format of {_origin(entry)}"
        try:
            self._format: LogFormat = entry.load()
        except Exception as error:
            raise LogError(f"{self._who} cannot be loaded: {_shown(error)}; update or uninstall it") from error
        missing = [name for name in ("head", "read") if not callable(getattr(self._format, name, None))]
        if missing:
            raise LogError(f"{self._who}: expected functions head and read in {entry.value}, got no {missing[0]}")

    def head(self, stream: BinaryIO, layout: LogLayout, name: str) -> Head:
        """What the log holds."""
        with self._named(name):
            head = self._format.head(stream, layout, name)
        if not isinstance(head, Head):
            raise LogError(f"{name}: {self._who}: expected a Head from head(), got {type(head).__name__}")
        return head

    def read(self, stream: BinaryIO, job: Job) -> Iterator[Readings]:
        """Blocks of readings."""
        with self._named(job.name):
            for block in self._format.read(stream, job):
                self._check(block, job)
                yield block

    def _check(self, block: Readings, job: Job) -> None:
        """What the rest of tickover takes for granted of a block, and would otherwise fail over far from its cause."""
        shape = (len(block.time), len(job.mapping.names))
        if block.signals != job.mapping.names or block.values.shape != shape:
            expected = f"values {list(shape)} of {', '.join(job.mapping.names)}"
            raise LogError(
                f"{job.name}: {self._who}: expected {expected}, got {list(block.values.shape)} of "
                f"{', '.join(block.signals)}"
            )
        if block.time.dtype != np.int64 or block.values.dtype != np.float64:
            got = f"{block.time.dtype} and {block.values.dtype}"
            raise LogError(f"{job.name}: {self._who}: expected times int64 and values float64, got {got}")

    @contextlib.contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """What the format does not refuse itself, and reading a file does not explain, is a defect of the format."""
        try:
            yield
        except (TickoverError, OSError, EOFError, zlib.error):
            raise
        except Exception as error:
            raise LogError(f"{name}: {self._who} failed: {_shown(error)}; update or uninstall it") from error


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _origin(entry: "EntryPoint") -> str:
    """The distribution and its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value

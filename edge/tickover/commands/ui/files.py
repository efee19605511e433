"""Files that commands read and write, as arguments."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from tickover.errors import TickoverError


class OutputFile(click.Path):
    """A file to write. Its folder must be there, which is checked before any work is done."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a usage error when it has no folder."""
        path: Any = super().convert(value, param, ctx)
        if not path.parent.is_dir():
            self.fail(f"expected an existing folder, got {path.parent}", param, ctx)
        return path


READABLE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A file that a foreign library opens, so click checks it; for a ``FILE`` our own readers name the problem."""
FILE: Final = click.Path(path_type=Path)
WRITABLE: Final = OutputFile(dir_okay=False, path_type=Path)


@contextlib.contextmanager
def write_errors_named() -> Iterator[None]:
    """Turn a failed write into one clear message; a closed pipe is left to click."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise TickoverError(f"cannot write: {error.strerror or error}: {error.filename or 'output'}") from error

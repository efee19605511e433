"""A file of verdicts of people on alerts, as ``tickover state --verdicts`` and ``web`` write it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tickover.errors import LogError, TickoverError
from tickover.storage.files import read_bytes

MAX_BYTES: Final = 64 * 2**20
Line = TypeVar("Line", bound=msgspec.Struct)


def verdict_lines(
    path: Path, kind: type[Line], refusal: Callable[[int, str], TickoverError] | None = None
) -> Iterator[tuple[int, Line]]:
    """The number and content of each line; ``kind``: the part of a `messages.bodies.VerdictRecord` that is wanted.

    LogError when the file cannot be read. A line that is none is told by ``refusal``, by its number and what is wrong;
    None: by a LogError.
    """
    for number, text in enumerate(read_bytes(path, MAX_BYTES).splitlines(), 1):
        if not text.strip():
            continue
        try:
            yield number, msgspec.json.decode(text, type=kind)
        except (msgspec.DecodeError, RecursionError) as error:
            why = f"expected a verdict as `tickover state --verdicts` writes it: {error}"
            raise (refusal(number, why) if refusal else LogError(f"{path}, line {number}: {why}")) from error

"""A disk that forgets: what may be left of a folder when the power goes.

The rules are those of POSIX, harsher than any one file system. After ``fsync`` of a file its bytes and length stay;
after ``fsync`` of a folder its names stay. Everything since may be there, be missing, or be there in part, each
write for itself and in any combination: later ones without earlier ones, and a write cut off in its middle.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from faults.recording import Op

SECTOR: Final = 512
"""A torn write ends at a multiple of this, as on real disks; one in eight ends anywhere."""


@dataclass
class _File:
    """Bytes that are safe, and calls that are not."""

    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[Op] = field(default_factory=list)

    def sync(self) -> None:
        for op in self.unsafe:
            _apply(self.safe, op)
        self.unsafe.clear()

    def left(self, chance: random.Random, keep: float) -> bytes:
        """What a cut leaves; ``keep`` is the share of unsafe calls that made it."""
        content = bytearray(self.safe)
        for op in self.unsafe:
            if chance.random() < keep:
                _apply(content, op if keep == 1 or chance.random() < 0.7 else _torn(op, chance))
        return bytes(content)


class Disk:
    """A folder, flat, that replays recorded calls. `cut` may be asked at any time and changes nothing."""

    def __init__(self) -> None:
        self._names: dict[str, _File] = {}
        self._safe_names: dict[str, _File] = {}
        self._unsafe: list[tuple[str, _File | None]] = []

    def do(self, op: Op) -> None:
        """Replay one call."""
        if op.kind == "create" and op.name not in self._names:
            self._name(op.name, _File())
        elif op.kind == "remove":
            self._name(op.name, None)
        elif op.kind == "rename":
            file = self._names[op.name]
            self._name(op.data.decode(), file)
            self._name(op.name, None)
        elif op.kind == "sync":
            self._sync(op.name)
        elif op.kind in ("write", "truncate") and op.name in self._names:
            self._names[op.name].unsafe.append(op)

    @property
    def at_risk(self) -> int:
        """How many calls a cut here may undo."""
        return len(self._unsafe) + sum(len(file.unsafe) for file in self._names.values())

    def cut(self, chance: random.Random) -> dict[str, bytes]:
        """Names and contents after a power cut here, with nothing, all, or some of what was not synced."""
        keep = chance.choice([0.0, 0.0, 1.0, 0.2, 0.5, 0.8])
        names = dict(self._safe_names)
        for name, file in self._unsafe:
            if chance.random() < keep:
                names[name] = file  # type: ignore[assignment]  # None: the name is gone
        return {name: file.left(chance, keep) for name, file in names.items() if file is not None}

    def _name(self, name: str, file: _File | None) -> None:
        self._unsafe.append((name, file))
        if file is None:
            self._names.pop(name, None)
        else:
            self._names[name] = file

    def _sync(self, name: str) -> None:
        if name == "":
            self._safe_names, self._unsafe = dict(self._names), []
        elif name in self._names:
            self._names[name].sync()


def write_out(content: dict[str, bytes], folder: Path) -> Path:
    """Put an image into a fresh folder."""
    folder.mkdir(parents=True)
    for name, body in content.items():
        (folder / name).write_bytes(body)
    return folder


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.at :]
        content.extend(bytes(op.at - len(content)))
        return
    if len(content) < op.at:
        content.extend(bytes(op.at - len(content)))
    content[op.at : op.at + len(op.data)] = op.data


def _torn(op: Op, chance: random.Random) -> Op:
    """Only the first part of a write; a truncate is whole."""
    if op.kind == "truncate":
        return op
    cut = chance.randrange(len(op.data) + 1)
    if chance.random() < 7 / 8:
        cut -= (op.at + cut) % SECTOR if (op.at + cut) % SECTOR <= cut else cut
    return Op("write", op.name, op.at, op.data[:cut])

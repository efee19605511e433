"""What a process did to a folder, call by call, as strace saw it: the raw material of power cuts.

Only calls that reach a disk or a socket are recorded: writes with their bytes, truncations, syncs, and names made and
removed. Whatever else could change the folder (a plain ``write``, a mapped file) raises, so that nothing is missed.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

STRACE: Final = shutil.which("strace")
CALLS: Final = (
    "pwrite64,pwritev,pwritev2,write,writev,fsync,fdatasync,sync_file_range,msync,ftruncate,truncate,fallocate,"
    "rename,renameat,renameat2,unlink,unlinkat,openat,open,creat,mkdir,mkdirat,rmdir,link,linkat,sendto,sendmsg"
)
LONGEST: Final = 200_000
"""Bytes of one call that strace keeps."""

_LINE: Final = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
_BYTES: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FD: Final = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*|[^>]*)>")
_RESULT_FD: Final = re.compile(r"= \d+<((?:\\x[0-9a-f]{2})*)>")

Kind = Literal["write", "truncate", "sync", "create", "remove", "rename", "say", "send"]


@dataclass(frozen=True, slots=True)
class Op:
    """One recorded call; ``name`` is relative to the folder ("" is the folder itself, for syncs).

    ``at`` is an offset, or the new length of a truncate; ``data`` what was written, or a rename's new name. ``say``
    is a write to standard output, ``send`` one to a socket.
    """

    kind: Kind
    name: str = ""
    at: int = 0
    data: bytes = b""


def strace(log: Path, *options: str) -> list[str]:
    """The command that records calls into ``log``; put the recorded command after it."""
    assert STRACE
    return [STRACE, "-f", "-y", "-qq", "-xx", "-s", str(LONGEST), "-e", f"trace={CALLS}", "-o", str(log), *options]


def record(command: list[str], folder: Path, log: Path, **options: object) -> list[Op]:
    """Run the command to its end and give what it did to the folder."""
    subprocess.run([*strace(log), *command], check=True, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    return list(operations(log, folder))


def operations(log: Path, folder: Path) -> Iterator[Op]:
    """The recorded calls, in order of their ends."""
    begun: dict[str, str] = {}
    with log.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            whole = _whole(line.rstrip("\n"), begun)
            if whole and (op := _operation(whole, str(folder.resolve()))):
                yield op


def _whole(line: str, begun: dict[str, str]) -> str | None:
    """Join the two halves of a call that another thread interrupted."""
    task = line.split(" ", 1)[0]
    if line.endswith("<unfinished ...>"):
        begun[task] = line.removesuffix("<unfinished ...>").rstrip()
        return None
    found = re.match(r"^\d+ +<\.\.\. \w+ resumed>(.*)$", line, re.DOTALL)
    return begun.pop(task) + found[1] if found else line


def _operation(line: str, folder: str) -> Op | None:
    match = _LINE.match(line)
    if not match or int(match[4]) < 0:
        return None
    call, text, result = match[2], match[3], int(match[4])
    if call in ("openat", "open", "creat"):
        return _opened(line, text, folder)
    if call in ("unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "link", "linkat"):
        return _renamed(call, text, folder)
    target = _FD.match(text)
    if not target:
        return None
    path = _plain(target[2])
    if call in ("sendto", "sendmsg"):
        return Op("send", data=_data(text, result))
    if target[1] == "1" and call == "write":
        return Op("say", data=_data(text, result))
    name = _inside(path, folder)
    if name is None:
        return None
    if call in ("fsync", "fdatasync"):
        return Op("sync", name)
    if call == "pwrite64":
        return Op("write", name, int(text.rsplit(",", 1)[1]), _data(text, result))
    if call == "ftruncate":
        return Op("truncate", name, int(text.rsplit(",", 1)[1]))
    raise AssertionError(f"the recorder does not know how {call} changes {path}")


def _opened(line: str, text: str, folder: str) -> Op | None:
    path = _RESULT_FD.search(line)
    name = _inside(_plain(path[1]), folder) if path else None
    if not name or "O_CREAT" not in text:
        return None
    assert "O_TRUNC" not in text, f"the recorder does not know an open that truncates: {name}"
    return Op("create", name)


def _renamed(call: str, text: str, folder: str) -> Op | None:
    paths = [_inside(_plain(found[1]), folder) for found in _BYTES.finditer(text)]
    if call.startswith("unlink") and paths[0]:
        return Op("remove", paths[0])
    if call.startswith("rename") and (paths[0] or paths[1]):
        assert paths[0], "the recorder does not know a file that comes from outside"
        assert paths[1], "the recorder does not know a file that leaves"
        return Op("rename", paths[0], data=paths[1].encode())
    assert not any(paths), f"the recorder does not know how {call} changes {paths}"
    return None


def _inside(path: str, folder: str) -> str | None:
    """The path relative to the folder, "" for the folder itself, None outside."""
    path = path.removesuffix(" (deleted)")
    if path == folder:
        return ""
    return path[len(folder) + 1 :] if path.startswith(folder + "/") else None


def _plain(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text


def _data(text: str, length: int) -> bytes:
    found = _BYTES.search(text)
    assert found, text[:200]
    assert not found[2], f"a call of more than {LONGEST} bytes"
    return bytes.fromhex(found[1].replace("\\x", ""))[:length]

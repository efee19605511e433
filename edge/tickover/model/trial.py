"""Opens a model file in a child process first, within limits of memory and time, so that a running daemon goes on.

What checks cannot foresee, such as onnxruntime on a graph that fits every bound, costs the child. It does all that the
daemon will do with the model: the checks, the golden vectors, the largest calls, and measures these. Then it hands
over the graph that it checked, and the daemon opens that without another look at the file.

A daemon that starts has its models tried as well, but for the largest calls: protobuf, and what only the checks need,
is then in the child's memory and not in its own.

As a program, ``python -m tickover.model.trial FILE MEMORY_MB DESCRIPTOR [start]`` writes JSON (`_Verdict`), and the
graph to an open file: through a pipe it would be in the daemon's memory three times.
"""

import fcntl
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from tickover.core import manifest_codec
from tickover.core.manifest import MEMORY_MB
from tickover.errors import ModelError
from tickover.model.binding import call_size
from tickover.model.detector import Detector
from tickover.model.session import Model, check_bytes, open_checked, read_model, start_session

LONGEST_S: Final = 60.0
"""How long a trial may take."""
CPU_S: Final = 30
"""How much of one core it may use, in seconds."""
MEMORY_BYTES: Final = 320 * 1024 * 1024
"""How much memory it may take beyond what Python and the libraries hold at its start."""
CALL_S: Final = 1.0
"""How much of one core the model's largest call may take, in seconds: meanwhile the daemon's loop stands still."""
MB: Final = 1_000_000
EXTREMES: Final = (0.0, 3.4e38, -3.4e38, 1e-40, float("inf"), float("-inf"), float("nan"))
NICENESS: Final = 10
"""Of a trial beside a running daemon: where there is one core, the daemon's loop goes first."""
AT_START: Final = "start"
FIRST_FREE: Final = 3
"""The first descriptor that is no standard stream."""
_OUT_OF_MEMORY: Final = f"memory: expected to need at most {MEMORY_BYTES} bytes to check and run, needs more"
_KILL_FIRST: Final = b"1000"
"""The kernel's ``oom_score_adj`` that says: this process before any other of the service."""


class _Verdict(Struct):
    """What a trial found: a refusal, or a model's manifest, digest and file size."""

    refused: str = ""
    manifest: str = ""
    digest: str = ""
    size: int = 0


class Trial:
    """One model file on trial; ``at_start``: no daemon runs beside it. `cancel` may be called by another thread."""

    def __init__(self, path: Path, memory_mb: int = MEMORY_MB, at_start: bool = False) -> None:
        self._path = path
        self._memory_mb = memory_mb
        self._more = [AT_START] if at_start else []
        self._child: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()

    def open(self) -> Model:
        """Try the file, then open what was checked; ModelError names the file and why it was refused."""
        try:
            return self._open()
        except ModelError as error:
            raise ModelError(f"{self._path}: {error}") from error

    def cancel(self) -> None:
        """End the child; `open` then raises ModelError."""
        self._cancelled.set()
        if self._child:
            with suppress(ProcessLookupError):
                self._child.kill()

    def _open(self) -> Model:
        with closing(_Unnamed()) as graph:
            try:
                verdict = msgspec.json.decode(self._answer(graph.descriptor), type=_Verdict)
            except msgspec.DecodeError as error:
                raise ModelError(f"trial: expected an answer of the process that tries the file: {error}") from error
            if verdict.refused:
                raise ModelError(verdict.refused)
            manifest = manifest_codec.decode(verdict.manifest)
            return Model(start_session(graph.path), manifest, verdict.digest, verdict.size)

    def _answer(self, graph: int) -> bytes:
        """What the child tells, and its graph to a descriptor; ModelError when it does not come to its end."""
        # The child finds this very package, however this process found it; -P keeps the working folder out of its path.
        command = [sys.executable, "-P", "-m", __name__, str(self._path), str(self._memory_mb), str(graph)]
        command += self._more
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
        with subprocess.Popen(command, env=env, stdin=quiet, stdout=pipe, stderr=quiet, pass_fds=(graph,)) as child:
            self._child = child
            if self._cancelled.is_set():
                child.kill()
            try:
                answer, _ = child.communicate(timeout=LONGEST_S)
            except subprocess.TimeoutExpired:
                child.kill()
                raise ModelError(f"time: expected to be checked within {LONGEST_S:.0f} s, was not") from None
        if self._cancelled.is_set():
            raise ModelError("trial: cancelled")
        if child.returncode:
            raise ModelError(_ended(child.returncode))
        return answer


class _Unnamed:
    """A file in memory, for the graph of one model."""

    def __init__(self) -> None:
        made = os.memfd_create("model")
        # A process whose standard streams are closed gets their numbers, which the child's own streams take.
        self.descriptor = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
        os.close(made)
        self.path = f"/proc/self/fd/{self.descriptor}"

    def close(self) -> None:
        os.close(self.descriptor)


def _ended(code: int) -> str:
    """Why a child that gave no answer ended."""
    if code < 0:
        return f"trial: the process that tried the file was ended by signal {-code} (its limits: {CPU_S} s, memory)"
    return f"trial: the process that tried the file failed with code {code}"


def limit(niceness: int = NICENESS) -> None:
    """Set this process's limits, as far as the system lets it."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:  # noqa: PTH123
        file.write(_KILL_FIRST)
    with suppress(OSError):
        os.nice(niceness)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        bytes_ = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


def needs_memory(memory_mb: int, needed: int) -> str:
    """What is wrong with a model that needs so many bytes."""
    return f"memory: expected to need at most {memory_mb} MB, needs {-(-needed // MB)}; raise models.memory_mb"


def _try(path: Path, memory_mb: int, at_start: bool = False) -> tuple[_Verdict, bytes]:
    try:
        checked = check_bytes(read_model(path))
        model = open_checked(checked)
        needed = 0 if at_start else len(checked.graph) + _largest_calls(model)
        if needed > memory_mb * MB:
            raise ModelError(needs_memory(memory_mb, needed))
    except ModelError as error:
        return _Verdict(refused=str(error).removeprefix(f"{path}: ")), b""
    except MemoryError:
        return _Verdict(refused=_OUT_OF_MEMORY), b""
    manifest = manifest_codec.encode(model.manifest)
    return _Verdict(manifest=manifest, digest=model.digest, size=model.size), checked.graph


def _largest_calls(model: Model) -> int:
    """As many ticks, and as many vehicles, as the daemon ever gives to one call; the bytes that they took.

    The values are those that a reading can have: nought, the largest and the smallest, infinite, missing.
    """
    detector, most = Detector(model), call_size(model.manifest)
    states = np.tile(detector.new_state(), (most, 1))
    _forget_peak()
    before = _resident("VmRSS")
    for values in ((0.0,), EXTREMES):
        x = np.resize(np.array(values, np.float32), (most, len(model.manifest.signals)))
        calls: dict[str, Callable[[], object]] = {
            "ticks": partial(detector.run, x),
            "vehicles": partial(detector.run_batch, states, x[None]),
        }
        for what, call in calls.items():
            took = _seconds(call)
            if took > CALL_S:
                raise ModelError(
                    f"speed: expected {most} {what} to take at most {CALL_S:.1f} s of a core, took {took:.1f} s"
                )
    return _resident("VmHWM") - before


def _seconds(call: Callable[[], object]) -> float:
    """How long a call keeps the processor busy."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def _forget_peak() -> None:
    """Let the kernel measure this process's most resident memory anew (proc(5), clear_refs)."""
    with suppress(OSError), open("/proc/self/clear_refs", "wb", buffering=0) as file:  # noqa: PTH123
        file.write(b"5")


def _resident(field: str) -> int:
    """Bytes of ``VmRSS``, or of its most, ``VmHWM``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def main(path: Path, memory_mb: int, descriptor: int, when: str = "") -> None:
    """Try one file and write what came of it."""
    at_start = when == AT_START
    limit(0 if at_start else NICENESS)
    verdict, graph = _try(path, memory_mb, at_start)
    with open(descriptor, "wb") as file:
        file.write(graph)
    sys.stdout.buffer.write(msgspec.json.encode(verdict))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])

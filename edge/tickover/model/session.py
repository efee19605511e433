"""Opens a model file: size, seal, structure, manifest, then onnxruntime, then the golden vectors.

The only module that imports onnxruntime. Nothing unchecked reaches it: it is given what ``model.file.check`` has read
and written again, not the file's own bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime

from tickover.core import manifest_codec
from tickover.core.manifest import KEY_GOLDEN, KEY_MANIFEST, Manifest
from tickover.core.values import FloatArray
from tickover.errors import ModelError
from tickover.model.binding import call_size
from tickover.storage.files import read_bytes

if TYPE_CHECKING:
    from tickover.model.file.golden import Golden

MAX_BYTES: Final = 64 * 1024 * 1024
"""The largest model file that is opened."""

LONGEST_MESSAGE: Final = 600
"""Characters of an error: it quotes names out of the file, and there may be thousands."""

_FATAL_ONLY: Final = 4


@dataclass(frozen=True, slots=True)
class Model:
    """A checked model file: its onnxruntime session, its manifest, its digest (hex of the seal), its size in bytes."""

    session: Any
    manifest: Manifest
    digest: str
    size: int

    @property
    def spans(self) -> dict[str, slice]:
        """Where each state tensor lies in a vehicle's flat state ``float32[S]``."""
        ends = np.cumsum([state.size for state in self.manifest.states]).tolist()
        return {state.name: slice(end - state.size, end) for state, end in zip(self.manifest.states, ends, strict=True)}

    @property
    def initial(self) -> FloatArray:
        """The flat state of a vehicle that was never seen, ``float32[S]``."""
        parts = [np.full(state.size, state.initial, np.float32) for state in self.manifest.states]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Checked:
    """A model file that was checked: its graph as onnxruntime may read it, and the rest as in `Model`."""

    graph: bytes
    manifest: Manifest
    vectors: "Golden"
    digest: str
    size: int


def open_model(path: str | Path) -> Model:
    """Check and open a model file; ModelError names the file and the check that failed."""
    data = read_model(Path(path))
    try:
        return open_bytes(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def open_bytes(data: bytes) -> Model:
    """As ``open_model``, from memory."""
    return open_checked(check_bytes(data))


def check_bytes(data: bytes) -> Checked:
    """What a file holds, before onnxruntime reads it; ModelError names the check that failed."""
    # protobuf and the checks take 2.7 MB: the daemon, whose models a child process checks, never loads them.
    from tickover.model.file import golden
    from tickover.model.file.check import Structure
    from tickover.model.file.seal import check_seal

    if len(data) > MAX_BYTES:
        raise ModelError(f"size: expected at most {MAX_BYTES} bytes, got {len(data)}")
    try:
        digest = check_seal(data)
        structure = Structure(data)
        manifest = manifest_codec.decode(structure.metadata[KEY_MANIFEST])
        vectors = golden.decode(structure.metadata[KEY_GOLDEN], len(manifest.signals))
        return Checked(structure.check(manifest, call_size(manifest)), manifest, vectors, digest, len(data))
    except ModelError as error:
        raise ModelError(str(error)[:LONGEST_MESSAGE]) from error


def open_checked(checked: Checked) -> Model:
    """Open what was checked, and replay its golden vectors."""
    from tickover.model.file import golden

    session = start_session(checked.graph)
    golden.check(session, checked.manifest, checked.vectors)
    return Model(session, checked.manifest, checked.digest, checked.size)


def read_model(path: Path) -> bytes:
    """The file's bytes; ModelError when it is absent, no plain file, or too large."""
    try:
        return read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{path}: size: {error}") from error


def start_session(checked: bytes | str) -> Any:
    """A session over a model that was checked or just built, its bytes or the path of a file that holds them: one
    thread, quiet; a refusal becomes a ModelError.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _FATAL_ONLY
    options.enable_mem_pattern = False  # it remembers every (T, B) it has met
    options.enable_cpu_mem_arena = False  # at one tick its locks cost more than malloc, and it never gives back
    try:
        return onnxruntime.InferenceSession(checked, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no narrower base
        raise ModelError(f"onnxruntime: {str(error).strip().splitlines()[0]}") from error

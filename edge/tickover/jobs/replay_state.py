"""The state of a replay in a file, so that a log can be continued by the next one."""

from pathlib import Path
from typing import Final

import msgspec

from tickover.core.pipeline import Pipeline
from tickover.core.state_codec import seal, unseal
from tickover.errors import StateError
from tickover.storage.files import read_bytes, replace_file

MAX_STATE_BYTES: Final = 1 << 30
STATE_VERSION: Final = 1


class _State(msgspec.Struct, frozen=True, array_like=True):
    version: int
    vehicles: dict[str, bytes]


def save_state(pipeline: Pipeline, path: Path) -> None:
    """Write every vehicle's state, replacing the file whole."""
    vehicles = {vehicle: pipeline.state(vehicle) for vehicle in pipeline.vehicles}
    body = msgspec.msgpack.encode(_State(STATE_VERSION, vehicles))
    with replace_file(path) as file:
        file.write(seal(body))


def load_state(pipeline: Pipeline, path: Path, only: str | None = None) -> None:
    """Continue from a state file, with the vehicle ``only`` or with all in it.

    StateError names the file when it is damaged or of another model.
    """
    try:
        saved = msgspec.msgpack.decode(unseal(read_bytes(path, MAX_STATE_BYTES)), type=_State)
        if saved.version != STATE_VERSION:
            raise StateError(f"expected state of version {STATE_VERSION}, got {saved.version}")
        for vehicle, state in saved.vehicles.items():
            if only is None or vehicle == only:
                pipeline.restore(vehicle, state)
    except (StateError, msgspec.MsgspecError, ValueError) as error:
        raise StateError(f"{path}: {error}; name another --state file, or remove this one to start anew") from error
    except OSError as error:
        raise StateError(f"{path}: cannot read the state: {error.strerror or error}") from error

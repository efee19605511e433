"""A fit's checkpoint on disk: arrays as safetensors, the rest as JSON. No pickle.

Each epoch's arrays have their own file, written before the JSON that points to it; older ones are deleted afterwards.
So a kill at any moment leaves a whole pair.
"""

from pathlib import Path

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tickover.errors import RunError
from tickover.storage.files import replace_file
from tickover_train.fitting.fit import Checkpoint

GROUPS = ("best", "weights", "moments", "usual")
PENDING = "pending"
"""Beside the checkpoints while their training goes on: all folds may be fitted, and the limits not set yet."""


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """What ``fold-K.json`` holds; ``job`` identifies config and data."""

    job: str
    epoch: int
    losses: list[tuple[float, float]]
    best_epoch: int
    finished: bool


def write(folder: Path, fold: int, job: str, checkpoint: Checkpoint) -> None:
    """Replace the fold's checkpoint, durably."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{group}/{name}": a for group in GROUPS for name, a in getattr(checkpoint, group).items()}
    with replace_file(_arrays(folder, fold, checkpoint.epoch)) as file:
        file.write(save(arrays))
    head = _Head(job, checkpoint.epoch, checkpoint.losses, checkpoint.best_epoch, checkpoint.finished)
    with replace_file(folder / f"fold-{fold}.json") as file:
        file.write(msgspec.json.encode(head))
    for old in folder.glob(f"fold-{fold}.epoch-*.safetensors"):
        if old != _arrays(folder, fold, checkpoint.epoch):
            old.unlink()


def read(folder: Path, fold: int, job: str) -> Checkpoint | None:
    """The fold's checkpoint, None when there is none; RunError when it is of another job or damaged."""
    path = folder / f"fold-{fold}.json"
    if not path.exists():
        return None
    try:
        head = msgspec.json.decode(path.read_bytes(), type=_Head)
        if head.job != job:
            raise RunError(
                f"{path}: expected a checkpoint of this configuration and these logs, got another one; "
                "train without --resume"
            )
        arrays = load(_arrays(folder, fold, head.epoch).read_bytes())
    except (OSError, msgspec.DecodeError, SafetensorError) as error:
        raise RunError(
            f"{path}: expected a whole checkpoint, got a damaged one ({error}); train without --resume"
        ) from error
    checkpoint = Checkpoint(head.epoch, head.losses, head.best_epoch, finished=head.finished)
    for key, value in arrays.items():
        group, _, name = key.partition("/")
        getattr(checkpoint, group)[name] = value
    return checkpoint


def begin(folder: Path) -> None:
    """Mark the folder's training as one that has not come to its end."""
    (folder / PENDING).touch()


def settle(folder: Path) -> None:
    """The training has come to its end: the run folder is written, or refused."""
    (folder / PENDING).unlink(missing_ok=True)


def is_interrupted(folder: Path) -> bool:
    """Whether the folder holds checkpoints of which one is not finished, or whose training did not come to its end;
    damaged ones do not count.
    """
    for path in folder.glob("fold-*.json"):
        try:
            if not msgspec.json.decode(path.read_bytes(), type=_Head).finished or (folder / PENDING).exists():
                return True
        except (OSError, msgspec.DecodeError):
            continue
    return False


def clear(folder: Path) -> None:
    """Delete every checkpoint in the folder."""
    for path in folder.glob("fold-*"):
        path.unlink()


def _arrays(folder: Path, fold: int, epoch: int) -> Path:
    return folder / f"fold-{fold}.epoch-{epoch}.safetensors"

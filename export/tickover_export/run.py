"""The run folder: what training leaves for export, so that export needs no torch.

``run.json`` (``RunFile``), ``weights.safetensors`` (``spec``'s names), ``parity.npz`` (torch's own answers). Training
also keeps ``metrics.json``, ``report.html`` and ``checkpoint/`` there; nothing here reads them.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from msgspec import Meta, Struct

from tickover.core.manifest import (
    Budget,
    EpisodePolicy,
    LogMapping,
    Positive,
    Rung,
    Training,
)
from tickover.core.values import FloatArray
from tickover.errors import RunError
from tickover.host.renamed import renew
from tickover.storage.files import read_bytes, replace_file
from tickover_export.graph import check_spec, check_weights
from tickover_export.spec import GraphSpec, Horizons

RUN_FILE: Final = "run.json"
WEIGHTS_FILE: Final = "weights.safetensors"
PARITY_FILE: Final = "parity.npz"
FORMAT_VERSION: Final = 2
FIRST_FORMAT: Final = 1
"""What tickover 0.1 wrote: the same under older names, see ``renamed``."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""The largest file of a run folder that is read."""


class RunFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``run.json``. ``limits`` are in the order of ``spec.charts``; None switches a chart off.

    ``ladder``: as in the manifest.
    ``parity_tiled`` says that ``parity.npz`` repeats fewer real ticks, with seeded gaps. ``log_mapping``: of the logs
    that were trained on, TOML; the model carries it.
    """

    format_version: Annotated[int, Meta(ge=FORMAT_VERSION, le=FORMAT_VERSION)] = FORMAT_VERSION
    spec: GraphSpec
    limits: tuple[Positive | None, ...]
    budget: Budget
    ladder: tuple[Rung, ...] = ()
    policy: EpisodePolicy = EpisodePolicy()
    horizons: Horizons = Horizons()
    training: Training = Training()
    versions: dict[str, str] = {}
    parity_tiled: bool = False
    log_mapping: LogMapping | None = None

    @property
    def limit_array(self) -> FloatArray:
        """``float32[C]``, inf = off."""
        return limits_array(self.limits)


@dataclass(frozen=True, slots=True)
class ParityTicks:
    """Ticks of one vehicle and torch's answers: ``x`` and ``expected`` ``[T, F]``, ``trip_start`` bool ``[T]``,
    ``score`` ``[T]``, ``chart`` ``[T, C]``.
    """

    x: FloatArray
    trip_start: npt.NDArray[np.bool_]
    score: FloatArray
    chart: FloatArray
    expected: FloatArray


@dataclass(frozen=True, slots=True)
class Run:
    """All of a run folder that export needs."""

    file: RunFile
    weights: Mapping[str, FloatArray]
    parity: ParityTicks


def limits_array(limits: tuple[float | None, ...]) -> FloatArray:
    """Limits as the graph builder takes them: ``float32[C]``, None becomes inf."""
    return np.array([np.inf if limit is None else limit for limit in limits], np.float32)


def limits_tuple(limits: FloatArray) -> tuple[float | None, ...]:
    """The other way round."""
    return tuple(float(limit) if np.isfinite(limit) else None for limit in limits)


def write_run(folder: str | Path, run: Run) -> None:
    """Write the three files, each whole; the folder is made when it is absent. ``run.json`` comes last."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / WEIGHTS_FILE, safetensors.numpy.save(_contiguous(run.weights)))
        _write(folder / PARITY_FILE, _npz(run.parity))
        _write(folder / RUN_FILE, msgspec.json.format(msgspec.json.encode(run.file)))
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from error


def read_run(folder: str | Path) -> Run:
    """Read and check a run folder; RunError names the file and what is wrong with it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: expected a run folder, as `tickover train --out` writes it")
    file = _read_file(folder / RUN_FILE)
    weights = _read_weights(folder / WEIGHTS_FILE, file.spec)
    return Run(file, weights, _read_parity(folder / PARITY_FILE, len(file.spec.signals), len(file.limits)))


def _read_file(path: Path) -> RunFile:
    try:
        file = _decode(_read(path))
        check_spec(file.spec)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise RunError(f"{path}: {error}") from error
    charts = len(file.spec.charts)
    if len(file.limits) != charts:
        raise RunError(f"{path}: limits: expected {charts}, one for each chart, got {len(file.limits)}")
    if any(len(rung.limits) != charts for rung in file.ladder):
        raise RunError(f"{path}: ladder: expected {charts} limits in each rung, one for each chart")
    return file


class _Head(Struct):
    format_version: int


class _FirstSpec(Struct):
    banks: list[dict[str, Any]]


class _FirstFile(Struct):
    spec: _FirstSpec


def _decode(data: bytes) -> RunFile:
    """Read ``run.json`` of either format."""
    if msgspec.json.decode(data, type=_Head).format_version != FIRST_FORMAT:
        return msgspec.json.decode(data, type=RunFile)
    banks = msgspec.json.decode(data, type=_FirstFile).spec.banks
    raw = msgspec.json.decode(data) | {"format_version": FORMAT_VERSION}
    # A bank of format 1 has a key for every setting of every kind, null where its own kind has no such setting.
    raw["spec"]["banks"] = [{key: value for key, value in bank.items() if value is not None} for bank in banks]
    renew(raw, RunFile, lambda old, new: None)
    return msgspec.convert(raw, RunFile)


def _read_weights(path: Path, spec: GraphSpec) -> Mapping[str, FloatArray]:
    try:
        weights: dict[str, FloatArray] = safetensors.numpy.load(_read(path))
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path}: expected a safetensors file: {error}") from error
    wrong = sorted(name for name, array in weights.items() if array.dtype != np.float32)
    if wrong:
        raise RunError(f"{path}: expected float32 weights, got other types for {', '.join(wrong)}")
    try:
        check_weights(weights, spec)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from error
    return weights


def _read_parity(path: Path, signals: int, charts: int) -> ParityTicks:
    arrays = _load_npz(path)
    ticks = len(arrays["x"]) if arrays["x"].ndim else 0
    shapes = {"x": (ticks, signals), "trip_start": (ticks,), "score": (ticks,)}
    shapes |= {"chart": (ticks, charts), "expected": (ticks, signals)}
    for name, shape in shapes.items():
        kind = np.bool_ if name == "trip_start" else np.float32
        if arrays[name].dtype != kind or arrays[name].shape != shape or not ticks:
            got = f"{arrays[name].dtype} {list(arrays[name].shape)}"
            raise RunError(f"{path}: {name}: expected {np.dtype(kind)} {list(shape)}, got {got}")
    return ParityTicks(**{name: arrays[name] for name in shapes})


def _load_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    data = io.BytesIO(_read(path))
    try:
        with zipfile.ZipFile(data) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
            members = {Path(item.filename).stem for item in archive.infolist()}
    except Exception as error:  # a damaged archive raises many kinds
        raise RunError(f"{path}: expected NumPy arrays: {error}") from error
    wanted = ParityTicks.__dataclass_fields__.keys()
    if unpacked > MAX_BYTES or not wanted <= members:
        raise RunError(
            f"{path}: expected the arrays {sorted(wanted)} in at most {MAX_BYTES} bytes, "
            f"got {sorted(members)} in {unpacked}"
        )
    try:
        with np.load(data, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in wanted}
    except Exception as error:  # so do damaged arrays
        raise RunError(f"{path}: expected NumPy arrays: {error}") from error


def _npz(parity: ParityTicks) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: getattr(parity, name) for name in ParityTicks.__dataclass_fields__})
    return buffer.getvalue()


def _contiguous(weights: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise RunError(f"{path}: {error}") from error


def _write(path: Path, data: bytes) -> None:
    with replace_file(path) as file:
        file.write(data)

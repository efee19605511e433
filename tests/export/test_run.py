"""The run folder, and ``tickover export`` on good, damaged and lying ones."""

import contextlib
import io
import shutil

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from msgspec import structs

from oracle import Oracle
from small_models import limits_of, random_weights, small_spec, ticks_of
from tickover.cli import root
from tickover.core.manifest import Budget, EpisodePolicy, Training
from tickover.errors import RunError
from tickover.model.session import open_model
from tickover_export.run import ParityTicks, Run, RunFile, limits_tuple, read_run, write_run
from tickover_export.spec import Horizons, InputDrift

TICKS = 10_000


@pytest.fixture(scope="module")
def run():
    """A run whose parity ticks come from the oracle: the export needs no torch, and neither does this test."""
    spec = small_spec(hidden=4)
    weights, limits = random_weights(spec), limits_of(spec)
    x, starts = ticks_of(spec, weights, TICKS)
    score, chart, expected = (part.astype(np.float32) for part in Oracle(spec, weights, limits).run(x, starts))
    file = RunFile(
        spec=spec,
        limits=limits_tuple(limits),
        budget=Budget(episodes=1.0, per_s=3600.0),
        policy=EpisodePolicy(close_after_s=7.0),
        horizons=Horizons(memory_s=42.0),
        training=Training(trips=3, hours=1.5, seed=7),
        versions={"torch": "9"},
        parity_tiled=True,
    )
    return Run(file, weights, ParityTicks(x, starts, score, chart, expected))


@pytest.fixture(scope="module")
def kept(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_run(folder, run)
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "run")


def export(folder, out):
    return CliRunner().invoke(root, ["export", str(folder), "--out", str(out)], catch_exceptions=False)


def test_what_is_written_is_read(run, folder):
    again = read_run(folder)
    assert again.file == run.file
    assert again.weights.keys() == run.weights.keys()
    for name, array in run.weights.items():
        np.testing.assert_array_equal(again.weights[name], array)
    for name in ParityTicks.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again.parity, name), getattr(run.parity, name))


def in_first_format(file):
    """``run.json`` as tickover 0.1 wrote it."""
    raw = msgspec.to_builtins(file) | {"format_version": 1}
    raw["policy"]["cool_down_s"] = raw["policy"].pop("hold_off_s")
    raw["spec"]["climate"] = raw["spec"].pop("input_drift")
    settings = {"span_s": None, "allowance": None, "saturation": None}
    raw["spec"]["banks"] = [settings | bank for bank in raw["spec"]["banks"]]
    for bank in raw["spec"]["banks"]:
        bank["kind"] = "energy" if bank["kind"] == "ewms" else bank["kind"]
    return raw


@pytest.mark.parametrize("drift", [None, InputDrift(low=(-1.0,) * 3, high=(1.0,) * 3, span_s=60.0)])
def test_a_run_of_the_first_format_is_read(run, folder, drift):
    file = structs.replace(run.file, spec=structs.replace(run.file.spec, input_drift=drift))
    raw = in_first_format(file)
    assert raw["spec"]["banks"][2]["kind"] == "energy"
    (folder / "run.json").write_bytes(msgspec.json.encode(raw))
    assert read_run(folder).file == file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": {"banks": 3}}, "Expected `array`, got `int`"),
        ({"spec": {"banks": [3]}}, "Expected `object`, got `int`"),
        ({"spec": {"banks": [{"kind": "new"}]}}, r"Invalid value 'new' - at `\$\.spec\.banks\[0\]\.kind`"),
        ({"policy": {"cool_down_s": 1.0, "hold_off_s": 1.0}}, "expected 'policy.hold_off_s' alone"),
    ],
)
def test_a_wrong_run_of_the_first_format_is_refused(run, folder, change, message):
    raw = in_first_format(run.file)
    for key, value in change.items():
        raw[key] = raw[key] | value
    (folder / "run.json").write_bytes(msgspec.json.encode(raw))
    with pytest.raises(RunError, match=message):
        read_run(folder)


def test_the_second_format_has_no_old_names(run, folder):
    raw = in_first_format(run.file) | {"format_version": 2}
    (folder / "run.json").write_bytes(msgspec.json.encode(raw))
    with pytest.raises(RunError, match=r"run\.json: Object contains unknown field|Invalid value 'energy'"):
        read_run(folder)


def test_export_writes_a_proven_model(run, folder, tmp_path):
    out = tmp_path / "model.onnx"
    result = export(folder, out)
    assert result.exit_code == 0
    model = open_model(out)
    assert model.manifest.parity.ticks == TICKS
    assert model.manifest.parity.error <= 1e-4
    assert model.manifest.parity.tiled
    assert model.manifest.memory_horizon_s == 42.0
    assert model.manifest.training == run.file.training
    assert model.manifest.episodes == run.file.policy
    assert model.manifest.versions["torch"] == "9"
    assert {"onnx", "onnxruntime", "numpy", "python", "tickover"} < model.manifest.versions.keys()
    assert model.digest in result.output
    assert f"{out.stat().st_size:,} bytes" in result.output


def test_export_wants_an_onnx_file(folder, tmp_path):
    result = export(folder, tmp_path / "model.bin")
    assert result.exit_code == 2
    assert "expected a file called *.onnx" in result.output


@pytest.mark.parametrize("name", ["score", "chart"])
def test_nothing_is_written_when_the_graph_does_not_say_what_torch_said(run, folder, tmp_path, name):
    arrays = {field: getattr(run.parity, field).copy() for field in ParityTicks.__dataclass_fields__}
    place = int(np.nanargmax(arrays["score"]))
    arrays[name][place] *= 1.05
    write_run(folder, Run(run.file, run.weights, ParityTicks(**arrays)))
    out = tmp_path / "model.onnx"
    with pytest.raises(
        RunError, match=r"parity in chunks: expected scores within 0\.0001 of torch's.*nothing was written"
    ):
        export(folder, out)
    assert not out.exists()


def test_too_few_parity_ticks_prove_nothing(run, folder, tmp_path):
    few = ParityTicks(*(getattr(run.parity, field)[:999] for field in ParityTicks.__dataclass_fields__))
    write_run(folder, Run(run.file, run.weights, few))
    with pytest.raises(RunError, match="expected 10000 ticks or more, got 999"):
        export(folder, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["run.json", "weights.safetensors", "parity.npz"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(RunError, match=f"{name}: cannot be read: No such file"):
        read_run(folder)


@pytest.mark.parametrize("name", ["run.json", "weights.safetensors", "parity.npz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_cut_short_is_named(folder, name, share):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(RunError, match=name):
        read_run(folder)


@pytest.mark.parametrize("name", ["run.json", "weights.safetensors", "parity.npz"])
def test_bytes_changed_at_random_give_a_clear_error_or_another_run(folder, name):
    """Never a traceback of another kind."""
    good = (folder / name).read_bytes()
    random = np.random.default_rng(5)
    for _ in range(150):
        bad = bytearray(good)
        for place in random.integers(0, min(len(bad), 3000), 3):
            bad[place] = random.integers(0, 256)
        (folder / name).write_bytes(bad)
        with contextlib.suppress(RunError):
            read_run(folder)


def test_pickled_arrays_are_not_unpickled(folder):
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.array([{}], dtype=object) for name in ParityTicks.__dataclass_fields__})
    (folder / "parity.npz").write_bytes(buffer.getvalue())
    with pytest.raises(RunError, match=r"parity\.npz: expected NumPy arrays: Object arrays cannot be loaded"):
        read_run(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limits": [1.0]}, "limits: expected 12, one for each chart, got 1"),
        ({"format_version": 3}, "format_version"),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_a_run_file_that_does_not_fit_says_why(folder, change, message):
    raw = msgspec.json.decode((folder / "run.json").read_bytes())
    (folder / "run.json").write_bytes(msgspec.json.encode(raw | change))
    with pytest.raises(RunError, match=message):
        read_run(folder)


def test_weights_of_another_network_are_refused(folder, run):
    other = small_spec(hidden=5)
    write_run(folder, Run(run.file, random_weights(other), run.parity))
    with pytest.raises(RunError, match=r"weights\.safetensors: weights: bottleneck\.weight: expected shape \(2, 4\)"):
        read_run(folder)


def test_no_folder_is_no_run(tmp_path):
    with pytest.raises(RunError, match="expected a run folder"):
        read_run(tmp_path / "absent")

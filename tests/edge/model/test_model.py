"""Opening a model file: every check refuses with its own message, and nothing unchecked reaches onnxruntime."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import paths
from tickover.core import manifest
from tickover.errors import ModelError
from tickover.model.file import golden
from tickover.model.file.proto import parse
from tickover.model.file.seal import SEAL_BYTES, seal
from tickover.model.session import MAX_BYTES, open_bytes, open_model

MODELS = paths.MODELS
FILES = sorted(MODELS.glob("*.onnx"))
HEADROOM_MB = 400
LONGEST_S = 5.0


@pytest.fixture(scope="module")
def data():
    return (MODELS / "gru_autoencoder.onnx").read_bytes()


def changed(data, change):
    """The model with its structure changed, sealed again."""
    model = parse(data[:-SEAL_BYTES])
    change(model)
    return seal(model.SerializeToString())


def node(model, operator):
    return next(node for node in model.graph.node if node.op_type == operator)


def constant(model, name):
    return next(item for item in model.graph.initializer if item.name == name)


def entry(model, key):
    return next(item for item in model.metadata_props if item.key == key.encode())


def refused(data):
    with pytest.raises(ModelError) as error:
        open_bytes(data)
    return str(error.value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_good_file_opens(path):
    model = open_model(path)
    assert model.size == path.stat().st_size
    assert len(model.digest) == 64
    assert model.initial.shape == (sum(state.size for state in model.manifest.states),)


def test_the_digest_is_the_hash_of_all_before_the_seal(data):
    assert data.endswith(open_bytes(data).digest.encode())


@pytest.mark.parametrize("place", [0, 100, -SEAL_BYTES - 1, -SEAL_BYTES, -1])
def test_a_flipped_bit_breaks_the_seal(data, place):
    damaged = bytearray(data)
    damaged[place] ^= 1
    assert refused(bytes(damaged)).startswith("seal: ")


@pytest.mark.parametrize("length", [0, 1, 84, 85, 1000])
def test_a_file_cut_short_has_no_seal(data, length):
    assert refused(data[:length]).startswith("seal: expected a tickover seal") or length == 85


def test_bytes_after_the_seal_are_refused(data):
    assert refused(data + b"x").startswith("seal: ")


def test_sealed_rubbish_is_no_model():
    assert refused(seal(b"\xff" * 100)).startswith("protobuf: ")


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ModelError, match=f"size: expected at most {MAX_BYTES} bytes"):
        open_model(path)


def test_what_is_no_plain_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="expected a plain file"):
        open_model(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="Is a directory"):
        open_model(tmp_path)
    with pytest.raises(ModelError, match="No such file"):
        open_model(tmp_path / "absent.onnx")


def field(number, payload):
    """A length-delimited field of ModelProto, to append: a protobuf may be continued."""
    return bytes([*_varint(number << 3 | 2), *_varint(len(payload))]) + payload


def _varint(value):
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return [*digits, value]


EXTERNAL_DATA = field(7, field(5, field(13, b"")))
SUBGRAPH = field(7, field(1, field(5, field(6, b""))))


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        (field(25, b""), "functions"),
        (field(20, b""), "training information"),
        (field(7, field(15, b"")), "sparse tensors"),
        (EXTERNAL_DATA, "external data"),
        (SUBGRAPH, "a subgraph"),
        (field(99, b""), "field 99 of Model"),
    ],
)
def test_what_a_plain_model_does_not_hold_is_refused(data, extra, what):
    assert refused(seal(data[:-SEAL_BYTES] + extra)) == f"protobuf: expected a plain tickover model, found {what}"


def set_version(model, version):
    model.opset_import[0].version = version


def set_ir(model, version):
    model.ir_version = version


def set_domain(model):
    node(model, b"Tanh").domain = b"com.microsoft"


def set_operator(model, operator):
    node(model, b"Tanh").op_type = operator


def set_not_finite(model):
    raw = constant(model, b"output.bias")
    raw.raw_data = np.array([0.0, np.nan, 0.0], "<f4").tobytes()


def set_hidden(model, hidden):
    next(item for item in node(model, b"GRU").attribute if item.name == b"hidden_size").i = hidden


def shrink_weights(model):
    raw = constant(model, b"encoder.R")
    raw.dims[2] = 3
    raw.raw_data = raw.raw_data[: len(raw.raw_data) // 2]


def grow_dims(model):
    constant(model, b"encoder.R").dims[1] = 2**40


def add_loop(model):
    first, last = model.graph.node[0], model.graph.node[-2]
    first.input[0] = last.output[0]


def add_direction(model):
    node(model, b"GRU").attribute.add(name=b"direction", type=3, s=b"reverse")


def rename_input(model):
    model.graph.input[0].name = b"y"


def rename_output(model):
    model.graph.output[0].name = b"scores"


def wider_input(model):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 4


def other_type(model):
    model.graph.output[0].type.tensor_type.elem_type = 11


def swap_outputs(model):
    mul = next(item for item in model.graph.node if item.output[0] == b"chart")
    add = next(item for item in model.graph.node if item.output[0] == b"expected")
    mul.output[0], add.output[0] = b"expected", b"chart"


def doubling(model):
    """A chain of Concat: forty doublings."""
    name = b"mask"
    for count in range(40):
        grown = f"grown{count}".encode()
        joined = model.graph.node.add(op_type=b"Concat", input=[name, name], output=[grown])
        joined.attribute.add(name=b"axis", type=2, i=2)
        name = grown


def endless_work(model):
    """Many recurrent operators over one large matrix: small file, hours of work."""
    width = 1024
    model.graph.initializer.add(name=b"big.W", dims=[1, 3 * width, 3], data_type=1, raw_data=bytes(4 * 3 * width * 3))
    model.graph.initializer.add(
        name=b"big.R", dims=[1, 3 * width, width], data_type=1, raw_data=bytes(4 * 3 * width * width)
    )
    model.graph.initializer.add(name=b"big.B", dims=[1, 6 * width], data_type=1, raw_data=bytes(4 * 6 * width))
    for count in range(1000):
        gru = model.graph.node.add(
            op_type=b"GRU", input=[b"mask", b"big.W", b"big.R", b"big.B"], output=[f"work{count}".encode()]
        )
        gru.attribute.add(name=b"hidden_size", type=2, i=width)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: set_version(m, 17), "opset: expected 18 to 21, got 17"),
        (lambda m: set_version(m, 2**62), "opset: expected 18 to 21, got 4611686018427387904"),
        (lambda m: m.opset_import.add(domain=b"com.microsoft", version=1), "opset: expected ONNX's own operators"),
        (lambda m: set_ir(m, 99), "IR version: expected 8 to 10, got 99"),
        (set_domain, "operator com.microsoft.Tanh: expected an allowed operator"),
        (lambda m: set_operator(m, b"Loop"), "operator Loop: expected an allowed operator"),
        (lambda m: set_operator(m, b"Expand"), "operator Expand: expected an allowed operator"),
        (lambda m: set_operator(m, b"\xff"), "structure: operator: expected a plain name"),
        (set_not_finite, "initialiser output.bias: expected finite numbers"),
        (lambda m: set_hidden(m, 2**31), "operator GRU of encoder/all: input 1: expected constants of shape"),
        (lambda m: set_hidden(m, -1), "operator GRU of encoder/all: expected [T, B, I] and a hidden size"),
        (shrink_weights, "operator GRU of encoder/all: input 2: expected constants of shape (1, 18, 6)"),
        (grow_dims, "initialiser encoder.R: expected 26388279066624 bytes"),
        (add_loop, "operator Sub: its input"),
        (add_direction, "operator GRU: attribute direction: expected one that is allowed"),
        (rename_input, "inputs: expected ['x', 'encoder', 'decoder'"),
        (rename_output, "outputs: expected ['score', 'chart', 'expected'"),
        (wider_input, "input x: expected float32 ['T', 'B', 3], got type 1 ['T', 'B', 4]"),
        (other_type, "output score: expected float32 ['T', 'B'], got type 11"),
        (swap_outputs, "output chart: expected float32 [1, 1, 12], got"),
        (doubling, "operator Concat: expected at most 67108864 numbers"),
        (endless_work, "structure: expected at most 67108864 multiplications a tick"),
        (lambda m: m.graph.node.extend([m.graph.node[0]] * 3000), "structure: expected at most 2048 nodes"),
        (
            lambda m: m.graph.node.extend([m.graph.node[0]]),
            "operator Sub: expected outputs to be made once, got x/nought twice",
        ),
        (
            lambda m: m.graph.initializer.extend([m.graph.initializer[0]]),
            "structure: expected one initialiser of each name, got two called zero",
        ),
        (lambda m: m.metadata_props.extend([m.metadata_props[0]]), "metadata: expected"),
        (lambda m: m.metadata_props.pop(), "metadata: expected"),
    ],
)
def test_each_refusal_has_its_own_message(data, change, message):
    assert message in refused(changed(data, change))


def test_weights_that_were_changed_and_sealed_again_fail_the_golden_vectors(data):
    def change(model):
        raw = constant(model, b"encoder.W")
        raw.raw_data = (np.frombuffer(raw.raw_data, "<f4") * 1.1).astype("<f4").tobytes()

    assert "differs from the exported answers by" in refused(changed(data, change))


def test_a_score_that_was_changed_fails_the_golden_vectors(data):
    def change(model):
        raw = constant(model, b"chart.scale")
        raw.raw_data = (np.frombuffer(raw.raw_data, "<f4") * 1.01).astype("<f4").tobytes()

    assert "tickover.golden: score differs" in refused(changed(data, change))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"ticks":300', b'"ticks":301', "expected 1 to 300 ticks"),
        (b'"ticks":300', b'"ticks":299', "x: expected 3588 bytes, got 3600"),
        (b'"reset":200', b'"reset":-20', "with a reset, got 300 and -20"),
        (b'"ticks":300', b'"ticks":[]', "tickover.golden: Expected `int`"),
    ],
)
def test_damaged_golden_vectors_are_refused(data, old, new, message):
    def change(model):
        found = entry(model, manifest.KEY_GOLDEN)
        assert old in found.value
        found.value = found.value.replace(old, new)

    assert message in refused(changed(data, change))


def test_a_manifest_of_a_later_format_says_so(data):
    def change(model):
        found = entry(model, manifest.KEY_MANIFEST)
        found.value = found.value.replace(b'"format_version":1', b'"format_version":3')

    assert "expected format version 1 or 2, got 3" in refused(changed(data, change))


def test_a_manifest_with_another_state_is_refused(data):
    def change(model):
        found = entry(model, manifest.KEY_MANIFEST)
        found.value = found.value.replace(b'"name":"encoder","size":6', b'"name":"encoder","size":7')

    assert "input encoder: expected float32 [1, 'B', 7], got type 1 [1, 'B', 6]" in refused(changed(data, change))


def test_golden_vectors_hold_what_they_must(data):
    model = parse(data[:-SEAL_BYTES])
    vectors = golden.decode(entry(model, manifest.KEY_GOLDEN).value.decode(), 3)
    assert len(vectors.x) == 300
    assert 0 < vectors.reset < 300
    missing = np.isnan(vectors.x)
    assert missing.all(axis=1).any()
    assert (missing.any(axis=1) & ~missing.all(axis=1)).any()
    assert np.nanmax(vectors.score) > 1.0
    assert np.isnan(vectors.score).any()


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_mutants_are_refused_or_run_without_crash_hang_or_greed(path):
    """Half of 700 mutants are sealed again; ``tests/bench/bench_hostile_models.py`` opens 10,000."""
    tests = paths.TESTS
    done = subprocess.run(
        [sys.executable, tests / "hostile_models.py", path, "0", "700"],
        env=os.environ | {"PYTHONPATH": f"{tests.parent / 'edge'}{os.pathsep}{tests}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"after seed {done.stderr[-2000:]}"
    summary = json.loads(done.stdout)
    assert summary["loaded"] + sum(summary["refused"].values()) == 700
    assert summary["refused"]["seal"] > 300
    assert summary["slowest_s"] < LONGEST_S
    assert summary["peak_mb"] < HEADROOM_MB


def test_onnxruntime_reports_to_nobody(tmp_path):
    quieted = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
    env = {name: value for name, value in os.environ.items() if name not in quieted}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    code = (
        "import tickover.model.session, os; print(len(os.listdir('/proc/self/task')) if os.path.isdir('/proc') else 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "no database of events"
    assert int(done.stdout) == 1, "no thread that sends them"

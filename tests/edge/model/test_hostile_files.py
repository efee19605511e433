"""Files that are small to make and dear to read: refused for what their bytes hold, and tried in a child process."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import paths
from hostile_files import HOSTILE, MEASURED, large_weights
from tickover.daemon.recovery import load_at_start
from tickover.errors import ModelError
from tickover.model import trial
from tickover.model.detector import Detector
from tickover.model.file import proto
from tickover.model.file.fields import MAX_FIELDS
from tickover.model.file.scan import scan
from tickover.model.session import LONGEST_MESSAGE, open_bytes, open_model
from tickover.model.trial import Trial

GOOD = paths.MODELS / "gru_autoencoder.onnx"
SIZE = 6_000_000


@pytest.fixture(scope="module")
def good():
    return GOOD.read_bytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_each_hostile_file_is_refused_with_its_reason(good, name):
    hostile = HOSTILE[name]
    with pytest.raises(ModelError) as error:
        open_bytes(hostile.make(good, SIZE))
    assert str(error.value).startswith(hostile.refused)
    assert len(str(error.value)) <= LONGEST_MESSAGE
    assert str(error.value).isprintable()


BY_BYTES = [
    name
    for name, hostile in HOSTILE.items()
    if hostile.refused.startswith(("structure: exp", "structure: E")) and name != "work in constants"
]


@pytest.mark.parametrize("name", BY_BYTES)
def test_protobuf_never_sees_what_would_become_a_million_objects(good, name, monkeypatch):
    """Its objects are made in C: what they cost shows in no Python profile."""
    seen = []
    data = HOSTILE[name].make(good, SIZE)
    monkeypatch.setattr(proto, "_Model", lambda: seen.append(name))
    with pytest.raises(ModelError):
        open_bytes(data)
    assert seen == []


def test_a_file_costs_no_more_steps_than_it_may_have_fields(good, monkeypatch):
    """Twice the bytes are no more steps."""
    steps = []
    for size in (SIZE, 2 * SIZE):
        with pytest.raises(ModelError):
            scan(Counting(HOSTILE["inputs of one node"].make(good, size)))
        steps.append(Counting.reads)
        Counting.reads = 0
    assert abs(steps[0] - steps[1]) < 10
    assert max(steps) < 4 * MAX_FIELDS


class Counting(bytes):
    """Bytes that count how often one of them is read."""

    reads = 0

    def __getitem__(self, place):
        Counting.reads += 1
        return super().__getitem__(place)


@pytest.mark.parametrize("path", [GOOD, paths.MODELS / "rnn_seq2seq.onnx"], ids=lambda path: path.stem)
def test_a_good_file_comes_out_of_its_trial_as_it_was(path):
    tried, opened = Trial(path).open(), open_model(path)
    assert (tried.digest, tried.size, tried.manifest) == (opened.digest, opened.size, opened.manifest)
    x = [[20.0, 50.0, 30.0]] * 30
    assert Detector(tried).run(x).score.tobytes() == Detector(opened).run(x).score.tobytes()


def test_a_trial_refuses_with_the_same_words_and_the_files_name(good, tmp_path):
    for name in ("empty nodes", "name with a newline"):
        path = tmp_path / "model.onnx"
        path.write_bytes(HOSTILE[name].make(good, SIZE))
        with pytest.raises(ModelError) as opened:
            open_model(path)
        with pytest.raises(ModelError) as tried:
            Trial(path).open()
        assert str(tried.value) == str(opened.value)


def test_a_process_without_standard_streams_tries_files_too():
    code = f"import os; os.close(0); from tickover.model.trial import Trial; print(Trial({str(GOOD)!r}).open().digest)"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == open_model(GOOD).digest, done.stderr[-500:]


def test_a_trial_of_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ModelError, match=r"none\.onnx: cannot be read: No such file"):
        Trial(tmp_path / "none.onnx").open()


@pytest.mark.parametrize(
    ("name", "too_few", "enough"),
    [("weights that have no effect", 8, 12), ("results of a call", 40, 250)],
    ids=["file", "calls"],
)
def test_what_a_model_may_take_of_memory_is_a_key(good, tmp_path, name, too_few, enough):
    path = tmp_path / "model.onnx"
    path.write_bytes(MEASURED[name].make(good, 4_500_000))
    with pytest.raises(
        ModelError, match=rf"memory: expected to need at most {too_few} MB, needs \d+; raise models.mem"
    ):
        Trial(path, too_few).open()
    assert Trial(path, enough).open().size == path.stat().st_size


def test_a_start_refuses_a_model_file_beyond_its_memory(good, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(large_weights(good, 2_500_000))
    with pytest.raises(ModelError, match=r"model.onnx: memory: expected to need at most 2 MB, needs 3; raise models"):
        load_at_start(str(path), 2)
    assert load_at_start(str(path), 3).digest


def test_a_model_that_would_stop_the_loop_is_refused(tmp_path):
    program = tmp_path / "slow.py"
    program.write_text(
        "import sys; from pathlib import Path; from tickover.model import trial; trial.CALL_S = 1e-6\n"
        "print(trial._try(Path(sys.argv[1]), 40)[0].refused)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program, GOOD], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("speed: expected 512 ticks to take at most")


def test_what_changes_its_kind_is_not_waited_for(tmp_path):
    """A named pipe, a device, a folder: a plain file is asked for of what was opened, not of its name."""
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(ModelError, match=r"plain file|Is a directory"):
            open_model(path)


def test_a_trial_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(trial, "LONGEST_S", 0.01)
    one = Trial(GOOD)
    with pytest.raises(ModelError, match="time: expected to be checked within"):
        one.open()
    assert one._child.poll() is not None, "the child is gone"


def test_a_trial_can_be_cancelled():
    one, said = Trial(GOOD), []

    def run():
        with pytest.raises(ModelError, match="cancelled"):
            one.open()
        said.append(True)

    one.cancel()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert said
    assert one._child.poll() is not None


@pytest.mark.parametrize(
    ("limits", "says"),
    [("MEMORY_BYTES = 2**22", "emory"), ("CPU_S = 0", "ended by signal")],
    ids=["memory", "time of the processor"],
)
def test_a_trial_has_limits(tmp_path, limits, says):
    """What no check foresees: the child alone pays, and the reason is told."""
    code = f"import os, sys; from pathlib import Path; from tickover.model import trial; trial.{limits}; "
    program = tmp_path / "limited.py"
    program.write_text(code + "trial.main(Path(sys.argv[1]), 40, os.open(os.devnull, os.O_WRONLY))")
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program, GOOD], env=env, capture_output=True, check=False)
    told = done.stdout.decode(errors="replace") if done.stdout else trial._ended(done.returncode)
    assert says in told
    assert '"manifest":"{' not in told


def test_a_hidden_folder_cannot_replace_the_child(tmp_path, monkeypatch):
    """A package of our name in the working folder is not what tries the file."""
    (tmp_path / "tickover").mkdir()
    (tmp_path / "tickover" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert Trial(GOOD.resolve()).open().digest == open_model(GOOD).digest

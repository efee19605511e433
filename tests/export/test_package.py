"""The packaged file: sealed, deterministic, readable by the onnx package, and the fixtures of ``tests/edge``."""

import numpy as np
import onnx
import pytest
from msgspec import structs

from small_models import (
    FILES,
    FOLDER,
    limits_of,
    many_signals,
    model_bytes,
    random_weights,
    small_spec,
    spec_of_file,
    ticks_of,
)
from tickover.core import manifest, manifest_codec
from tickover.model.detector import Detector
from tickover.model.file.check import IR_VERSIONS, OPSETS, Structure
from tickover.model.file.fields import MESSAGES
from tickover.model.file.proto import parse
from tickover.model.file.shapes import RULES
from tickover.model.session import open_bytes, open_model
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.spike import Spike
from tickover_export.graph import IR_VERSION, OPSET
from today import of_today


@pytest.mark.parametrize("name", FILES)
def test_the_files_of_the_edge_tests_are_what_this_tree_builds(name):
    """Equal in behaviour, whatever the versions; rebuild them with ``python tests/small_models.py``."""
    spec = spec_of_file(name)
    x, starts = ticks_of(spec, random_weights(spec), 500)
    kept, rebuilt = Detector(open_model(FOLDER / name)), Detector(open_bytes(model_bytes(spec)))
    charts = tuple(structs.replace(chart, why_off="", level=False) for chart in rebuilt.manifest.charts)
    episodes = structs.replace(rebuilt.manifest.episodes, persist_s=0.0)
    wanted = structs.replace(rebuilt.manifest, charts=charts, spreads=(), episodes=episodes)
    assert of_today(kept).manifest == wanted, "the files are of format 1, which leaves some of it off or unsaid"
    for part in ("score", "chart", "expected"):
        wanted = getattr(rebuilt.run(x, starts), part)
        rebuilt.reset(trip_only=False)
        np.testing.assert_allclose(getattr(kept.run(x, starts), part), wanted, rtol=1e-5, atol=1e-5)
        kept.reset(trip_only=False)


def test_equal_arguments_give_equal_bytes():
    assert model_bytes(small_spec()) == model_bytes(small_spec())


def test_the_sealed_file_is_one_onnx_model():
    data = model_bytes(small_spec())
    model = onnx.load_model_from_string(data)
    assert {entry.key for entry in model.metadata_props} == {
        manifest.KEY_MANIFEST,
        manifest.KEY_GOLDEN,
        manifest.KEY_SEAL,
    }
    assert manifest_codec.decode(model.metadata_props[0].value) == open_bytes(data).manifest


def test_a_chart_states_its_share_of_the_budget():
    """Its bank's, and of that a thousandth where it is the level of a signal that wanders."""
    banks = (Ewma(name="level", span_s=12.0, share=0.5), Spike(name="spike", span_s=5.0, share=0.1))
    spec = small_spec(signals=many_signals(2), banks=banks, wandering=("s1",))
    charts = open_bytes(model_bytes(spec)).manifest.charts
    assert {chart.name: chart.share for chart in charts} == pytest.approx(
        {"s0.level": 0.5, "s1.level": 0.0005, "s0.spike": 0.1, "s1.spike": 0.1}
    )
    assert all("share" not in chart.settings for chart in charts)


@pytest.mark.parametrize(("cell", "arch"), [("gru", "autoencoder"), ("lstm", "seq2seq"), ("rnn", "forecaster")])
def test_what_onnxruntime_is_given_is_the_graph_that_was_built(cell, arch):
    """The descriptors of the device agree with the onnx package's: reading and writing again loses nothing."""
    data = model_bytes(small_spec(cell, arch, baseline_span_s=60.0))
    given = onnx.load_model_from_string(Structure(data).check(open_bytes(data).manifest, 512))
    wanted = onnx.load_model_from_string(data)
    del wanted.metadata_props[:]
    assert given == wanted


ONNX_NAMES = {
    "Entry": "StringStringEntryProto",
    "OperatorSet": "OperatorSetIdProto",
    "Dimension": "TensorShapeProto.Dimension",
    "Shape": "TensorShapeProto",
    "TensorType": "TypeProto.Tensor",
    "Type": "TypeProto",
    "ValueInfo": "ValueInfoProto",
    "Tensor": "TensorProto",
    "Attribute": "AttributeProto",
    "Node": "NodeProto",
    "Graph": "GraphProto",
    "Model": "ModelProto",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_field_numbers_and_types_are_those_of_onnx(message):
    described = onnx
    for part in ONNX_NAMES[message].split("."):
        described = getattr(described, part)
    fields = described.DESCRIPTOR.fields_by_name
    for field in MESSAGES[message]:
        assert fields[field.name].number == field.number
        assert (fields[field.name].message_type is not None) == isinstance(field.kind, str)
        assert fields[field.name].is_repeated == field.repeated


def test_versions_written_are_versions_read():
    assert OPSET in OPSETS
    assert IR_VERSION in IR_VERSIONS


OF_EARLIER_FILES = {"IsNaN"}
"""Operators that graphs no longer use, in files that must still load."""


@pytest.mark.parametrize("operator", RULES)
def test_every_allowed_operator_is_used_and_is_onnx(operator):
    """The allow-list holds nothing to spare."""
    assert onnx.defs.has(operator, max_inclusive_version=OPSET)
    used = set(OF_EARLIER_FILES)
    for cell, arch in (("gru", "autoencoder"), ("lstm", "seq2seq")):
        model = parse(model_bytes(small_spec(cell, arch, baseline_span_s=60.0)))
        used |= {node.op_type.decode() for node in model.graph.node}
    assert operator in used


def test_chart_names_and_limits_follow_the_banks():
    spec = small_spec()
    limits = limits_of(spec)
    charts = open_bytes(model_bytes(spec, limits=limits)).manifest.charts
    assert [chart.name for chart in charts[:4]] == ["coolant.fast", "rpm.fast", "speed.fast", "coolant.sum"]
    assert [chart.limit for chart in charts][:3] == [2.0, None, pytest.approx(float(limits[2]))]
    assert {chart.kind: chart.bound for chart in charts} == {"ewma": 8.0, "cusum": 40.0, "ewms": 8.0}

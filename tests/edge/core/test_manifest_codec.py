"""The manifest's two formats: model files of tickover 0.1 mean what they meant; what is written is format 2."""

import json

import pytest
from msgspec import structs

import paths
from tickover.core.manifest import Chart
from tickover.core.manifest_codec import decode, encode
from tickover.errors import ModelError
from tickover.model.file.check import Structure
from tickover.model.session import read_model

FIRST = [*sorted(paths.MODELS.glob("*.onnx")), paths.ROOT / "tests" / "compat" / "a19afef" / "demo" / "truck.onnx"]


def text_of(path):
    return Structure(read_model(path)).metadata["tickover.manifest"]


def is_within(old, new):
    """Whether all that was said is still said; keys may have come with their defaults since."""
    if isinstance(old, dict):
        return all(key in new and is_within(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(is_within, old, new))
    return old == new


@pytest.fixture
def first():
    return json.loads(text_of(paths.MODELS / "gru_autoencoder.onnx"))


@pytest.mark.parametrize("path", FIRST, ids=lambda path: path.stem)
def test_a_manifest_of_the_first_format_says_the_same_under_todays_names(path):
    old, now = json.loads(text_of(path)), decode(text_of(path))
    assert old["format_version"] == 1
    assert now.format_version == 2
    assert now.episodes.hold_off_s == old["episodes"]["cool_down_s"]
    for was, chart in zip(old["charts"], now.charts, strict=True):
        assert (chart.name, chart.signals) == (was["name"], (was["signal"],))
        assert (chart.limit, chart.bound, chart.clears_s) == (was["limit"], was["bound"], was["clears_s"])
        assert chart.kind == ("ewms" if was["kind"] == "energy" else was["kind"])
        if was["kind"] == "cusum":
            assert chart.settings == {"allowance": was["allowance"], "saturation": was["bound"]}
        else:
            assert chart.settings == {"span_s": was["span_s"]}
    assert now.kinds.keys() == {chart.kind for chart in now.charts}
    written = json.loads(encode(now))
    for key in old.keys() - {"charts", "episodes", "format_version"}:
        assert is_within(old[key], written[key]), key


@pytest.mark.parametrize("path", FIRST, ids=lambda path: path.stem)
def test_what_is_written_is_read(path):
    now = decode(text_of(path))
    assert decode(encode(now)) == now
    assert '"format_version":2' in encode(now)
    assert "energy" not in json.loads(encode(now))["kinds"]


def second(manifest):
    return json.loads(encode(decode(json.dumps(manifest))))


@pytest.mark.parametrize("version", [0, 3])
def test_another_format_is_refused_with_what_is_read(first, version):
    with pytest.raises(
        ModelError, match=f"expected format version 1 or 2, got {version}; use a tickover that reads it"
    ):
        decode(json.dumps(first | {"format_version": version}))


def test_a_format_has_its_own_names_only(first):
    newer = second(first)
    with pytest.raises(ModelError, match=r"`signals?`"):
        decode(json.dumps(first | {"charts": newer["charts"]}))
    with pytest.raises(ModelError, match=r"`signals?`"):
        decode(json.dumps(newer | {"charts": first["charts"]}))
    for manifest, key in ((first, "hold_off_s"), (newer, "cool_down_s")):
        with pytest.raises(ModelError, match=f"unknown field `{key}`"):
            decode(json.dumps(manifest | {"episodes": {key: 1.0}}))
    with pytest.raises(ModelError, match="kinds"):
        decode(json.dumps(first | {"kinds": {"ewma": "x"}}))
    with pytest.raises(ModelError, match="Invalid enum value 'ewms'"):
        decode(json.dumps(first | {"charts": [first["charts"][0] | {"kind": "ewms"}]}))


@pytest.mark.parametrize(
    ("chart", "message"),
    [
        ({"signals": ["coolant", "oil"]}, "expected charts over listed signals, got oil"),
        ({"signals": []}, "Expected `array` of length >= 1"),
        ({"signals": ["rpm", "rpm"]}, r"expected chart rpm\.fast: signal names to be unique, got twice: rpm"),
        ({"kind": "joint"}, "expected charts over listed kinds, got joint"),
        ({"settings": {"span_s": "x"}}, "Expected `float`, got `str`"),
        ({"settings": {f"number_{place}": 1.0 for place in range(33)}}, "Expected `object` of length <= 32"),
        ({"name": "coolant.fast"}, r"expected chart names to be unique, got twice: coolant\.fast"),
    ],
)
def test_charts_of_what_is_not_listed_are_refused(first, chart, message):
    manifest = second(first)
    manifest["charts"][1] |= chart
    with pytest.raises(ModelError, match=message):
        decode(json.dumps(manifest))


def test_a_chart_may_look_at_several_signals(first):
    manifest = decode(json.dumps(first))
    joint = Chart(
        name="joint", signals=("speed", "coolant"), kind="joint", limit=1.0, bound=8.0, clears_s=2.0, settings={}
    )
    both = structs.replace(
        manifest, charts=(*manifest.charts, joint), kinds=manifest.kinds | {"joint": "they move together"}
    )
    assert decode(encode(both)) == both

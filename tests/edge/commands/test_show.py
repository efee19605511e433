"""``tickover show`` says what an engineer wants to know, of a file that passed all checks."""

import re
from dataclasses import replace

import pytest
from click.testing import CliRunner
from msgspec import structs

import paths
from tickover.cli import root
from tickover.commands.show import describe
from tickover.core.manifest import ColdStart, Legs
from tickover.errors import ModelError
from tickover.model.session import open_model

MODELS = paths.MODELS


def shown(name):
    result = CliRunner().invoke(root, ["show", str(MODELS / name)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_every_signal_and_chart_is_listed_with_its_numbers(path):
    text = "\n".join(describe(open_model(path)))
    model = open_model(path)
    assert model.digest in text
    assert f"{path.stat().st_size:,} bytes" in text
    for signal in model.manifest.signals:
        assert re.search(rf"{signal.name} +{signal.unit} +{signal.low:g} \.\. {signal.high:g}", text)
    for chart in model.manifest.charts:
        limit = "off" if chart.limit is None else f"{chart.limit:.3g}"
        assert re.search(rf"{re.escape(chart.name)} .* {limit} +{chart.bound:g} ", text)


def test_the_network_and_its_memory_are_in_seconds():
    text = shown("rnn_seq2seq.onnx")
    assert "RNN seq2seq, hidden 6, bottleneck 2, window 7 ticks (7 s)" in text
    assert "the first 5 ticks (5 s) warm up" in text
    assert "limits set for 1 in 1 h" in text
    assert "horizon not measured" in text


def test_a_refused_file_is_refused_here_too():
    with pytest.raises(ModelError, match=r"README\.md: seal: expected a tickover seal"):
        CliRunner().invoke(root, ["show", str(paths.ROOT / "README.md")], catch_exceptions=False)


def test_cold_starts_and_what_came_of_legs_are_told():
    model = open_model(MODELS / "rnn_seq2seq.onnx")
    names = model.manifest.names
    excess = dict.fromkeys(names, 0.1) | {names[0]: 0.52, names[1]: 2.0}
    cold = tuple(ColdStart(excess=excess[name], fades_s=60.0) for name in names)
    legs = Legs(shortest_s=180.0, longest_s=480.0, hours=9.0, realised=0.8, low=0.5, high=1.2)
    budget = structs.replace(model.manifest.false_alarms, hours=10.0, realised=1.1, low=0.7, high=1.6, legs=legs)
    text = "\n".join(describe(replace(model, manifest=structs.replace(model.manifest, cold=cold, false_alarms=budget))))
    assert f"residuals spread over 1.5 times the usual until: {names[1]} 1 min" in text, (
        "the first is over in the warm-up"
    )
    assert "gave 1.1 an hour (0.7 to 1.6) over 10 h; in legs of 3 min to 8 min 0.8 (0.5 to 1.2)" in text
    assert "cold start" not in "\n".join(describe(model))

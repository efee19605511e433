"""Cells, architectures and kinds of charts are listed once: what has something for each has it for each of the list."""

from typing import get_args

import pytest

from tickover.core.manifest import ARCHITECTURES, CELLS
from tickover.core.manifest_codec import FIRST_KINDS
from tickover_export.cells import GATE_ORDER
from tickover_export.charts.registry import KINDS, Bank
from tickover_export.networks import ARCHITECTS


def test_the_graph_knows_every_cell_and_architecture():
    assert GATE_ORDER.keys() == set(CELLS)
    assert ARCHITECTS.keys() == set(ARCHITECTURES)


def test_the_workshop_knows_every_cell_and_architecture():
    pytest.importorskip("torch")
    from tickover_train.fitting import network

    assert network.CELLS.keys() == set(CELLS)
    assert network.ARCHITECTURES.keys() == set(ARCHITECTURES)


def test_every_kind_of_chart_has_a_name_of_its_own_and_words():
    assert list(KINDS) == ["ewma", "ewms", "cusum", "change", "spike", "frozen"]
    assert list(KINDS.values()) == list(get_args(Bank))
    assert all(kind.WORDS for kind in KINDS.values())


def test_the_kinds_of_the_first_format_are_described_as_today():
    assert dict(FIRST_KINDS.values()) == {
        name: kind.WORDS for name, kind in KINDS.items() if name in ("ewma", "ewms", "cusum")
    }
    for old, (now, _) in FIRST_KINDS.items():
        assert old == now or old in KINDS[now].OLD_TAGS

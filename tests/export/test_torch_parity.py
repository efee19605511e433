"""torch's own cells and the exported graph agree, for every cell and architecture, over 10,000 ticks."""

import numpy as np
import pytest

from small_models import COMBINATIONS, limits_of, model_bytes, random_weights, small_spec, ticks_of
from tickover_export.parity import LEAST_TICKS, TOLERANCE, prove
from tickover_export.run import ParityTicks

torch = pytest.importorskip("torch")

LEGS = 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "arch"), COMBINATIONS)
def test_parity_as_ticks_chunks_and_batches(cell, arch):
    from tickover_train.fitting.network import build, load_weights
    from tickover_train.fitting.reference import Reference

    torch.set_num_threads(1)
    spec = small_spec(cell, arch, hidden=16, baseline_span_s=600.0)
    weights, limits = random_weights(spec), limits_of(spec)
    x, starts = ticks_of(spec, weights, LEAST_TICKS, gaps=LEGS)
    network = build(spec.network, len(spec.signals))
    load_weights(network, weights)
    torchs = Reference(network, spec, weights, limits).run(x, starts)
    ticks = ParityTicks(x, starts, torchs.score, torchs.chart, torchs.expected)
    assert np.nanmax(torchs.score) > 1.0
    parity = prove(model_bytes(spec, weights, limits), ticks)
    assert parity.ticks == LEAST_TICKS
    assert parity.error <= TOLERANCE

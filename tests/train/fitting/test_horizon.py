"""The memory horizon against a brute-force Jacobian."""

import numpy as np
import pytest
import torch

from tickover.core.manifest import Network
from tickover_train.fitting import horizon
from tickover_train.fitting.network import build, with_mask
from train.trips import trips

LAGS = 12


def normalised() -> list[np.ndarray]:
    return [((one.values - one.values.mean(0)) / one.values.std(0)).astype(np.float32) for one in trips(2, 150)]


def small(cell: str, arch: str):
    torch.manual_seed(0)
    return build(Network(cell=cell, arch=arch, hidden=5, bottleneck=2, window=8 if arch == "seq2seq" else None), 4)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horizon, "POSITIONS", 3)
    monkeypatch.setattr(horizon, "RUN_IN", 10)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("arch", ["autoencoder", "forecaster", "seq2seq"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_through_the_inputs_it_is_the_jacobians_norm(cell: str, arch: str):
    network = small(cell, arch)
    measured = horizon.horizons(network, normalised(), 0, LAGS).memory.curve
    windows = horizon._windows(normalised(), LAGS, 0)

    def last(values: torch.Tensor) -> torch.Tensor:
        mask = torch.ones_like(values)
        return network(torch.cat([values, mask], -1))[0][-1, 0]

    norms = []
    for position in range(windows.shape[1]):
        jacobian = torch.autograd.functional.jacobian(last, windows[:, position : position + 1])
        norms.append([jacobian[:, -1 - lag].double().norm().item() for lag in range(LAGS + 1)])
    assert measured == pytest.approx(np.median(norms, axis=0), rel=1e-4, abs=1e-9)


@pytest.mark.usefixtures("few")
def test_through_the_state_probes_come_close_to_the_jacobians_norm(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(horizon, "PROBES", 400)
    network = small("lstm", "autoencoder")
    measured = horizon.horizons(network, normalised(), 0, LAGS).state
    assert measured is not None
    windows = with_mask(horizon._windows(normalised(), LAGS, 0))
    start = len(windows) - LAGS - 1
    norms = []
    for position in range(windows.shape[1]):
        x = windows[:, position : position + 1]
        _, state = network(x[: start + 1])
        flat = torch.cat([part.flatten() for part in state]).detach()

        def onward(flat: torch.Tensor, ticks: int = LAGS, x: torch.Tensor = x) -> torch.Tensor:
            _, after = network(x[len(x) - ticks :], tuple(part.reshape(1, 1, -1) for part in flat.chunk(4)))
            return torch.cat([part.flatten() for part in after])

        norms.append(torch.autograd.functional.jacobian(onward, flat).double().norm().item())
    assert measured.curve[LAGS] == pytest.approx(np.median(norms), rel=0.25)
    assert measured.curve[0] == pytest.approx(np.sqrt(20.0), rel=0.1), "the identity over 20 state numbers"


def test_the_horizon_is_where_the_curve_falls_under_a_hundredth_of_its_maximum():
    curve = np.array([50.0, 0.5, 1.0, 0.5, 0.02, 0.009, 0.5, 0.001])
    found = horizon.find(curve)
    assert (found.lag, found.reached) == (5, True)
    forever = horizon.find(np.ones(10))
    assert (forever.lag, forever.reached) == (9, False)


def test_correlation_time_tells_slow_signals_from_fast():
    fading = horizon.correlation_time([one.values for one in trips(3)])
    speed, _, _, coolant = fading
    assert 10 < speed < 150
    assert coolant > 30
    noise = np.random.default_rng(0).normal(size=(2000, 1)).astype(np.float32)
    assert horizon.correlation_time([noise])[0] == 1

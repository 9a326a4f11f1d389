import numpy as np
import pytest
import torch

from fraud_ae.models.network import Autoencoder
from fraud_ae.models.persistence import scoring_network
from fraud_ae.scorers.signals import Signals, signals_of
from tests.scorers.rows import GROUPS, signals


@pytest.mark.parametrize(
    ("groups", "errors"),
    [
        ([0, 1, 2, 2], [1, 4, 9 + 16]),
        ([2, 0, 2, 1], [4, 16, 1 + 9]),
        ([0, 0, 0, 0], [1 + 4 + 9 + 16]),
    ],
)
def test_errors_are_squares_summed_over_the_inputs_of_each_feature(groups, errors):
    residuals = np.array([[1.0, -2, 3, 4]] * 2)
    rows = Signals(residuals.astype(np.float32), residuals, residuals[:, :1], np.array(groups))
    assert rows.errors.tolist() == [errors] * 2
    assert rows.errors.dtype == np.float64


@pytest.mark.parametrize("rows", [slice(2, 5), np.array([4, 0]), np.arange(6) % 2 == 0], ids=str)
def test_some_rows_keep_their_signals(rows):
    every = signals(6)
    some = every[rows]
    assert len(some) == len(every.inputs[rows])
    for name in ("inputs", "residuals", "code", "errors"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[rows])
    np.testing.assert_array_equal(some.groups, every.groups)


@pytest.fixture(scope="module")
def network() -> Autoencoder:
    torch.manual_seed(0)
    return scoring_network(Autoencoder(len(GROUPS), hidden_sizes=[4], latent_dim=2))


def test_signals_are_what_the_network_makes_of_the_inputs(network):
    inputs = signals(30).inputs
    computed = signals_of(network, inputs, GROUPS.tolist())
    with torch.inference_mode():
        batch = torch.from_numpy(inputs).double()
        np.testing.assert_allclose(computed.residuals, network(batch) - batch, rtol=1e-12)
        np.testing.assert_allclose(computed.code, network.encode(batch), rtol=1e-12)
    np.testing.assert_array_equal(computed.inputs, inputs)
    np.testing.assert_array_equal(computed.groups, GROUPS)


@pytest.mark.parametrize("n", [0, 1, 70_000])
def test_any_number_of_rows_has_signals(network, n):
    computed = signals_of(network, signals(n).inputs, GROUPS)
    assert computed.residuals.shape == (n, len(GROUPS))
    assert computed.code.shape == (n, 2)
    assert computed.errors.shape == (n, 5)
    last = signals_of(network, computed.inputs[-1:], GROUPS)
    np.testing.assert_allclose(computed.residuals[-1:], last.residuals, atol=1e-6)


def test_the_network_that_was_trained_is_left_as_it_is():
    trained = Autoencoder(len(GROUPS)).train()
    assert scoring_network(trained).encoder[0].weight.dtype == torch.float64
    assert trained.training
    assert trained.encoder[0].weight.dtype == torch.float32

from functools import partial

import numpy as np
import pytest
import torch

from fraud_ae.models.ensemble import Ensemble
from fraud_ae.models.network import Autoencoder, MaskedAutoencoder, VariationalAutoencoder
from fraud_ae.models.persistence import scoring_network
from fraud_ae.scorers.signals import Signals, signals_of
from tests.scorers.rows import GROUPS, signals


def test_errors_are_squares_summed_over_the_inputs_of_a_feature():
    rows = signals(5)
    squared = np.square(rows.residuals)
    expected = np.column_stack([squared[:, :4], squared[:, 4:].sum(axis=1)])
    np.testing.assert_allclose(rows.errors, expected, rtol=1e-6)
    assert rows.errors.dtype == np.float64


@pytest.mark.parametrize("seed", range(5))
def test_inputs_of_a_feature_may_stand_anywhere(seed):
    rows = signals(50)
    order = np.random.default_rng(seed).permutation(len(GROUPS))
    moved = Signals(rows.inputs[:, order], rows.residuals[:, order], rows.code, rows.groups[order])
    # Features keep their numbers, so that their errors keep their places.
    np.testing.assert_allclose(moved.errors, rows.errors, rtol=1e-6)


def test_features_are_in_the_order_of_their_numbers():
    residuals = np.array([[1, 2, 3, 4]], dtype=np.float32)
    rows = Signals(residuals, residuals, residuals[:, :1], np.array([2, 0, 2, 1]))
    assert rows.errors.tolist() == [[4, 16, 1 + 9]]


def test_a_single_feature_has_a_single_error():
    residuals = np.array([[1, 2], [3, 4]], dtype=np.float32)
    rows = Signals(residuals, residuals, residuals, np.array([0, 0]))
    assert rows.errors.tolist() == [[5], [25]]


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
    found = signals_of(network, inputs, GROUPS.tolist())
    with torch.inference_mode():
        batch = torch.from_numpy(inputs).double()
        np.testing.assert_allclose(found.residuals, network(batch) - batch, rtol=1e-12)
        np.testing.assert_allclose(found.code, network.encode(batch), rtol=1e-12)
    np.testing.assert_array_equal(found.inputs, inputs)
    np.testing.assert_array_equal(found.groups, GROUPS)


@pytest.mark.parametrize("n", [0, 1, 70_000])
def test_any_number_of_rows_has_signals(network, n):
    found = signals_of(network, signals(n).inputs, GROUPS)
    assert found.residuals.shape == (n, len(GROUPS))
    assert found.code.shape == (n, 2)
    assert found.errors.shape == (n, 5)
    last = signals_of(network, found.inputs[-1:], GROUPS)
    np.testing.assert_allclose(found.residuals[-1:], last.residuals, atol=1e-6)


def test_the_network_that_was_trained_is_left_as_it_is():
    trained = Autoencoder(len(GROUPS)).train()
    assert scoring_network(trained).encoder[0].weight.dtype == torch.float64
    assert trained.training
    assert trained.encoder[0].weight.dtype == torch.float32


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder, MaskedAutoencoder])
@pytest.mark.parametrize("members", [1, 3])
def test_networks_give_residuals_and_code_at_once(kind, members):
    torch.manual_seed(0)
    build = partial(kind, len(GROUPS), hidden_sizes=[4], latent_dim=2)
    network = (Ensemble(build, members) if members > 1 else build()).eval()
    inputs = torch.from_numpy(signals(30).inputs)
    residuals, code = network.signals(inputs)
    assert torch.equal(residuals, network.residuals(inputs))
    assert torch.equal(code, network.encode(inputs))

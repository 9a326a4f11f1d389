"""Rows of the highest loss that are not learned from."""

import pytest
import torch

from fraud_ae.errors import UserError
from fraud_ae.models.batches import Rows
from fraud_ae.models.network import Autoencoder, MaskedAutoencoder
from fraud_ae.models.stacked import SingleNetwork, StackedAutoencoders
from fraud_ae.models.training import Training, train_network
from tests.models.training_data import N_INPUTS, TRAIN, VALIDATION, changed, training

# Frauds of one kind, off the plane of the other rows.
STRANGE = 0.5 * torch.randn(30, N_INPUTS, generator=torch.Generator().manual_seed(5)) + 3.0


def network(seed: int = 0) -> Autoencoder:
    torch.manual_seed(seed)
    return Autoencoder(N_INPUTS, hidden_sizes=[10], latent_dim=4)


def error_of_strange(contamination: float, train: torch.Tensor, **settings: object) -> float:
    """Their error in terms of that of validation rows."""
    settings = changed(max_epochs=30, contamination=contamination, **settings)
    trained = train_network(training(settings=settings), Rows(train), VALIDATION).network
    with torch.inference_mode():
        return float(trained.loss(STRANGE).mean() / trained.loss(VALIDATION.inputs).mean())


def test_what_nobody_knows_to_be_fraud_does_not_become_normal():
    contaminated = torch.cat([TRAIN.inputs, STRANGE])
    clean = error_of_strange(0.0, TRAIN.inputs)
    learned = error_of_strange(0.0, contaminated)
    assert learned < 0.5 * clean
    assert error_of_strange(0.1, contaminated) > 2 * learned


def test_gradients_are_those_of_the_rows_that_count():
    rows, counts = TRAIN.inputs[:64], [0, 5, 12]
    networks = [network(seed) for seed in range(3)]
    expected = []
    for one, count in zip(networks, counts, strict=True):
        losses = one.loss(rows)
        losses.sort().values[: len(rows) - count].mean().backward()
        expected.append([p.grad.clone() for p in one.parameters()])
    before = [[p.detach().clone() for p in one.parameters()] for one in networks]
    stack = StackedAutoencoders(networks)
    stack.backward(rows, counts)
    for vector in stack.vectors:
        vector.data -= vector.grad
    for one, old, gradients in zip(networks, before, expected, strict=True):
        for new, was, gradient in zip(one.parameters(), old, gradients, strict=True):
            torch.testing.assert_close(was - new.detach(), gradient, rtol=1e-4, atol=1e-6)


def test_losses_are_those_of_the_rows_that_count():
    losses = network().loss(TRAIN.inputs).detach().sort().values
    for one in (StackedAutoencoders([network()]), SingleNetwork(network())):
        torch.testing.assert_close(one.losses(TRAIN.inputs, [50])[0], losses[:-50].mean())


def test_the_first_epoch_learns_from_all_rows():
    without, some = (
        train_network(training(settings=changed(contamination=share)), TRAIN, VALIDATION).history
        for share in (0.0, 0.2)
    )
    assert some[0]["train_loss"] == without[0]["train_loss"]
    assert some[0]["val_loss"] < without[0]["val_loss"]
    assert some[1]["train_loss"] < without[1]["train_loss"]


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_networks_that_draw_random_numbers_leave_rows_out_too(share):
    def masked(n_inputs: int) -> MaskedAutoencoder:
        return MaskedAutoencoder(n_inputs, hidden_sizes=[10], latent_dim=4)

    settings = changed(contamination=share)
    trained = train_network(Training(masked, settings, 0), TRAIN, VALIDATION)
    with torch.inference_mode():
        losses = trained.network.loss(VALIDATION.inputs)
    best = trained.history[trained.best_epoch - 1]["val_loss"]
    assert (best < 0.95 * losses.mean()) == (share > 0)


def test_a_loss_of_all_rows_together_cannot_leave_any_out():
    class Together(Autoencoder):
        def loss(self, inputs):
            return super().loss(inputs).mean()

    def trained(contamination: float):
        settings = changed(max_epochs=2, contamination=contamination)
        return train_network(Training(Together, settings, 0), TRAIN, VALIDATION)

    assert trained(0.0).history[-1]["train_loss"] > 0
    with pytest.raises(UserError, match=r"trainer\.contamination: Together\.loss .* or set 0"):
        trained(0.1)


@pytest.mark.parametrize(("frauds", "expected"), [(0, 0.03), (149, 0.03), (150, 0.0), (5000, 0.0)])
def test_where_it_is_open_known_frauds_decide(frauds, expected):
    assert changed().with_contamination(frauds, 100_000).contamination == expected
    assert changed(contamination=0.2).with_contamination(frauds, 100_000).contamination == 0.2

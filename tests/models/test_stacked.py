"""Networks that are trained together come out as they do alone."""

import numpy as np
import pytest
import torch

from fraud_ae.errors import TrainingDiverged
from fraud_ae.models.batches import Rows
from fraud_ae.models.network import Autoencoder, MaskedAutoencoder
from fraud_ae.models.stacked import SingleNetwork, StackedAutoencoders, stack_key, trainable
from fraud_ae.models.training import TrainedNetwork, train_network, train_together
from tests.models.training_data import N_INPUTS, TRAIN, VALIDATION, changed, curve, training

IMPATIENT = changed(early_stopping_patience=1, min_delta=10.0)
# What a sweep may vary within one loop.
VARIED = {
    "nothing": training(),
    "latent_dim": training(latent_dim=2),
    "activation": training(activation="leaky_relu"),
    "seed": training(seed=7),
    "a wider latent_dim": training(latent_dim=9),
    "learning_rate": training(settings=changed(learning_rate=0.002)),
    "weight_decay": training(settings=changed(weight_decay=0.1)),
    "max_epochs": training(settings=changed(max_epochs=3)),
    "reduce_lr_patience": training(settings=changed(reduce_lr_patience=0, min_delta=10.0)),
    "contamination": training(settings=changed(contamination=0.1)),
    "more contamination": training(settings=changed(contamination=0.3)),
    "early_stopping_patience": training(settings=IMPATIENT),
}


@pytest.fixture(scope="module")
def loop() -> dict[str, TrainedNetwork | TrainingDiverged]:
    """All of them, trained in one loop with one that diverges."""
    trainings = {"divergence": training(settings=changed(learning_rate=1e30)), **VARIED}
    trained = train_together(list(trainings.values()), [TRAIN] * len(trainings), VALIDATION)
    return dict(zip(trainings, trained, strict=True))


def assert_same(one: TrainedNetwork, other: TrainedNetwork) -> None:
    assert one.best_epoch == other.best_epoch
    assert one.steps_per_epoch == other.steps_per_epoch
    np.testing.assert_allclose(curve(one), curve(other), rtol=1e-5)
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("varied", VARIED)
def test_what_varies_in_a_loop_comes_out_as_alone(loop, varied):
    assert_same(loop[varied], train_network(VARIED[varied], TRAIN, VALIDATION))


def test_what_varies_makes_another_network(loop):
    curves = {tuple(curve(loop[varied])) for varied in VARIED}
    assert len(curves) == len(VARIED)


def test_a_network_that_diverges_is_an_error_in_its_place(loop):
    assert isinstance(loop["divergence"], TrainingDiverged)
    assert "trainer.learning_rate=1e+30" in str(loop["divergence"])


@pytest.mark.parametrize("lengths", [(500, 500), (300, 500, 97, 500), (33, 65, 129, 64)])
def test_networks_on_rows_of_their_own_come_out_and_stop_as_alone(lengths):
    parts = [Rows(TRAIN.inputs[-n:].clone()) for n in lengths]
    settings = [(changed(), IMPATIENT)[seed % 2] for seed in range(len(lengths))]
    trainings = [training(seed, settings=one) for seed, one in enumerate(settings)]
    trained = train_together(trainings, parts, VALIDATION)
    assert [len(network.history) for network in trained][:2] == [4, 2]
    for one, part, network in zip(trainings, parts, trained, strict=True):
        assert_same(network, train_network(one, part, VALIDATION))


def test_networks_come_back_with_memory_of_their_own(loop):
    parameters = [p for varied in VARIED for p in loop[varied].network.parameters()]
    assert all(parameter.is_contiguous() for parameter in parameters)
    memory = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    assert len(memory) == len(parameters)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu", "tanh"])
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("hidden_sizes", [[], [10], [10, 6]])
def test_gradients_are_those_of_automatic_differentiation(activation, norm, hidden_sizes):
    settings = {"hidden_sizes": hidden_sizes, "activation": activation, "norm": norm}
    torch.manual_seed(0)
    networks = [Autoencoder(N_INPUTS, latent_dim=dim, **settings) for dim in (3, 3, 5)]
    expected = []
    for network in networks:
        loss = network.loss(TRAIN.inputs).mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        names = dict(network.named_parameters())
        expected.append((loss.detach(), dict(zip(names, gradients, strict=True))))
    stack = StackedAutoencoders(networks)
    losses = stack.backward(TRAIN.inputs)
    before = [{k: v.clone() for k, v in network.state_dict().items()} for network in networks]
    for vector in stack.vectors:
        vector.data -= vector.grad
    for number, (loss, gradients) in enumerate(expected):
        torch.testing.assert_close(losses[number], loss)
        after = networks[number].state_dict()
        for name, gradient in gradients.items():
            moved = before[number][name] - after[name]
            torch.testing.assert_close(moved, gradient, rtol=1e-4, atol=1e-6)


def test_losses_need_no_gradients():
    network = Autoencoder(N_INPUTS, hidden_sizes=[6], latent_dim=2)
    expected = network.loss(VALIDATION.inputs).mean().detach()
    for stack in (StackedAutoencoders([network]), SingleNetwork(network)):
        torch.testing.assert_close(stack.losses(VALIDATION.inputs).detach()[0], expected)


def test_only_plain_autoencoders_of_like_layers_share_a_loop():
    def key(cls=Autoencoder, n_inputs=N_INPUTS, **settings):
        return stack_key(cls(n_inputs, **{"hidden_sizes": [8], "activation": "relu", **settings}))

    assert key() == key(latent_dim=2) == key(activation="leaky_relu")
    different = [
        key(),
        key(hidden_sizes=[9]),
        key(hidden_sizes=[8, 8]),
        key(activation="silu"),
        key(activation="tanh"),
        key(norm="none"),
        key(n_inputs=N_INPUTS + 1),
    ]
    assert len(set(different)) == len(different)
    assert key(dropout=0.1) is key(input_noise=0.1) is key(norm="batch") is None
    assert key(MaskedAutoencoder) is None
    for networks in (
        [Autoencoder(4, activation="relu"), Autoencoder(4, activation="silu")],
        [MaskedAutoencoder(4), MaskedAutoencoder(4)],
    ):
        with pytest.raises(ValueError, match="cannot share"):
            trainable(networks)

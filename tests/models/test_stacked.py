"""Networks that are trained together come out as they do alone."""

import dataclasses

import numpy as np
import pytest
import torch

from fraud_ae.errors import TrainingDiverged
from fraud_ae.models.network import Autoencoder, MaskedAutoencoder
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.stacked import SingleNetwork, StackedAutoencoders, stack_key, trainable
from fraud_ae.models.training import Rows, TrainedNetwork, Training, train_network, train_together

N_INPUTS = 12
SETTINGS = TrainerSettings(max_epochs=4, batch_size=32, learning_rate=0.005, accelerator="cpu")


def rows(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(3, N_INPUTS, generator=torch.Generator().manual_seed(99))
    noise = 0.1 * torch.randn(n, N_INPUTS, generator=generator)
    return torch.randn(n, 3, generator=generator) @ plane + noise


TRAIN, VALIDATION = Rows(rows(500, 1)), Rows(rows(150, 2))


def training(seed: int = 0, settings: TrainerSettings = SETTINGS, **network) -> Training:
    arguments = {"hidden_sizes": [10, 6], "latent_dim": 4, "activation": "relu", **network}
    return Training(lambda n_inputs: Autoencoder(n_inputs, **arguments), settings, seed)


def changed(**settings) -> Training:
    return training(settings=dataclasses.replace(SETTINGS, **settings))


def together(*trainings: Training) -> list[TrainedNetwork | TrainingDiverged]:
    return train_together(trainings, [TRAIN] * len(trainings), VALIDATION)


def alone(one: Training) -> TrainedNetwork:
    return train_network(one, TRAIN, VALIDATION)


def curve(trained: TrainedNetwork) -> list[tuple]:
    names = ("epoch", "train_loss", "val_loss", "learning_rate")
    return [tuple(row[name] for name in names) for row in trained.history]


def assert_same(one: TrainedNetwork, other: TrainedNetwork) -> None:
    assert one.best_epoch == other.best_epoch
    np.testing.assert_allclose(curve(one), curve(other), rtol=1e-5)
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


# What a sweep may vary within one loop: the network or setting beside the plain one.
VARIED = {
    "latent_dim": training(latent_dim=2),
    "a wider latent_dim": training(latent_dim=9),
    "activation": training(activation="leaky_relu"),
    "learning_rate": changed(learning_rate=0.002),
    "weight_decay": changed(weight_decay=0.1),
    "seed": training(seed=7),
    "max_epochs": changed(max_epochs=2),
    "reduce_lr_patience": changed(reduce_lr_patience=0, min_delta=10.0),
    "early_stopping_patience": changed(early_stopping_patience=1, min_delta=10.0),
}


@pytest.mark.parametrize("varied", VARIED)
def test_what_varies_in_a_loop_comes_out_as_alone(varied):
    plain, other, third = training(), VARIED[varied], training(latent_dim=6)
    for found, one in zip(together(plain, other, third), (plain, other, third), strict=True):
        assert_same(found, alone(one))


@pytest.mark.parametrize("varied", VARIED)
def test_what_varies_makes_another_network(varied):
    ours, theirs = alone(training()), alone(VARIED[varied])
    assert curve(ours) != curve(theirs)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu", "tanh"])
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("hidden_sizes", [[], [10], [10, 6]])
def test_gradients_are_those_of_automatic_differentiation(activation, norm, hidden_sizes):
    settings = {"hidden_sizes": hidden_sizes, "activation": activation, "norm": norm}
    torch.manual_seed(0)
    networks = [Autoencoder(N_INPUTS, latent_dim=dim, **settings) for dim in (3, 3, 5)]
    expected = []
    for network in networks:
        loss = network.loss(TRAIN.inputs)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        expected.append(
            (loss.detach(), dict(zip(dict(network.named_parameters()), gradients, strict=True)))
        )
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
    expected = network.loss(VALIDATION.inputs).detach()
    for stack in (StackedAutoencoders([network]), SingleNetwork(network)):
        torch.testing.assert_close(stack.losses(VALIDATION.inputs).detach()[0], expected)


def test_each_network_stops_by_itself():
    impatient = changed(early_stopping_patience=1, min_delta=10.0, max_epochs=6)
    patient = changed(max_epochs=6)
    first, second = together(impatient, patient)
    assert len(first.history) == 2
    assert len(second.history) == 6
    assert_same(second, alone(patient))


def test_each_network_stops_by_itself_whatever_rows_it_sees():
    impatient = changed(early_stopping_patience=1, min_delta=10.0, max_epochs=6)
    patient = changed(max_epochs=6)
    trainings = [
        dataclasses.replace(each, seed=seed)
        for seed, each in enumerate((patient, impatient, patient, impatient))
    ]
    for one, found in zip(trainings, together(*trainings), strict=True):
        assert len(found.history) == (2 if one.settings is impatient.settings else 6)
        assert_same(found, alone(one))


@pytest.mark.parametrize("lengths", [(500, 500), (500, 411), (300, 500, 97), (33, 65, 129, 64)])
def test_networks_on_rows_of_their_own_come_out_as_alone(lengths):
    own = [Rows(TRAIN.inputs[-n:].clone()) for n in lengths]
    trainings = [training(seed=seed) for seed in range(len(lengths))]
    found = train_together(trainings, own, VALIDATION)
    for one, rows_of_one, network in zip(trainings, own, found, strict=True):
        expected = train_network(one, rows_of_one, VALIDATION)
        assert_same(network, expected)
        assert network.steps_per_epoch == expected.steps_per_epoch


def test_a_network_that_diverges_leaves_its_neighbours_alone():
    wild = changed(learning_rate=1e30)
    first, failed, last = together(training(), wild, training(latent_dim=2))
    assert isinstance(failed, TrainingDiverged)
    assert "trainer.learning_rate=1e+30" in str(failed)
    assert_same(first, alone(training()))
    assert_same(last, alone(training(latent_dim=2)))


def test_the_best_weights_of_each_network_are_kept():
    jumpy = changed(learning_rate=0.3, max_epochs=8, early_stopping_patience=20)
    for trained in together(jumpy, training()):
        losses = [row["val_loss"] for row in trained.history]
        with torch.inference_mode():
            assert float(trained.network.loss(VALIDATION.inputs)) == pytest.approx(
                min(losses), rel=1e-5
            )


def test_networks_come_back_with_memory_of_their_own():
    first, second = together(training(), training(seed=1))
    before = second.network.state_dict()["encoder.0.weight"].clone()
    with torch.no_grad():
        for parameter in first.network.parameters():
            parameter.zero_()
    assert torch.equal(second.network.state_dict()["encoder.0.weight"], before)
    assert all(parameter.is_contiguous() for parameter in second.network.parameters())


def test_only_plain_autoencoders_of_like_layers_share_a_loop():
    def key(cls=Autoencoder, **settings):
        return stack_key(cls(N_INPUTS, **{"hidden_sizes": [8], "activation": "relu", **settings}))

    assert key() == key(latent_dim=2) == key(activation="leaky_relu")
    different = [
        key(),
        key(hidden_sizes=[9]),
        key(hidden_sizes=[8, 8]),
        key(activation="silu"),
        key(activation="tanh"),
        key(norm="none"),
        stack_key(Autoencoder(N_INPUTS + 1, hidden_sizes=[8], activation="relu")),
    ]
    assert len(set(different)) == len(different)
    assert key(dropout=0.1) is key(input_noise=0.1) is key(norm="batch") is None
    assert key(MaskedAutoencoder) is None


def test_networks_of_other_kinds_cannot_share_a_loop():
    with pytest.raises(ValueError, match="cannot share"):
        trainable([Autoencoder(4, activation="relu"), Autoencoder(4, activation="silu")])
    with pytest.raises(ValueError, match="cannot share"):
        trainable([MaskedAutoencoder(4), MaskedAutoencoder(4)])

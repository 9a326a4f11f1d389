import dataclasses

import numpy as np
import pytest
import torch

from fraud_ae.errors import TrainingDiverged, UserError
from fraud_ae.models.batches import Rows
from fraud_ae.models.network import Autoencoder, VariationalAutoencoder
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import TrainedNetwork, Training, train_network
from tests.models import training_data
from tests.models.training_data import curve, rows

N_INPUTS = 6
QUICK = training_data.changed(learning_rate=0.01)
TRAIN, VALIDATION = rows(200, 1, N_INPUTS), rows(80, 2, N_INPUTS)


def build(n_inputs: int, cls=Autoencoder, **settings) -> torch.nn.Module:
    return cls(n_inputs, **{"hidden_sizes": [8], "latent_dim": 3, **settings})


def fit(
    settings=QUICK, *, seed=0, network=build, validation=VALIDATION, train=TRAIN, **others
) -> TrainedNetwork:
    validation = None if validation is None else Rows(validation)
    return train_network(Training(network, settings, seed, **others), Rows(train), validation)


def changed(**settings) -> TrainerSettings:
    return dataclasses.replace(QUICK, **settings)


def column(trained: TrainedNetwork, name: str) -> list:
    return [row[name] for row in trained.history]


def same_weights(one: TrainedNetwork, other: TrainedNetwork) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def validation_loss(network: torch.nn.Module) -> float:
    with torch.inference_mode():
        return float(network.loss(VALIDATION).mean())


@pytest.mark.parametrize(
    "settings",
    [{}, {"cls": VariationalAutoencoder}, {"dropout": 0.2, "input_noise": 0.1, "norm": "batch"}],
    ids=["plain", "variational", "noisy"],
)
def test_a_seed_repeats_weights_and_history_bit_for_bit(settings):
    def network(n_inputs):
        return build(n_inputs, **settings)

    before = TRAIN.clone(), VALIDATION.clone()
    first = fit(network=network)
    torch.rand(17)  # whatever was drawn before does not matter
    second, other = fit(network=network), fit(network=network, seed=1)
    assert same_weights(first, second)
    assert curve(first) == curve(second) != curve(other)
    assert not same_weights(first, other)
    assert torch.equal(TRAIN, before[0])
    assert torch.equal(VALIDATION, before[1])


def test_training_lowers_the_loss_and_gives_a_network_ready_to_use():
    trained = fit(changed(max_epochs=10), network=lambda n: build(n, dropout=0.01))
    losses = column(trained, "train_loss")
    assert losses[-1] < 0.5 * losses[0]
    assert validation_loss(trained.network) < 0.5 * column(trained, "val_loss")[0]
    assert not trained.network.training
    assert {p.device.type for p in trained.network.parameters()} == {"cpu"}


def test_numbers_of_what_follows_are_not_cut():
    fit()
    assert float(torch.tensor(5e-324, dtype=torch.float64) * 1.0) == 5e-324


def test_the_history_has_a_row_for_each_epoch_and_is_reported_as_it_grows():
    reported = []
    trained = fit(report=reported.append)
    assert reported == trained.history
    assert column(trained, "epoch") == [1, 2, 3, 4]
    assert all(seconds > 0 for seconds in column(trained, "seconds"))
    names = ["epoch", "train_loss", "val_loss", "learning_rate", "seconds"]
    assert [list(row) for row in trained.history] == [names] * 4


def test_the_train_loss_of_the_history_is_the_mean_over_rows_not_over_batches():
    uneven = TRAIN[:40].clone()
    # With a rate of next to nothing the loss of an epoch is that of the first network.
    trained = fit(changed(max_epochs=1, learning_rate=1e-12), train=uneven)
    with torch.inference_mode():
        loss = float(trained.network.loss(uneven).mean())
    assert column(trained, "train_loss") == [pytest.approx(loss, rel=1e-5)]


def test_the_weights_of_the_best_epoch_are_kept():
    # So high a rate makes the loss jump, so that the last epoch is not the best.
    trained = fit(changed(max_epochs=6), learning_rates=[0.01] * 4 + [3.0] * 2)
    losses = column(trained, "val_loss")
    assert np.argmin(losses) < len(losses) - 1
    assert trained.best_epoch == np.argmin(losses) + 1
    assert validation_loss(trained.network) == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.parametrize(
    ("patience", "min_delta", "epochs"), [(1, 100.0, 2), (3, 100.0, 4), (2, 0.0, 12)]
)
def test_training_stops_when_the_loss_has_not_fallen_for_so_many_epochs(
    patience, min_delta, epochs
):
    """No fall is as large as 100, so that the first epoch stays the one to beat."""
    settings = {"early_stopping_patience": patience, "min_delta": min_delta}
    assert len(fit(changed(max_epochs=12, **settings)).history) == epochs


@pytest.mark.parametrize("patience", [0, 2])
def test_the_learning_rate_is_halved_on_a_plateau(patience):
    settings = {"reduce_lr_patience": patience, "early_stopping_patience": 20, "max_epochs": 6}
    rates = column(fit(changed(min_delta=100.0, **settings)), "learning_rate")
    # The first epoch is what the others are compared with.
    assert rates == pytest.approx([0.01] + [0.01 / 2 ** (i // (patience + 1)) for i in range(5)])
    assert set(column(fit(changed(min_delta=0.0, **settings)), "learning_rate")) == {0.01}


def test_without_validation_rows_the_last_epoch_is_kept():
    rates = [0.01, 0.003, 0.02, 3.0]
    trained = fit(validation=None, learning_rates=rates)
    assert column(trained, "learning_rate") == rates
    assert column(trained, "val_loss") == [None] * 4
    assert trained.best_epoch == 4
    # The last step was far too wide, and it is taken all the same.
    shorter = fit(changed(max_epochs=3), validation=None, learning_rates=rates[:3])
    assert validation_loss(trained.network) > 2 * validation_loss(shorter.network)


def test_repeating_the_rates_up_to_the_best_epoch_repeats_its_weights():
    settings = changed(max_epochs=10, learning_rate=0.1, reduce_lr_patience=0, min_delta=0.05)
    trained = fit(settings, seed=4)
    rates = column(trained, "learning_rate")[: trained.best_epoch]
    assert len(set(rates)) > 1
    settings = dataclasses.replace(settings, max_epochs=len(rates))
    assert same_weights(trained, fit(settings, seed=4, validation=None, learning_rates=rates))


def test_batch_size_and_weight_decay_change_the_weights():
    def norm(trained: TrainedNetwork) -> float:
        return sum(float(p.square().sum()) for p in trained.network.state_dict().values())

    plain = fit(changed(max_epochs=10))
    assert not same_weights(plain, fit(changed(max_epochs=10, batch_size=64)))
    assert norm(fit(changed(max_epochs=10, weight_decay=0.1))) < norm(plain)


def test_the_accelerator_decides_where_it_is_trained():
    devices = set()

    class Watched(Autoencoder):
        def loss(self, inputs):
            devices.add(inputs.device.type)
            return super().loss(inputs)

    fit(network=lambda n: Watched(n, hidden_sizes=[4]))
    assert devices == {"cpu"}
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="trainer.accelerator=cuda: not on this machine"):
            fit(changed(accelerator="cuda"))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_loss_that_is_no_number_ends_training_and_says_what_to_do(part):
    spoiled = {"train": TRAIN.clone(), "validation": VALIDATION.clone()}
    spoiled[part][3, 1] = torch.nan
    with pytest.raises(TrainingDiverged, match=r"epoch 1; .*learning_rate=0\.01, .*encoder\.clip"):
        fit(**spoiled)
    assert issubclass(TrainingDiverged, UserError)


def test_a_diverging_loss_names_the_epoch_in_which_it_did():
    with pytest.raises(TrainingDiverged, match=r"train_loss is (inf|nan) in epoch 3"):
        fit(validation=None, learning_rates=[0.01, 0.01, 1e30, 1e30])


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("n", [65, 33])
def test_a_last_batch_of_a_single_row_can_be_trained_on(norm, n):
    trained = fit(network=lambda size: build(size, norm=norm), train=TRAIN[:n])
    assert len(trained.history) == 4
    assert np.isfinite(validation_loss(trained.network))

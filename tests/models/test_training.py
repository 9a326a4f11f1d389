import dataclasses

import numpy as np
import pytest
import torch

from fraud_ae.errors import TrainingDiverged, UserError
from fraud_ae.models.network import Autoencoder, VariationalAutoencoder
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import Rows, Training, train_network

N_INPUTS = 6
QUICK = TrainerSettings(max_epochs=4, batch_size=32, learning_rate=0.01, accelerator="cpu")


def rows(n: int, seed: int) -> torch.Tensor:
    """Rows near a plane of two dimensions, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(2, N_INPUTS, generator=torch.Generator().manual_seed(99))
    noise = 0.1 * torch.randn(n, N_INPUTS, generator=generator)
    return torch.randn(n, 2, generator=generator) @ plane + noise


TRAIN, VALIDATION = rows(200, 1), rows(80, 2)


def build(n_inputs: int, cls=Autoencoder, **settings) -> torch.nn.Module:
    return cls(n_inputs, **{"hidden_sizes": [8], "latent_dim": 2, **settings})


def fit(settings=QUICK, *, seed=0, network=build, validation=VALIDATION, train=TRAIN, **others):
    judged = None if validation is None else Rows(validation)
    return train_network(Training(network, settings, seed, **others), Rows(train), judged)


def changed(**settings) -> TrainerSettings:
    return dataclasses.replace(QUICK, **settings)


def curve(trained) -> list[tuple]:
    names = ("epoch", "train_loss", "val_loss", "learning_rate")
    return [tuple(row[name] for name in names) for row in trained.history]


def column(trained, name: str) -> list:
    return [row[name] for row in trained.history]


def same_weights(one, other) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def validation_loss(network) -> float:
    with torch.inference_mode():
        return float(network.loss(VALIDATION))


@pytest.mark.parametrize(
    "settings",
    [{}, {"cls": VariationalAutoencoder}, {"dropout": 0.2, "input_noise": 0.1, "norm": "batch"}],
    ids=["plain", "variational", "noisy"],
)
def test_a_seed_repeats_weights_and_history_bit_for_bit(settings):
    def network(n_inputs):
        return build(n_inputs, **settings)

    first = fit(network=network)
    torch.rand(17)  # whatever was drawn before does not matter
    second = fit(network=network)
    assert same_weights(first, second)
    assert curve(first) == curve(second)


def test_another_seed_gives_other_weights_and_another_history():
    one, other = fit(seed=0), fit(seed=1)
    assert not same_weights(one, other)
    assert curve(one) != curve(other)


def test_training_lowers_the_loss():
    trained = fit(changed(max_epochs=10))
    losses = column(trained, "train_loss")
    assert losses[-1] < 0.5 * losses[0]
    assert validation_loss(trained.network) < 0.5 * column(trained, "val_loss")[0]


def test_the_network_comes_back_ready_to_use_on_the_cpu():
    trained = fit(network=lambda n: build(n, dropout=0.5))
    assert not trained.network.training
    assert {p.device.type for p in trained.network.parameters()} == {"cpu"}


def test_the_history_has_a_row_for_each_epoch_and_is_reported_as_it_grows():
    reported = []
    trained = fit(report=reported.append)
    assert reported == trained.history
    assert column(trained, "epoch") == [1, 2, 3, 4]
    assert all(seconds > 0 for seconds in column(trained, "seconds"))
    assert list(trained.history[0]) == [
        "epoch",
        "train_loss",
        "val_loss",
        "learning_rate",
        "seconds",
    ]


def test_the_train_loss_of_the_history_is_the_mean_over_rows_not_over_batches():
    uneven = TRAIN[:40].clone()
    # With a rate of next to nothing the loss of an epoch is that of the first network.
    still = changed(max_epochs=1, learning_rate=1e-12, batch_size=32)
    trained = fit(still, train=uneven)
    with torch.inference_mode():
        loss = float(trained.network.loss(uneven))
    assert column(trained, "train_loss") == [pytest.approx(loss, rel=1e-5)]


def test_the_weights_of_the_best_epoch_are_kept():
    # So high a rate makes the loss jump about, so that the last epoch is not the best.
    trained = fit(changed(max_epochs=12, learning_rate=0.2, early_stopping_patience=20), seed=3)
    losses = column(trained, "val_loss")
    assert np.argmin(losses) < len(losses) - 1
    assert trained.best_epoch == np.argmin(losses) + 1
    assert validation_loss(trained.network) == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_when_the_loss_has_not_fallen_for_so_many_epochs(patience):
    # No fall is as large as min_delta, so that the first epoch stays the one to beat.
    trained = fit(changed(max_epochs=20, early_stopping_patience=patience, min_delta=100.0))
    assert len(trained.history) == 1 + patience


def test_a_fall_below_min_delta_does_not_count_for_stopping():
    tolerant = changed(max_epochs=12, early_stopping_patience=2, min_delta=0.0)
    strict = dataclasses.replace(tolerant, min_delta=100.0)
    assert len(fit(tolerant).history) == 12
    assert len(fit(strict).history) == 3


@pytest.mark.parametrize("patience", [0, 2])
def test_the_learning_rate_is_halved_on_a_plateau(patience):
    settings = changed(
        max_epochs=6, reduce_lr_patience=patience, min_delta=100.0, early_stopping_patience=20
    )
    rates = column(fit(settings), "learning_rate")
    lasts = patience + 1
    # The first epoch is what the others are compared with.
    expected = [0.01] + [0.01 / 2 ** (i // lasts) for i in range(5)]
    assert rates == pytest.approx(expected)


def test_without_a_plateau_the_learning_rate_stays():
    assert set(column(fit(changed(min_delta=0.0)), "learning_rate")) == {0.01}


def test_given_learning_rates_are_followed():
    rates = [0.01, 0.003, 0.02, 0.001]
    trained = fit(validation=None, learning_rates=rates)
    assert column(trained, "learning_rate") == rates
    assert not same_weights(trained, fit(validation=None, learning_rates=[0.01] * 4))


def test_without_validation_rows_the_last_epoch_is_kept():
    trained = fit(validation=None, learning_rates=[0.01, 0.01, 0.01, 3.0])
    assert column(trained, "val_loss") == [None] * 4
    assert trained.best_epoch == 4
    # The last step was far too wide, and it is there all the same.
    shorter = fit(changed(max_epochs=3), validation=None, learning_rates=[0.01] * 3)
    assert validation_loss(trained.network) > 2 * validation_loss(shorter.network)


def test_repeating_the_rates_up_to_the_best_epoch_repeats_its_weights():
    settings = changed(max_epochs=10, learning_rate=0.1, reduce_lr_patience=0, min_delta=0.05)
    found = fit(settings, seed=4)
    rates = column(found, "learning_rate")[: found.best_epoch]
    assert len(set(rates)) > 1
    again = fit(
        dataclasses.replace(settings, max_epochs=len(rates)),
        seed=4,
        validation=None,
        learning_rates=rates,
    )
    assert same_weights(found, again)


@pytest.mark.parametrize(
    "setting", [{"batch_size": 64}, {"learning_rate": 0.02}, {"weight_decay": 0.1}], ids=str
)
def test_settings_of_the_optimiser_change_the_weights(setting):
    assert not same_weights(fit(), fit(changed(**setting)))


def test_weight_decay_makes_weights_smaller():
    def norm(trained):
        return sum(float(p.square().sum()) for p in trained.network.state_dict().values())

    longer = changed(max_epochs=10)
    assert norm(fit(dataclasses.replace(longer, weight_decay=0.1))) < norm(fit(longer))


def test_max_epochs_is_the_most_that_are_trained():
    assert len(fit(changed(max_epochs=2)).history) == 2


def test_the_accelerator_decides_where_it_is_trained():
    devices = set()

    class Watched(Autoencoder):
        def loss(self, inputs):
            devices.add(inputs.device.type)
            return super().loss(inputs)

    fit(network=lambda n: Watched(n, hidden_sizes=[4]))
    assert devices == {"cpu"}
    if not torch.cuda.is_available():
        with pytest.raises(Exception, match="(?i)cuda|gpu"):
            fit(changed(accelerator="cuda"))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_loss_that_is_no_number_ends_training_and_says_what_to_do(part):
    spoiled = {"train": TRAIN.clone(), "validation": VALIDATION.clone()}
    spoiled[part][3, 1] = torch.nan
    with pytest.raises(TrainingDiverged) as raised:
        fit(**spoiled)
    message = str(raised.value)
    assert isinstance(raised.value, UserError)
    assert "epoch 1" in message
    assert "trainer.learning_rate=0.01" in message
    assert "encoder.clip" in message


def test_a_diverging_loss_names_the_epoch_in_which_it_did():
    rates = [0.01, 0.01, 1e30, 1e30]
    with pytest.raises(TrainingDiverged, match=r"train_loss is (inf|nan) in epoch 3"):
        fit(validation=None, learning_rates=rates)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("n", [65, 33])
def test_a_last_batch_of_a_single_row_can_be_trained_on(norm, n):
    trained = fit(network=lambda size: build(size, norm=norm), train=TRAIN[:n])
    assert len(trained.history) == 4
    assert np.isfinite(validation_loss(trained.network))


def test_inputs_are_left_as_they_are():
    before = TRAIN.clone(), VALIDATION.clone()
    fit()
    assert torch.equal(TRAIN, before[0])
    assert torch.equal(VALIDATION, before[1])

"""A training that goes on from a shorter one comes out as one that was never interrupted."""

import dataclasses

import pytest
import torch

from fraud_ae.errors import TrainingDiverged
from fraud_ae.models.checkpoint import Checkpoint
from fraud_ae.models.network import Autoencoder
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import Rows, TrainedNetwork, Training, train_network, train_together

N_INPUTS = 12
SETTINGS = TrainerSettings(max_epochs=6, batch_size=32, learning_rate=0.005, accelerator="cpu")


def rows(n: int, seed: int) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(3, N_INPUTS, generator=torch.Generator().manual_seed(99))
    return Rows(torch.randn(n, 3, generator=generator) @ plane)


TRAIN, VALIDATION = rows(500, 1), rows(150, 2)


def training(
    epochs: int, start: Checkpoint | None = None, settings: TrainerSettings = SETTINGS, **network
) -> Training:
    arguments = {"hidden_sizes": [10, 6], "latent_dim": 4, **network}
    own = dataclasses.replace(settings, max_epochs=epochs)
    return Training(lambda n_inputs: Autoencoder(n_inputs, **arguments), own, 3, start=start)


def trained(*trainings: Training) -> list[TrainedNetwork | TrainingDiverged]:
    return train_together(trainings, [TRAIN] * len(trainings), VALIDATION)


def curve(found: TrainedNetwork) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found.history]


def assert_same(found: TrainedNetwork, expected: TrainedNetwork) -> None:
    assert curve(found) == curve(expected)
    assert found.best_epoch == expected.best_epoch
    for name, weight in expected.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], weight)


def on_disk(checkpoint: Checkpoint, folder) -> Checkpoint:
    path = folder / "there" / "1.safetensors"
    checkpoint.save(path)
    return Checkpoint.load(path)


IMPATIENT = dataclasses.replace(SETTINGS, reduce_lr_patience=0, min_delta=1.0)


@pytest.mark.parametrize("settings", [SETTINGS, IMPATIENT], ids=["steady", "falling rate"])
@pytest.mark.parametrize("network", [{}, {"norm": "layer", "activation": "leaky_relu"}])
def test_a_longer_training_goes_on_to_the_same_bits(tmp_path, settings, network):
    (short,) = trained(training(2, settings=settings, **network))
    start = on_disk(short.end, tmp_path)
    (found,) = trained(training(6, start, settings, **network))
    (whole,) = trained(training(6, settings=settings, **network))
    assert_same(found, whole)
    assert len({row["learning_rate"] for row in whole.history}) == (
        1 if settings is SETTINGS else 4
    )


def test_the_best_epoch_may_lie_before_the_start(tmp_path):
    # Later epochs on rows of another kind make nothing better.
    (short,) = trained(training(3))
    start = on_disk(short.end, tmp_path)
    elsewhere = Rows(TRAIN.inputs + 5.0)
    found = train_network(training(4, start), elsewhere, VALIDATION)
    assert found.best_epoch == 3
    for name, weight in short.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], weight)


def test_networks_of_different_widths_go_on_together(tmp_path):
    dims = (2, 9, 4)
    shorts = trained(*(training(2, latent_dim=dim) for dim in dims))
    starts = [on_disk(short.end, tmp_path / str(n)) for n, short in enumerate(shorts)]
    found = trained(
        *(training(5, start, latent_dim=dim) for dim, start in zip(dims, starts, strict=True))
    )
    whole = trained(*(training(5, latent_dim=dim) for dim in dims))
    for one, expected in zip(found, whole, strict=True):
        assert_same(one, expected)


def test_what_stopped_early_stays_as_it_is_and_leaves_the_others_alone(tmp_path):
    impatient = dataclasses.replace(SETTINGS, early_stopping_patience=1, min_delta=10.0)
    (stopped,) = trained(training(6, settings=impatient))
    epochs = len(stopped.history)
    assert epochs < 6
    (other,) = trained(training(epochs))
    starts = [on_disk(each.end, tmp_path / str(n)) for n, each in enumerate((stopped, other))]
    again, longer = trained(training(6, starts[0], impatient), training(6, starts[1]))
    assert_same(again, stopped)
    assert_same(longer, trained(training(6))[0])
    (alone,) = trained(training(6, starts[0], impatient))
    assert_same(alone, stopped)


def test_a_network_that_draws_random_numbers_has_no_end_to_go_on_from():
    (noisy,) = trained(training(2, input_noise=0.1))
    assert noisy.end is None


def test_trainings_of_different_beginnings_share_a_loop():
    shorts = [trained(training(epochs))[0] for epochs in (2, 4)]
    starts = [None, *(short.end for short in shorts)]
    (whole,) = trained(training(6))
    for found in trained(*(training(6, start) for start in starts)):
        for name in ("train_loss", "val_loss"):
            ours, theirs = ([row[name] for row in each.history] for each in (found, whole))
            assert ours == pytest.approx(theirs, rel=1e-5)
        for name, weight in whole.network.state_dict().items():
            torch.testing.assert_close(found.network.state_dict()[name], weight)

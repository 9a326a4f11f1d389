"""A training that goes on from a shorter one comes out as one that was never interrupted."""

from pathlib import Path

import pytest
import torch

from fraud_ae.models.batches import Rows
from fraud_ae.models.checkpoint import Checkpoint
from fraud_ae.models.training import TrainedNetwork, Training, train_network, train_together
from tests.models.training_data import TRAIN, VALIDATION, changed, curve, training


def of(epochs: int, start: Checkpoint | None = None, settings=None, **network) -> Training:
    """Of so many epochs."""
    settings = changed(**{"max_epochs": epochs, **(settings or {})})
    return training(3, start, settings, **network)


def trained(*trainings: Training) -> list[TrainedNetwork]:
    return train_together(trainings, [TRAIN] * len(trainings), VALIDATION)


def assert_same(one: TrainedNetwork, expected: TrainedNetwork) -> None:
    assert curve(one) == curve(expected)
    assert one.best_epoch == expected.best_epoch
    for name, weight in expected.network.state_dict().items():
        assert torch.equal(one.network.state_dict()[name], weight)


def on_disk(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    path = folder / "checkpoints" / "1.safetensors"
    checkpoint.save(path)
    return Checkpoint.load(path)


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({}, 1),
        ({"reduce_lr_patience": 0, "min_delta": 1.0}, 4),
        ({"contamination": 0.1}, 1),
    ],
    ids=["steady", "falling rate", "contamination"],
)
@pytest.mark.parametrize("network", [{"norm": "none"}, {"activation": "leaky_relu"}])
def test_a_longer_training_goes_on_to_the_same_bits(tmp_path, settings, rates, network):
    (short,) = trained(of(2, settings=settings, **network))
    (longer,) = trained(of(6, on_disk(short.end, tmp_path), settings, **network))
    (whole,) = trained(of(6, settings=settings, **network))
    assert_same(longer, whole)
    assert len({row["learning_rate"] for row in whole.history}) == rates


def test_the_best_epoch_may_lie_before_the_start(tmp_path):
    # Later epochs on rows of another kind make nothing better.
    (short,) = trained(of(3))
    other_rows = Rows(TRAIN.inputs + 5.0)
    longer = train_network(of(4, on_disk(short.end, tmp_path)), other_rows, VALIDATION)
    assert longer.best_epoch == 3
    for name, weight in short.network.state_dict().items():
        assert torch.equal(longer.network.state_dict()[name], weight)


def test_networks_of_different_widths_go_on_together(tmp_path):
    dims = (2, 9, 4)
    shorts = trained(*(of(2, latent_dim=dim) for dim in dims))
    starts = [on_disk(short.end, tmp_path / str(n)) for n, short in enumerate(shorts)]
    longer = [of(5, start, latent_dim=dim) for dim, start in zip(dims, starts, strict=True)]
    whole = trained(*(of(5, latent_dim=dim) for dim in dims))
    for one, expected in zip(trained(*longer), whole, strict=True):
        assert_same(one, expected)


def test_what_stopped_early_stays_as_it_is_and_leaves_the_others_alone(tmp_path):
    impatient = {"early_stopping_patience": 1, "min_delta": 10.0}
    (stopped,) = trained(of(6, settings=impatient))
    assert len(stopped.history) < 6
    (other,) = trained(of(len(stopped.history)))
    starts = [on_disk(one.end, tmp_path / str(n)) for n, one in enumerate((stopped, other))]
    again, longer = trained(of(6, starts[0], impatient), of(6, starts[1]))
    assert_same(again, stopped)
    assert_same(longer, trained(of(6))[0])
    assert_same(trained(of(6, starts[0], impatient))[0], stopped)


def test_a_network_that_draws_random_numbers_has_no_end_to_go_on_from():
    assert trained(of(2, input_noise=0.1))[0].end is None


def test_trainings_of_different_beginnings_share_a_loop():
    starts = [None, *(trained(of(epochs))[0].end for epochs in (2, 4))]
    (whole,) = trained(of(6))
    for one in trained(*(of(6, start) for start in starts)):
        for ours, theirs in zip(curve(one), curve(whole), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5)
        for name, weight in whole.network.state_dict().items():
            torch.testing.assert_close(one.network.state_dict()[name], weight)

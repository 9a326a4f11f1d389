import pytest
import torch

from fraud_ae.models.batches import Batches, split_batches


def batches_of(inputs, batch_size, seeds=(), **how) -> list[torch.Tensor]:
    chunks = Batches(inputs, batch_size, seeds, **how)
    return [batch for chunk in chunks for batch in split_batches(chunk, batch_size)]


def test_every_epoch_sees_every_row_once_in_a_new_order():
    inputs = torch.arange(50.0)[:, None]
    batches = Batches(inputs, batch_size=8, seeds=[3])
    epochs = [torch.cat(list(batches)).squeeze() for _ in range(3)]
    for epoch in epochs:
        assert torch.equal(epoch.sort().values, inputs.squeeze())
        assert not torch.equal(epoch, inputs.squeeze())
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])
    repeated = Batches(inputs, batch_size=8, seeds=[3])
    assert torch.equal(torch.cat(list(repeated)).squeeze(), epochs[0])
    other = Batches(inputs, batch_size=8, seeds=[4])
    assert not torch.equal(torch.cat(list(other)).squeeze(), epochs[0])


@pytest.mark.parametrize(("n", "sizes"), [(16, [8, 8]), (17, [8, 9]), (18, [8, 8, 2]), (5, [5])])
@pytest.mark.parametrize("together", [1, 2, 64])
def test_batches_have_the_size_that_was_asked_for(n, sizes, together):
    for seeds in ((), (0,), (0, 1)):
        batches = batches_of(torch.rand(n, 3), 8, seeds, together=together)
        assert [batch.shape[-2] for batch in batches] == sizes


@pytest.mark.parametrize("together", [2, 3, 64])
def test_batches_are_the_same_however_many_come_together(together):
    inputs = torch.rand(83, 3)
    one_by_one = batches_of(inputs, 8, [5])
    for batch, other in zip(one_by_one, batches_of(inputs, 8, [5], together=together), strict=True):
        assert torch.equal(batch, other)


def test_networks_of_other_seeds_see_the_batches_that_they_would_see_alone():
    inputs = torch.rand(20, 3)
    for together, first, second in zip(
        batches_of(inputs, 6, [1, 2]),
        batches_of(inputs, 6, [1]),
        batches_of(inputs, 6, [2]),
        strict=True,
    ):
        assert torch.equal(together, torch.stack([first, second]))


def test_networks_of_one_seed_share_their_batches():
    inputs = torch.rand(20, 3)
    for shared, alone in zip(
        batches_of(inputs, 6, [1, 1]), batches_of(inputs, 6, [1]), strict=True
    ):
        assert torch.equal(shared, alone)


def test_only_the_rows_that_are_asked_for_are_seen():
    inputs = torch.arange(10.0)[:, None]
    rows = torch.tensor([1, 4, 5, 9])
    (seen,) = batches_of(inputs, 8, [0], rows=rows)
    assert seen.flatten().sort().values.tolist() == rows.tolist()


def test_batches_without_a_seed_keep_the_order():
    inputs = torch.rand(20, 3)
    assert torch.equal(torch.cat(batches_of(inputs, 6)), inputs)

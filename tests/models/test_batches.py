import pytest
import torch
from torch import Tensor

from fraud_ae.models.batches import Batches, InOrder, Rows, Stream, split_batches


def batches_of(batches: Batches, number: int = 0) -> list[Tensor]:
    """The mini-batches of the next epoch that one of the networks sees."""
    seen = []
    for piece in (piece for chunk in batches for piece in chunk):
        if piece.start <= number < piece.end:
            cut = split_batches(piece)
            seen += cut if piece.inputs.ndim == 2 else [b[number - piece.start] for b in cut]
    return seen


def assert_equal(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_every_epoch_sees_every_row_once_in_a_new_order():
    inputs = torch.arange(50.0)[:, None]
    batches, again = (Batches([Stream(Rows(inputs), 3)], 8) for _ in range(2))
    epochs = [torch.cat(batches_of(batches)) for _ in range(3)]
    for epoch in epochs:
        assert torch.equal(epoch.squeeze().sort().values, inputs.squeeze())
        assert torch.equal(epoch, torch.cat(batches_of(again)))
    other = torch.cat(batches_of(Batches([Stream(Rows(inputs), 4)], 8)))
    orders = [inputs, *epochs, other]
    assert len({tuple(order.flatten().tolist()) for order in orders}) == len(orders)
    # A later training goes on where an earlier one ended.
    later = Batches([Stream(Rows(inputs), 3, epochs_before=2)], 8)
    assert torch.equal(torch.cat(batches_of(later)), epochs[2])


@pytest.mark.parametrize("together", [1, 2, 3, 64])
@pytest.mark.parametrize(("n", "sizes"), [(16, [8, 8]), (17, [8, 9]), (18, [8, 8, 2]), (5, [5])])
def test_batches_have_the_size_that_was_asked_for_however_many_come_together(n, sizes, together):
    streams = [Stream(Rows(torch.rand(n, 3)), seed) for seed in (0, 1)]
    for number in range(2):
        batches = Batches(streams, 8, together=together)
        seen = batches_of(batches, number)
        assert [len(batch) for batch in seen] == sizes
        assert_equal(seen, batches_of(Batches(streams, 8), number))


@pytest.mark.parametrize("together", [1, 3, 64])
@pytest.mark.parametrize("lengths", [(20, 20), (20, 50), (49, 20, 50), (33, 65, 34, 64), (1, 9)])
def test_networks_see_the_batches_that_they_would_see_alone(lengths, together):
    streams = [Stream(Rows(torch.rand(n, 3)), seed) for seed, n in enumerate(lengths)]
    for number, stream in enumerate(streams):
        ours = batches_of(Batches(streams, 8, together=together), number)
        assert_equal(ours, batches_of(Batches([stream], 8)))


def test_networks_of_one_stream_share_their_batches():
    stream = Stream(Rows(torch.rand(20, 3)), 1)
    for chunk in Batches([stream, stream], 6):
        for piece in chunk:
            assert (piece.start, piece.end, piece.inputs.ndim) == (0, 2, 2)


def test_some_of_the_networks_go_on_as_before():
    rows = Rows(torch.rand(20, 3))
    streams = [Stream(rows, seed) for seed in (1, 2, 2)]
    ours, alone = Batches(streams, 8), Batches(streams[1:2], 8)
    for batches in (ours, alone):
        list(batches)
    ours.keep([2])
    assert_equal(batches_of(ours), batches_of(alone))


def test_only_the_rows_that_are_asked_for_are_seen_and_can_be_gone_through_again():
    inputs = torch.arange(10.0)[:, None]
    rows = Rows(inputs, torch.tensor([1, 4, 5, 9]))
    (seen,) = batches_of(Batches([Stream(rows, 0)], 8))
    assert seen.flatten().sort().values.tolist() == [1, 4, 5, 9]
    for some, expected, count in ((rows, inputs[rows.numbers], 1), (Rows(inputs), inputs, 3)):
        batches = InOrder(some, 3)
        assert len(batches) == count
        for _ in range(2):
            assert torch.equal(torch.cat([batch for batch, _ in batches]), expected)

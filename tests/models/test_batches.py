import pytest
import torch

from fraud_ae.models.batches import Batches, InOrder, Piece, Rows, Stream, split_batches


def pieces_of(streams, batch_size, **how) -> list[Piece]:
    return [piece for chunk in Batches(streams, batch_size, **how) for piece in chunk]


def seen_by(streams, batch_size, number=0, **how) -> list[torch.Tensor]:
    """The mini-batches of an epoch that one of the networks sees."""
    found = []
    for start, end, inputs in pieces_of(streams, batch_size, **how):
        if start <= number < end:
            own = inputs if inputs.ndim == 2 else inputs[number - start]
            found += split_batches(own, batch_size)
    return found


def assert_equal(ours, theirs) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_every_epoch_sees_every_row_once_in_a_new_order():
    inputs = torch.arange(50.0)[:, None]
    rows = Rows(inputs)

    def epochs(seed: int) -> list[torch.Tensor]:
        batches = Batches([Stream(rows, seed)], batch_size=8)
        return [torch.cat([piece.inputs for chunk in batches for piece in chunk]) for _ in range(3)]

    first = epochs(3)
    for epoch in first:
        assert torch.equal(epoch.squeeze().sort().values, inputs.squeeze())
        assert not torch.equal(epoch, inputs)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])
    assert_equal(epochs(3), first)
    assert not torch.equal(epochs(4)[0], first[0])


def test_an_earlier_training_is_gone_on_from():
    rows = Rows(torch.rand(50, 2))
    batches = Batches([Stream(rows, 3)], batch_size=8)
    for _ in range(2):
        assert len(list(batches)) == 7
    third = [piece.inputs for chunk in batches for piece in chunk]
    assert_equal([p.inputs for p in pieces_of([Stream(rows, 3, epochs_before=2)], 8)], third)


@pytest.mark.parametrize(("n", "sizes"), [(16, [8, 8]), (17, [8, 9]), (18, [8, 8, 2]), (5, [5])])
@pytest.mark.parametrize("together", [1, 2, 64])
def test_batches_have_the_size_that_was_asked_for(n, sizes, together):
    rows = Rows(torch.rand(n, 3))
    for seeds in ((0,), (0, 1)):
        streams = [Stream(rows, seed) for seed in seeds]
        for number in range(len(seeds)):
            found = seen_by(streams, 8, number, together=together)
            assert [len(batch) for batch in found] == sizes


@pytest.mark.parametrize("together", [2, 3, 64])
def test_batches_are_the_same_however_many_come_together(together):
    streams = [Stream(Rows(torch.rand(83, 3)), 5)]
    assert_equal(seen_by(streams, 8, together=together), seen_by(streams, 8))


@pytest.mark.parametrize("together", [1, 3, 64])
@pytest.mark.parametrize("lengths", [(20, 20), (20, 50), (49, 20, 50), (33, 65, 34, 64), (1, 9)])
def test_networks_see_the_batches_that_they_would_see_alone(lengths, together):
    streams = [Stream(Rows(torch.rand(n, 3)), seed) for seed, n in enumerate(lengths)]
    for number, stream in enumerate(streams):
        ours = seen_by(streams, 8, number, together=together)
        assert_equal(ours, seen_by([stream], 8))


def test_networks_of_one_stream_share_their_batches():
    stream = Stream(Rows(torch.rand(20, 3)), 1)
    shared = pieces_of([stream, stream], 6)
    assert all((piece.start, piece.end) == (0, 2) for piece in shared)
    assert_equal([piece.inputs for piece in shared], [p.inputs for p in pieces_of([stream], 6)])


def test_those_that_are_kept_go_on_as_before():
    rows = Rows(torch.rand(20, 3))
    streams = [Stream(rows, seed) for seed in (1, 2, 2)]
    ours, alone = Batches(streams, 8), Batches(streams[1:2], 8)
    for batches in (ours, alone):
        list(batches)
    ours.keep([2])
    (mine,), (theirs,) = ([p.inputs for c in batches for p in c][:1] for batches in (ours, alone))
    assert torch.equal(mine, theirs)


def test_only_the_rows_that_are_asked_for_are_seen():
    inputs = torch.arange(10.0)[:, None]
    numbers = torch.tensor([1, 4, 5, 9])
    (seen,) = seen_by([Stream(Rows(inputs, numbers), 0)], 8)
    assert seen.flatten().sort().values.tolist() == numbers.tolist()
    assert torch.cat(list(InOrder(Rows(inputs, numbers), 3))).flatten().tolist() == [1, 4, 5, 9]


def test_rows_in_order_can_be_gone_through_again():
    inputs = torch.rand(20, 3)
    batches = InOrder(Rows(inputs), 6)
    assert len(batches) == 4
    for _ in range(2):
        assert torch.equal(torch.cat(list(batches)), inputs)

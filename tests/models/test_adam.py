"""A step is that of PyTorch's own Adam."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from fraud_ae.models import adam
from fraud_ae.models.adam import FusedAdam
from tests.commands import ROOT

RATES = [(0.01, 0.0), (0.002, 0.1), (0.01, 0.0)]


def vectors() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(n, generator=generator)) for n in (70, 64, 5)]


def gradients(step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(step + 1)
    return [torch.randn(n, generator=generator) for n in (70, 64, 5)]


def give(parameters: list[nn.Parameter], step: int) -> None:
    for parameter, gradient in zip(parameters, gradients(step), strict=True):
        parameter.grad = gradient


@pytest.mark.parametrize("fused", [True, False])
def test_steps_are_those_of_pytorch(fused):
    ours, theirs = vectors(), vectors()
    optimizer = FusedAdam(ours)
    optimizer.train_only(ours, RATES)
    groups = [
        {"params": [parameter], "lr": rate, "weight_decay": decay}
        for parameter, (rate, decay) in zip(theirs, RATES, strict=True)
    ]
    reference = torch.optim.Adam(groups, fused=fused)
    for step in range(20):
        give(ours, step)
        give(theirs, step)
        optimizer.take_step(0, len(ours))
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        exact = {"rtol": 0, "atol": 0} if fused else {}
        torch.testing.assert_close(one, other, **exact)


def test_what_is_not_trained_stays_and_can_go_on():
    ours, reference = vectors(), vectors()
    optimizer, whole = FusedAdam(ours), torch.optim.Adam(reference[1:], lr=0.01, fused=True)
    for step in range(6):
        give(ours, step)
        give(reference, step)
        # The first waits in the middle.
        some = slice(0 if step in (0, 5) else 1, None)
        optimizer.train_only(ours[some], [(0.01, 0.0)] * len(ours[some]))
        before = ours[0].detach().clone()
        optimizer.take_step(0, len(ours[some]))
        assert torch.equal(ours[0], before) == (step not in (0, 5))
        whole.step()
    assert torch.equal(ours[1], reference[1])
    assert optimizer.state[ours[0]]["step"] == 2


def test_what_is_remembered_is_gone_on_from():
    ours, others = vectors(), vectors()
    first, second = FusedAdam(ours), FusedAdam(others)
    first.train_only(ours, RATES)
    for step in range(3):
        give(ours, step)
        first.take_step(0, len(ours))
    for one, other in zip(ours, others, strict=True):
        other.data.copy_(one.data)
        kept = first.state[one]
        second.remember(other, 3, kept["exp_avg"].clone(), kept["exp_avg_sq"].clone())
    second.train_only(others, RATES)
    for parameters, optimizer in ((ours, first), (others, second)):
        give(parameters, 3)
        optimizer.take_step(0, len(parameters))
    for one, other in zip(ours, others, strict=True):
        assert torch.equal(one, other)


def test_neighbours_take_steps_without_the_others():
    ours, reference = vectors(), vectors()
    optimizer = FusedAdam(ours)
    optimizer.train_only(ours, RATES)
    alone = [
        torch.optim.Adam([parameter], lr=rate, weight_decay=decay, fused=True)
        for parameter, (rate, decay) in zip(reference, RATES, strict=True)
    ]
    for step, (start, end) in enumerate([(0, 3), (0, 2), (2, 3), (1, 3), (0, 3)]):
        give(ours, step)
        give(reference, step)
        optimizer.take_step(start, end)
        for own in alone[start:end]:
            own.step()
    for one, other in zip(ours, reference, strict=True):
        assert torch.equal(one, other)


def stepped() -> list[nn.Parameter]:
    """Weights after steps of all vectors and of some, with changing rates."""
    ours = vectors()
    optimizer = FusedAdam(ours)
    for step, (start, end) in enumerate([(0, 3), (0, 2), (2, 3), (1, 3), (0, 3)] * 4):
        optimizer.train_only(ours, RATES if step < 10 else RATES[::-1])
        give(ours, step)
        optimizer.take_step(start, end)
    return ours


def test_the_public_way_gives_the_same_weights(monkeypatch):
    assert adam.HAS_KERNEL
    by_kernel = stepped()
    monkeypatch.setattr(adam, "HAS_KERNEL", False)
    for one, other in zip(by_kernel, stepped(), strict=True):
        assert torch.equal(one, other)


# PyTorch's own step needs the functions under their names: where they are away, one that has
# them under others stands for a release that has renamed them.
_RENAMED = """
import types
import torch
import torch._dynamo  # lists all of them when it is imported, as the first step does
import torch.optim.adam as adam
names = ("_fused_adam_", "_foreach_add_")
kept = types.SimpleNamespace(**vars(torch))
adam.torch = kept
for name in names:
    delattr(torch, name)
import fraud_ae.models.adam
assert not fraud_ae.models.adam.HAS_KERNEL
from tests.models.test_adam import stepped
torch.save([vector.detach() for vector in stepped()], {path!r})
"""


def test_a_pytorch_without_the_kernel_gives_the_same_weights(tmp_path):
    path = str(tmp_path / "weights.pt")
    subprocess.run([sys.executable, "-c", _RENAMED.format(path=path)], cwd=ROOT, check=True)
    for one, other in zip(stepped(), torch.load(path), strict=True):
        assert torch.equal(one, other)

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
# The neighbours that take each step.
STEPS = [(0, 3), (0, 2), (2, 3), (1, 3), (0, 3)]


def vectors(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(n, generator=generator)) for n in (70, 64, 5)]


def give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    for parameter, gradient in zip(parameters, vectors(step + 1), strict=True):
        parameter.grad = gradient.detach()


def assert_equal(ours: list[nn.Parameter], theirs: list[nn.Parameter]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_neighbours_take_the_steps_of_pytorch_without_the_others():
    ours, reference = vectors(), vectors()
    optimizer = FusedAdam(ours)
    optimizer.train_only(ours, RATES)
    alone = [
        torch.optim.Adam([parameter], lr=rate, weight_decay=decay, fused=True)
        for parameter, (rate, decay) in zip(reference, RATES, strict=True)
    ]
    for step, (start, end) in enumerate(STEPS * 4):
        give_gradients(ours, step)
        give_gradients(reference, step)
        optimizer.take_step(start, end)
        for one in alone[start:end]:
            one.step()
    assert_equal(ours, reference)


def test_what_is_not_trained_stays_and_can_go_on():
    ours, reference = vectors(), vectors()
    optimizer, whole = FusedAdam(ours), torch.optim.Adam(reference[1:], lr=0.01, fused=True)
    for step in range(6):
        give_gradients(ours, step)
        give_gradients(reference, step)
        # The first waits in the middle.
        some = ours[0 if step in (0, 5) else 1 :]
        optimizer.train_only(some, [(0.01, 0.0)] * len(some))
        before = ours[0].detach().clone()
        optimizer.take_step(0, len(some))
        assert torch.equal(ours[0], before) == (step not in (0, 5))
        whole.step()
    assert_equal(ours[1:], reference[1:])
    assert optimizer.state[ours[0]]["step"] == 2


def test_what_is_remembered_is_gone_on_from():
    ours, others = vectors(), vectors()
    first, second = FusedAdam(ours), FusedAdam(others)
    first.train_only(ours, RATES)
    for step in range(3):
        give_gradients(ours, step)
        first.take_step(0, 3)
    for one, other in zip(ours, others, strict=True):
        other.data.copy_(one.data)
        state = first.state[one]
        second.remember(other, 3, state["exp_avg"].clone(), state["exp_avg_sq"].clone())
    second.train_only(others, RATES)
    for parameters, optimizer in ((ours, first), (others, second)):
        give_gradients(parameters, 3)
        optimizer.take_step(0, 3)
    assert_equal(ours, others)


def stepped() -> list[nn.Parameter]:
    """Weights after steps of all vectors and of some, with changing rates."""
    ours = vectors()
    optimizer = FusedAdam(ours)
    for step, (start, end) in enumerate(STEPS * 4):
        optimizer.train_only(ours, RATES if step < 10 else RATES[::-1])
        give_gradients(ours, step)
        optimizer.take_step(start, end)
    return ours


def test_the_public_way_gives_the_same_weights(monkeypatch):
    assert adam.HAS_KERNEL
    by_kernel = stepped()
    monkeypatch.setattr(adam, "HAS_KERNEL", False)
    assert_equal(by_kernel, stepped())


# PyTorch's own step needs the functions under their names: where they are away, one that has
# them under others stands for a release that has renamed them.
_RENAMED = """
import types
import torch
import torch._dynamo  # lists all of them when it is imported, as the first step does
import torch.optim.adam as adam
adam.torch = types.SimpleNamespace(**vars(torch))
for name in ("_fused_adam_", "_foreach_add_"):
    delattr(torch, name)
import fraud_ae.models.adam
assert not fraud_ae.models.adam.HAS_KERNEL
from tests.models.test_adam import stepped
torch.save([vector.detach() for vector in stepped()], {path!r})
"""


@pytest.mark.slow
def test_a_pytorch_without_the_kernel_gives_the_same_weights(tmp_path):
    path = str(tmp_path / "weights.pt")
    subprocess.run([sys.executable, "-c", _RENAMED.format(path=path)], cwd=ROOT, check=True)
    assert_equal(stepped(), torch.load(path))

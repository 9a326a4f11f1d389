"""Adam for small networks, whose steps are mostly what is around them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# PyTorch promises nothing about functions whose names begin with an underscore: without them, a
# step goes the public way, which gives the same weights and takes longer. Decided here, once.
HAS_KERNEL = all(hasattr(torch, name) for name in ("_fused_adam_", "_foreach_add_"))


class FusedAdam(torch.optim.Adam):
    """Adam (Kingma and Ba, ICLR 2015) of vectors that each have rates of their own.

    `take_step` does what `step` does with `fused=True`, by the same kernel of PyTorch, without the
    checks, hooks and lists that are made anew around each step: for a network of some thousand
    weights those take seven times as long as the kernel. A PyTorch without that kernel under its
    present name takes `step` itself.
    """

    def __init__(self, vectors: Sequence[nn.Parameter]) -> None:
        super().__init__(vectors, fused=True)
        for vector in vectors:
            self.remember(vector, 0, torch.zeros_like(vector), torch.zeros_like(vector))

    def remember(
        self, vector: nn.Parameter, steps: int, exp_avg: Tensor, exp_avg_sq: Tensor
    ) -> None:
        """Set the averages of the gradients of earlier steps, each of the vector's shape."""
        self.state[vector] = {
            "step": vector.new_tensor(steps),
            "exp_avg": exp_avg.detach(),
            "exp_avg_sq": exp_avg_sq.detach(),
        }

    def train_only(
        self, vectors: Sequence[nn.Parameter], rates: Sequence[tuple[float, float]]
    ) -> None:
        """What steps move from now on. rates: learning rate and weight decay of each vector."""
        self._trained = list(zip(vectors, rates, strict=True))
        self.param_groups = self._groups(0, len(vectors))
        self._prepared: dict[tuple[int, int], list] = {}

    def _groups(self, start: int, end: int) -> list[dict]:
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for vector, group in self._trained[start:end]:
            groups.setdefault(group, []).append(vector)
        return [
            {**self.defaults, "params": alike, "lr": rate, "weight_decay": decay}
            for (rate, decay), alike in groups.items()
        ]

    def _tensors(self, vectors: Sequence[nn.Parameter]) -> list[list[Tensor]]:
        states = [self.state[vector] for vector in vectors]
        averages = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")]
        return [[vector.detach() for vector in vectors], *averages]

    def take_step(self, start: int, end: int) -> None:
        """Move some neighbouring vectors by their gradients, those of equal rates together."""
        if not HAS_KERNEL:
            self._step_without_kernel(start, end)
            return
        if (start, end) not in self._prepared:
            self._prepared[start, end] = [
                (group, self._tensors(group["params"])) for group in self._groups(start, end)
            ]
        for group, (vectors, exp_avgs, exp_avg_sqs, steps) in self._prepared[start, end]:
            beta1, beta2 = group["betas"]
            torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                vectors,
                [vector.grad for vector in group["params"]],
                exp_avgs,
                exp_avg_sqs,
                [],
                steps,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )

    def _step_without_kernel(self, start: int, end: int) -> None:
        everything, self.param_groups = self.param_groups, self._groups(start, end)
        try:
            self.step()
        finally:
            self.param_groups = everything

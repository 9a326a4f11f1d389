"""Where the training of a network stands, so that a longer one goes on from there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fraud_ae.runtime.atomic_files import whole_file

_BEST = "best."


@dataclass(frozen=True)
class Checkpoint:
    """The end of an epoch, on the CPU.

    history: a row for each epoch so far. best: weights of the best of them. last, exp_avg,
    exp_avg_sq: weights after the last epoch and what Adam (Kingma and Ba, ICLR 2015) knows of them,
    each (n_weights,) in the order of `Trainable.vectors`. steps_per_epoch: of the optimiser.
    """

    history: list[dict]
    best: dict[str, Tensor]
    last: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """So many are over."""
        return len(self.history)

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        tensors = {_BEST + name: tensor.contiguous() for name, tensor in self.best.items()}
        tensors |= {name: getattr(self, name).contiguous() for name in _VECTORS}
        facts = {"history": self.history, "steps_per_epoch": self.steps_per_epoch}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            save_file(tensors, draft, {"facts": json.dumps(facts)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            facts = json.loads(file.metadata()["facts"])
        return cls(
            best={k.removeprefix(_BEST): t for k, t in tensors.items() if k.startswith(_BEST)},
            **{name: tensors[name] for name in _VECTORS},
            **facts,
        )


_VECTORS = ("last", "exp_avg", "exp_avg_sq")

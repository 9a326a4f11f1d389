"""How a network is trained."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from fraud_ae.runtime.named_objects import Kind

# Of all payments some 0.1 to 1 % are fraud: where fewer are known, most lie among the other rows.
_LEAST_KNOWN = 0.0015
_USUAL_CONTAMINATION = 0.03


def _is_network(found: object) -> bool:
    from torch import nn  # here, as settings are read where nothing is trained

    return isinstance(found, type) and issubclass(found, nn.Module)


NETWORK = Kind(
    "a network, a class of torch.nn.Module",
    frozenset(
        f"fraud_ae.models.network.{name}"
        for name in ("Autoencoder", "MaskedAutoencoder", "VariationalAutoencoder")
    ),
    _is_network,
)


@dataclass(frozen=True)
class TrainerSettings:
    """How a network is trained; the fields of `conf/trainer/`.

    Patience counts epochs; `min_delta` is the least fall of the validation loss that counts.

    contamination: share of the rows that a network learns from that may be frauds nobody knows of,
    from 0 to below 0.5. From the second epoch on so many rows of each mini-batch, those of the
    highest loss, are not learned from, so that fraud does not become normal (trimmed loss: Shen and
    Sanghavi, ICML 2019; with the name of latent outlier exposure: Qiu et al., ICML 2022), and
    validation losses leave them out as well. None: by how many frauds are known, see
    `with_contamination`.

    devices: processes that train one network together, each on its part of every mini-batch, and on
    a card of its own where there are cards. strategy: `ddp` with more than one.
    """

    max_epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    early_stopping_patience: int = 5
    reduce_lr_patience: int = 3
    min_delta: float = 0.001
    contamination: float | None = None
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: int = 1
    strategy: Literal["auto", "ddp"] = "auto"

    def with_contamination(self, known_frauds: int, rows: int) -> Self:
        """The same, with the share of the rows that are not to be learned from, where it is open.

        known_frauds, rows: of the period that is trained on. With frauds enough among them none is
        left out: those that are known are not learned from in any case, and to leave out more rows
        would make rare normal ones suspicious.
        """
        if self.contamination is not None:
            return self
        few = known_frauds < _LEAST_KNOWN * rows
        return replace(self, contamination=_USUAL_CONTAMINATION if few else 0.0)

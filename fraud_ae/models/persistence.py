"""The network of a detector: built from plain settings, and its file of weights."""

import copy
from functools import partial
from pathlib import Path

from safetensors.torch import load_file, save
from torch import nn

from fraud_ae.models.ensemble import Ensemble
from fraud_ae.models.settings import NETWORK
from fraud_ae.runtime.named_objects import resolve


def build_network(settings: dict) -> nn.Module:
    """The network of `{"class": "module.Class", **arguments}`, with new weights.

    With `members` above 1, an ensemble of so many of them. Raises UserError for a class that is no
    network, or not allowed.
    """
    arguments = dict(settings)
    network = resolve(arguments.pop("class"), NETWORK)
    build = partial(network, **arguments)
    members = build.keywords.pop("members", 1)
    return build() if members == 1 else Ensemble(build, members)


def scoring_network(network: nn.Module) -> nn.Module:
    """A copy that computes in float64, on the CPU and in evaluation mode.

    In float32 the last bits of a matrix product differ with the number of rows and with the
    library; where a tree splits at such a value, the score of a row would depend on the others.
    """
    return copy.deepcopy(network).cpu().double().eval()


def save_network(network: nn.Module, path: Path) -> None:
    """Write the weights of a `scoring_network` in float32, as they were trained."""
    trained = copy.deepcopy(network).float().state_dict()
    # `save_file` makes a file that its owner alone reads: a service of another user could not.
    path.write_bytes(save({name: weight.contiguous() for name, weight in trained.items()}))


def load_network(path: Path, settings: dict) -> nn.Module:
    """The `scoring_network` that `save_network` wrote, built from its settings."""
    network = build_network(settings)
    network.load_state_dict(load_file(path))
    return scoring_network(network)

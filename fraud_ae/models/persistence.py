"""The network of a detector: built from plain settings, and its file of weights."""

import copy
import pkgutil
from functools import partial
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from fraud_ae.models.ensemble import Ensemble


def build_network(settings: dict) -> nn.Module:
    """The network of `{"class": "module.Class", **arguments}`, with new weights.

    With `members` above 1, an ensemble of so many of them.
    """
    arguments = dict(settings)
    network = pkgutil.resolve_name(arguments.pop("class"))
    # Whatever else a file names must not even be called.
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise TypeError(f"{settings['class']} is no network")
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
    save_file({name: weight.contiguous() for name, weight in trained.items()}, path)


def load_network(path: Path, settings: dict) -> nn.Module:
    """The `scoring_network` that `save_network` wrote, built from its settings."""
    network = build_network(settings)
    network.load_state_dict(load_file(path))
    return scoring_network(network)

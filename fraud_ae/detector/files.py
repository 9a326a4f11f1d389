"""Reading the files of a saved detector, each refused by name where it holds something else."""

import json
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from fraud_ae.errors import UserError
from fraud_ae.scorers.scorer import SCORER_FILE, Scorer

if TYPE_CHECKING:
    from torch import nn

# What a saved detector consists of, beside the manifest of them.
MODEL_FILES = (
    "detector.json",
    "strategy.json",
    "encoder.json",
    "scorer.json",
    "weights.safetensors",
)
# Rows that the model was not fitted on, with their scores: the threshold is chosen on them.
HELD_OUT_SCORES = "validation_scores.parquet"
# What a file that holds something else may raise.
_NOT_A_NETWORK = (
    SafetensorError,
    ImportError,
    AttributeError,
    RuntimeError,
    KeyError,
    TypeError,
    ValueError,
)


def read_part(folder: Path, name: str, make: Callable[[dict], object]) -> Any:
    """What a JSON file describes."""
    try:
        return make(json.loads((folder / name).read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong_kind(folder / name, error) from error


def read_network(folder: Path, settings: dict) -> "nn.Module":
    """The network of some settings with the weights of a folder."""
    path = folder / "weights.safetensors"
    try:
        from fraud_ae.models.persistence import load_network

        return load_network(path, settings)
    except _NOT_A_NETWORK as error:
        raise _wrong_kind(path, error) from error


def read_scorer(folder: Path, path: str) -> Scorer:
    """The scorer of a class path, as it was saved in a folder."""
    try:
        scorer_class = pkgutil.resolve_name(path)
        if not (isinstance(scorer_class, type) and issubclass(scorer_class, Scorer)):
            raise TypeError(f"{path} is no scorer")
        return scorer_class.load(folder)
    except (ImportError, AttributeError, ValueError, KeyError, TypeError) as error:
        raise _wrong_kind(folder / SCORER_FILE, error) from error


def _wrong_kind(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{path}: not what a detector needs ({type(error).__name__}: {reason})")
